"""The page: well-formed, complete, self-contained, and deaf to what names in the data say."""

import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import pytest

from components.errors import StorageError
from pipeline.report import charts
from pipeline.report.data_page import render_page, write_page

VOID = {"meta", "img", "br"}
SECTIONS = ["checks", "counts", "objects", "rules", "looks", "look-alikes", "left-out", "images"]
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Holds that every element is closed in order; collects elements and text."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.words = []
        self._open = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def html(sample_report):
    return render_page(sample_report)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def assert_self_contained(html):
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "srcset", "data", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
        assert "url(" not in attributes.get("style", "")
    for address in ("http:", "https:", "//cdn", "@import", "url("):
        assert address not in html.replace('http-equiv="', "")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_page_has_every_section_and_each_link_leads_to_one(page):
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name in SECTIONS] == SECTIONS
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in SECTIONS]
    assert [attributes["aria-labelledby"] for attributes in page.all("section")] == SECTIONS


def test_page_needs_nothing_but_itself(html):
    assert_self_contained(html)


def test_page_states_counts_and_checks(page, sample_report):
    for by_label in sample_report.counts.values():
        for count in by_label.values():
            assert f" {count:,} " in page.text
    for check in sample_report.checks:
        assert check.name in page.text
        assert (" ".join(check.advice.split()) in page.text) == (check in sample_report.warnings)
    assert f"{len(sample_report.warnings)} of {len(sample_report.checks)} checks warn" in page.text


def test_page_shows_a_thumbnail_of_each_sample_with_a_text(page, sample_report):
    images = page.all("img")
    assert len(images) == sum(map(len, sample_report.samples.values()))
    for image in images:
        assert image["alt"].startswith("Image ")
        assert 0 < int(image["width"]) <= 144


def test_page_charts_have_texts_axes_and_tables(html, page, sample_report):
    drawings = page.all("svg")
    assert len(drawings) == 5
    ids = set(page.ids())
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= ids
    for words in ("threshold 0.5 %", "the model's 96", "share of images", "shorter side in pixels", "width : height"):
        assert words in page.text
    assert html.count(" as a table</summary>") == 5


def test_page_charts_have_their_own_titles_and_a_panel_of_each_label(html):
    titles = re.findall(r'<title id="chart-[^"]+">([^<]+)</title>', html)
    assert titles == ["Largest object of each image", "Brightness", "Contrast", "Aspect", "Resolution"]
    assert all(f"{label}: " in html for label in ("not-person", "person"))


def test_page_tables_have_header_cells(page):
    for cell in page.all("th"):
        assert cell["scope"] in {"col", "row"}


def test_page_of_the_same_report_is_the_same(html, sample_report):
    assert render_page(sample_report) == html


def test_page_of_a_limited_report_says_so(sample_config, report_of):
    page = Page(render_page(report_of(sample_config, limit=20)))
    assert "Only 20 of 60 images were looked at" in page.text
    assert "the 20 images looked at" in page.text


def test_page_of_folders_has_no_sections_on_objects(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 3)
    picture = folders.draw(1)
    folders.save("train/cat/one.jpg", picture)
    folders.save("eval/cat/other.jpg", picture.resize((128, 96)))
    (folders.root / "eval/cat/cut.jpg").write_text("no image")
    html = render_page(report_of(folder_config()))
    page = Page(html)
    assert [name for name in page.ids() if name in SECTIONS] == [
        name for name in SECTIONS if name not in {"objects", "rules"}
    ]
    assert len(page.all("svg")) == 4
    assert "2 images in train and eval" in page.text
    assert page.text.count("train/cat/one.jpg") == 2  # beside its look-alike, and among its label's images
    assert "not_an_image (its bytes)" in page.text
    assert "1 image with bad bytes is still counted" in page.text
    assert_self_contained(html)


def test_page_of_many_labels_draws_them_in_one_panel(folders, folder_config, report_of):
    labels = [f"label{number}" for number in range(charts.MAX_PANELS + 1)]
    for split in ("train", "eval"):
        for label in labels:
            folders.fill(f"{split}/{label}", 2)
    page = Page(render_page(report_of(folder_config())))
    assert f"all {len(labels)} labels: {4 * len(labels)} images" in page.text
    assert all(f" {label} " in page.text for label in labels)


def test_page_without_any_readable_image_has_no_charts(folders, folder_config, report_of):
    for number, name in enumerate(("train/cat", "train/dog", "eval/cat", "eval/dog")):
        (folders.root / name).mkdir(parents=True)
        (folders.root / name / "a.jpg").write_text(f"no image {number}")
    page = Page(render_page(report_of(folder_config())))
    assert "looks" not in page.ids()
    assert page.all("svg") == page.all("img") == []


def test_page_hostile_category_ids_and_names_are_inert(sample_set, config_of, report_of, tmp_path):
    tree = json.loads((sample_set / "instances.json").read_text())
    for category in tree["categories"]:
        if category["name"] == "person":
            category["name"] = HOSTILE
    names = {image["id"]: f'"><svg onload=alert({image["id"]})>' for image in tree["images"]}
    for image in tree["images"]:
        image["id"] = names[image["id"]]
    for annotation in tree["annotations"]:
        annotation["image_id"] = names[annotation["image_id"]]
    tree["images"][0]["width"] += 1
    tree["images"].append({"id": "{{ 7 * 7 }}", "file_name": "<b onclick=x>.jpg", "width": 9, "height": 9})
    path = tmp_path / "<i>instances.json"
    path.write_text(json.dumps(tree))
    report = report_of(
        config_of(
            annotations=str(path), images=str(sample_set / "images"), category=HOSTILE, max_quarantined_fraction=0.5
        )
    )
    html = render_page(report)
    assert_self_contained(html)
    page = Page(html)
    assert HOSTILE in page.text
    assert f"{HOSTILE[:10]}" not in html
    assert "{{ 7 * 7 }}" in page.text
    assert '"><svg onload=alert(' in page.text
    assert "<b onclick=x>.jpg" in page.text
    assert len(page.all("svg")) == 5
    assert {tag for tag, _ in page.elements if tag in {"b", "i"}} == set()


def test_write_page_replaces_the_old_one_and_leaves_nothing_else(sample_report, tmp_path):
    path = tmp_path / "new" / "folder" / "page.html"
    write_page(sample_report, path)
    path.write_text("old")
    write_page(sample_report, path)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_write_page_where_there_is_a_folder_is_refused(sample_report, tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(StorageError):
        write_page(sample_report, tmp_path / "page.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_write_page_into_a_locked_folder_is_refused(sample_report, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError):
        write_page(sample_report, tmp_path / "page.html")


def test_write_page_name_that_is_no_text_is_written_escaped(sample_report, tmp_path):
    report = dataclasses.replace(sample_report, ignored={".\udcff": 1})
    write_page(report, tmp_path / "page.html")
    assert r".\udcff" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert json.loads(report.to_json())["ignored"] == {".\udcff": 1}
