import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from components.errors import ConfigError, DataError, StorageError
from components.example_gen import coco
from pipeline.labels import changed_images, find_rules, guess_images_folder, label_by_rules, print_labels, write_sheet
from pipeline.report.contact_sheet import Tile, render_contact_sheet

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128"
VWW = Path(sys.executable).with_name("vww")


@pytest.fixture
def small_set(tmp_path):
    """Three images of 100 x 100: nobody, a person of 1 % by mask and 4 % by box, one of 1 % by both."""
    (tmp_path / "images").mkdir()
    for n in range(3):
        Image.new("RGB", (100, 100), (80 * n, 0, 0)).save(tmp_path / "images" / f"{n}.png")
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 100} for n in range(3)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "area": 100, "bbox": [0, 0, 20, 20], "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 1, "area": 100, "bbox": [0, 0, 10, 10], "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    return path


def labels_of(path, *names):
    dataset = coco.read_annotations(str(path))
    return dataset, label_by_rules(dataset, "person", find_rules(names))


def test_label_by_rules_gives_each_rules_own_labels(small_set):
    _, (slim, mlperf) = labels_of(small_set, "slim", "mlperf")
    assert slim.by_image == {"0": "not-person", "1": "person", "2": "person"}
    assert mlperf.by_image == {"0": "not-person", "1": "person", "2": "dropped"}
    assert changed_images([slim, mlperf]) == ["2"]


def test_changed_images_of_three_rules_are_those_that_any_two_label_differently(small_set):
    _, labels = labels_of(small_set, "slim", "pyvww", "mlperf")
    assert changed_images(labels) == ["2"]
    assert changed_images(labels[:2]) == []


def test_print_labels_two_rules_show_counts_and_confusion(small_set, capsys):
    print_labels(labels_of(small_set, "slim", "mlperf")[1], "person")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["slim", "1", "2", "0"] in [row[:4] for row in rows]
    assert ["mlperf", "1", "1", "1"] in [row[:4] for row in rows]
    assert ["person", "0", "1", "1"] in rows


def test_print_labels_three_rules_show_how_many_images_each_pair_changes(small_set, capsys):
    print_labels(labels_of(small_set, "slim", "pyvww", "mlperf")[1], "person")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mlperf", "1", "1", "-"] in rows


@pytest.mark.parametrize(
    ("names", "said"),
    [(("slim",), "--rule received slim"), (("slim", "slim"), "different"), (("slim", "mlperv"), "mlperf")],
)
def test_find_rules_too_few_or_unknown_are_refused(names, said):
    with pytest.raises(ConfigError) as caught:
        find_rules(names)
    assert said in str(caught.value)


def test_write_sheet_shows_the_changed_images_and_leaves_nothing_else(small_set, tmp_path):
    dataset, labels = labels_of(small_set, "slim", "mlperf")
    path = tmp_path / "out" / "sheet.jpg"
    assert write_sheet(changed_images(labels), labels, dataset, str(tmp_path / "images"), path) == 1
    assert [file.name for file in path.parent.iterdir()] == ["sheet.jpg"]
    with Image.open(path) as sheet:
        red, green, blue = sheet.getpixel((70, 70))
    assert red == pytest.approx(160, abs=6)
    assert max(green, blue) < 10


def test_write_sheet_no_images_folder_is_refused(small_set, tmp_path):
    dataset, labels = labels_of(small_set, "slim", "mlperf")
    with pytest.raises(DataError, match="no such folder"):
        write_sheet(changed_images(labels), labels, dataset, str(tmp_path / "none"), tmp_path / "sheet.jpg")


def test_write_sheet_folder_without_the_images_is_refused_and_each_named(small_set, tmp_path, capsys):
    dataset, labels = labels_of(small_set, "slim", "mlperf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of the 1 images that change label") as caught:
        write_sheet(changed_images(labels), labels, dataset, str(tmp_path / "empty"), tmp_path / "sheet.jpg")
    assert "--images" in caught.value.hint
    assert "no file" in capsys.readouterr().err
    assert not (tmp_path / "sheet.jpg").exists()


def test_write_sheet_path_that_cannot_be_written_is_a_storage_error(small_set, tmp_path):
    dataset, labels = labels_of(small_set, "slim", "mlperf")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_sheet(changed_images(labels), labels, dataset, str(tmp_path / "images"), tmp_path / "file" / "sheet.jpg")


def test_guess_images_folder_finds_it_where_coco_has_it(tmp_path):
    annotations = tmp_path / "annotations" / "instances_val2017.json"
    annotations.parent.mkdir()
    assert guess_images_folder(str(annotations)) is None
    (tmp_path / "val2017").mkdir()
    assert guess_images_folder(str(annotations)) == tmp_path / "val2017"


def test_contact_sheet_of_a_broken_image_shows_a_gray_field(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    Image.new("RGB", (30, 90), (0, 200, 0)).save(tmp_path / "good.png")
    sheet = render_contact_sheet([Tile(str(tmp_path / name), name) for name in ("broken.jpg", "good.png", "none.jpg")])
    assert [sheet.getpixel((4 + 148 * place + 72, 76)) for place in range(3)] == [
        (208, 208, 208),
        (0, 200, 0),
        (208, 208, 208),
    ]


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_label_rules_doc_table_is_what_coco128_gives(tmp_path):
    names = ("slim", "slim-download", "pyvww", "mlperf", "kenning", "paper")
    _, labels = labels_of(COCO128 / "instances.json", *names)
    doc = (Path(__file__).parents[3] / "docs/label-rules.md").read_text()
    for one in labels:
        values = [list(one.by_image.values()).count(name) for name in ("not-person", "person", "dropped")]
        row = f"| `{one.rule.id}` | " + " | ".join(map(str, values)) + " |"
        differing = [str(len(changed_images([one, other]))) if other is not one else "-" for other in labels]
        assert row in doc
        assert f"| `{one.rule.id}` | " + " | ".join(differing) + " |" in doc


def test_labels_diff_command_prints_data_on_stdout_and_talk_on_stderr(small_set, tmp_path):
    arguments = ["labels", "diff", "--rule", "slim", "--rule", "mlperf", "--annotations", small_set]
    done = subprocess.run(
        [VWW, *arguments, "--sheet", tmp_path / "sheet.jpg"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Images by slim (rows) and mlperf (columns)" in done.stdout
    assert done.stdout.strip().endswith(": 1 of the images that change label")
    assert done.stderr == ""


def test_labels_diff_command_without_a_changed_image_says_so_and_writes_none(small_set, tmp_path):
    arguments = ["labels", "diff", "--rule", "slim", "--rule", "pyvww", "--annotations", small_set]
    done = subprocess.run(
        [VWW, *arguments, "--sheet", tmp_path / "sheet.jpg"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == "no contact sheet: no image changes its label\n"
    assert not (tmp_path / "sheet.jpg").exists()
