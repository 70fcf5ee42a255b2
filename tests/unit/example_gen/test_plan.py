import http.server
import json
import os
import stat
import threading
import urllib.parse
from pathlib import Path

import pytest

from components.errors import DataError
from components.example_gen import coco, labeling, plan, quarantine
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import Quarantined, QuarantineReason

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128"
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]


class Dataset:
    """40 images of 100 x 100 pixels, every other one with a person of 10 %; the bytes are no images."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "images"
        self.folder.mkdir()
        self.images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 100} for n in range(40)]
        self.annotations = [
            {"id": n, "image_id": n, "category_id": 1, "area": 1000.0, "bbox": [1, 2, 3, 4], "iscrowd": 0}
            for n in range(0, 40, 2)
        ]
        for image in self.images:
            (self.folder / image["file_name"]).write_bytes(b"image %d" % image["id"])

    def options(self, **changes):
        path = self.root / "instances.json"
        document = {"images": self.images, "annotations": self.annotations, "categories": CATEGORIES}
        path.write_text(json.dumps(document))
        return ExampleGenOptions(**{"annotations": str(path), "images": str(self.folder), **changes})

    def plan(self, **changes):
        return plan.plan_dataset(self.options(**changes))

    def plan_with_file_name(self, file_name):
        """The one bad image's reason and detail."""
        self.images[3]["file_name"] = file_name
        result = self.plan(max_quarantined_fraction=0.5)
        assert len(result.records) == 39
        (bad,) = result.quarantined
        assert (bad.kind, bad.id) == ("image", "3")
        return bad.reason, bad.detail


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


# The plan.


def test_plan_dataset_good_set_labels_and_splits_every_image(dataset):
    result = dataset.plan()
    assert [image.record.id for image in result.records] == list(range(40))
    assert [image.label for image in result.records] == [1, labeling.NEGATIVE] * 20
    assert [image.bucket for image in result.records] == ["over_10%", "none"] * 20
    assert result.records[3].path == str(dataset.folder / "3.jpg")
    assert result.label_names == ("not-person", "person")
    assert (result.positive, result.rule, result.quarantined) == ("person", labeling.LABEL_RULES["slim"], ())
    assert (result.image_count, result.annotation_count) == (40, 20)
    assert {split: sum(by_label) for split, by_label in result.counts.items()}.keys() == {"train", "eval"}
    assert sum(by_label[1] for by_label in result.counts.values()) == 20
    for split, by_label in result.counts.items():
        assert by_label[0] == sum(i.split == split and i.label == 0 for i in result.records)


def test_plan_dataset_same_files_give_the_same_plan(dataset):
    assert dataset.plan() == dataset.plan()


def test_plan_dataset_other_category_names_its_labels(dataset):
    for annotation in dataset.annotations:
        annotation["category_id"] = 18
    assert dataset.plan(category="dog").label_names == ("not-dog", "dog")


def test_plan_dataset_unknown_category_is_refused(dataset):
    with pytest.raises(DataError, match="no category has the name 'persons'"):
        dataset.plan(category="persons")


def test_plan_dataset_changed_file_changes_the_fingerprint(dataset):
    before = dataset.plan().fingerprint
    os.utime(dataset.folder / "7.jpg", ns=(1, 1))
    after = dataset.plan().fingerprint
    (dataset.folder / "7.jpg").write_bytes(b"longer")
    os.utime(dataset.folder / "7.jpg", ns=(1, 1))
    assert len({before, after, dataset.plan().fingerprint}) == 3


def test_plan_dataset_changed_annotations_change_the_fingerprint(dataset):
    before = dataset.plan().fingerprint
    dataset.annotations[0]["area"] = 2000.0
    assert dataset.plan().fingerprint != before


# The images folder.


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b"x")], ids=["missing", "file"])
def test_plan_dataset_no_images_folder_is_refused(dataset, make):
    folder = dataset.root / "other"
    make(folder)
    with pytest.raises(DataError, match="folder") as caught:
        dataset.plan(images=str(folder))
    assert "data.images" in caught.value.hint


def test_plan_dataset_missing_file_is_quarantined(dataset):
    (dataset.folder / "3.jpg").unlink()
    reason, detail = dataset.plan_with_file_name("3.jpg")
    assert reason is QuarantineReason.MISSING_FILE
    assert "3.jpg" in detail


@pytest.mark.parametrize("file_name", ["4.jpg/inside.jpg", "no/such.jpg"])
def test_plan_dataset_missing_folder_of_a_file_is_quarantined(dataset, file_name):
    assert dataset.plan_with_file_name(file_name)[0] is QuarantineReason.MISSING_FILE


@pytest.mark.parametrize(
    "file_name", ["../outside.jpg", "sub/../../outside.jpg", "/etc/hostname", "//etc/hostname", ".."]
)
def test_plan_dataset_file_name_that_leaves_the_folder_is_quarantined(dataset, file_name):
    (dataset.root / "outside.jpg").write_bytes(b"x")
    assert dataset.plan_with_file_name(file_name)[0] is QuarantineReason.OUTSIDE_IMAGES_FOLDER


def test_plan_dataset_absolute_file_name_inside_the_folder_is_quarantined(dataset):
    file_name = str(dataset.folder / "3.jpg")
    assert dataset.plan_with_file_name(file_name)[0] is QuarantineReason.OUTSIDE_IMAGES_FOLDER


def test_plan_dataset_sibling_folder_with_the_same_beginning_is_outside(dataset):
    (dataset.root / "images2").mkdir()
    (dataset.root / "images2" / "3.jpg").write_bytes(b"x")
    (dataset.folder / "sub").symlink_to(dataset.root / "images2")
    assert dataset.plan_with_file_name("sub/3.jpg")[0] is QuarantineReason.OUTSIDE_IMAGES_FOLDER


def test_plan_dataset_linked_file_outside_is_quarantined(dataset):
    (dataset.root / "outside.jpg").write_bytes(b"x")
    (dataset.folder / "link.jpg").symlink_to(dataset.root / "outside.jpg")
    reason, detail = dataset.plan_with_file_name("link.jpg")
    assert reason is QuarantineReason.OUTSIDE_IMAGES_FOLDER
    assert "outside.jpg" in detail


def test_plan_dataset_link_to_nothing_is_quarantined_as_missing(dataset):
    (dataset.folder / "link.jpg").symlink_to(dataset.folder / "nothing.jpg")
    assert dataset.plan_with_file_name("link.jpg")[0] is QuarantineReason.MISSING_FILE


@pytest.mark.parametrize("file_name", ["loop.jpg", "loop.jpg/3.jpg"])
def test_plan_dataset_link_to_itself_is_quarantined(dataset, file_name):
    (dataset.folder / "loop.jpg").symlink_to(dataset.folder / "loop.jpg")
    assert dataset.plan_with_file_name(file_name)[0] is QuarantineReason.UNREADABLE


def test_plan_dataset_links_inside_the_folder_are_followed(dataset):
    (dataset.folder / "deep").mkdir()
    (dataset.folder / "3.jpg").rename(dataset.folder / "deep" / "real.jpg")
    (dataset.folder / "alias").symlink_to("deep")
    (dataset.folder / "deep" / "link.jpg").symlink_to("real.jpg")
    dataset.images[3]["file_name"] = "alias/link.jpg"
    assert dataset.plan().records[3].path == str(dataset.folder / "deep" / "real.jpg")


def test_plan_dataset_images_folder_that_is_a_link_is_followed(dataset):
    (dataset.root / "alias").symlink_to(dataset.folder)
    assert dataset.plan(images=str(dataset.root / "alias")).quarantined == ()


@pytest.mark.parametrize("file_name", [".", "sub", "sub/", "pipe"])
def test_plan_dataset_what_is_no_regular_file_is_quarantined(dataset, file_name):
    (dataset.folder / "sub").mkdir()
    os.mkfifo(dataset.folder / "pipe")
    assert dataset.plan_with_file_name(file_name)[0] is QuarantineReason.NOT_AN_IMAGE


def test_plan_dataset_overlong_file_name_is_quarantined(dataset):
    assert dataset.plan_with_file_name("x" * 5000)[0] is QuarantineReason.UNREADABLE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_plan_dataset_locked_folder_is_quarantined(dataset):
    locked = dataset.folder / "locked"
    locked.mkdir(mode=0)
    assert dataset.plan_with_file_name("locked/3.jpg")[0] is QuarantineReason.UNREADABLE
    locked.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("file_name", ["2.jpg", "./2.jpg", "sub/../2.jpg", "link.jpg"])
def test_plan_dataset_second_id_of_a_file_is_quarantined(dataset, file_name):
    (dataset.folder / "sub").mkdir()
    (dataset.folder / "link.jpg").symlink_to("2.jpg")
    reason, detail = dataset.plan_with_file_name(file_name)
    assert reason is QuarantineReason.DUPLICATE_FILE
    assert "image 2" in detail


# What is refused.


def bad(kind, count, reason):
    return [Quarantined(kind, str(n), reason, "detail") for n in range(count)]


def check(quarantined, limit=0.01, image_count=100, annotation_count=1000):
    quarantine.check_quarantine(quarantined, image_count=image_count, annotation_count=annotation_count, limit=limit)


@pytest.mark.parametrize(
    ("kind", "count", "limit"), [("image", 1, 0.01), ("image", 29, 0.29), ("annotation", 10, 0.01), ("image", 0, 0.0)]
)
def test_check_quarantine_share_at_the_limit_passes(kind, count, limit):
    check(bad(kind, count, QuarantineReason.BAD_SIZE), limit)


def test_check_quarantine_empty_totals_pass():
    check([], 0.0, image_count=0, annotation_count=0)


def test_check_quarantine_share_above_the_limit_lists_reasons_and_first_five():
    records = bad("annotation", 9, QuarantineReason.BAD_AREA) + bad("annotation", 2, QuarantineReason.BAD_BOX)
    with pytest.raises(DataError) as caught:
        check(reversed(records))
    lines = caught.value.message.splitlines()
    assert lines[0] == "11 of 1000 annotations are bad (1.1%): bad_area 9, bad_box 2"
    assert lines[1] == "    annotation 0: bad_area, detail"
    assert (len(lines), lines[-1].strip()) == (7, "...")
    assert caught.value.expected == "at most 1 % (data.max_quarantined_fraction)"
    assert "data.max_quarantined_fraction" in caught.value.hint


def test_check_quarantine_mostly_missing_files_hints_at_the_folder():
    with pytest.raises(DataError) as caught:
        check(bad("image", 2, QuarantineReason.MISSING_FILE))
    assert caught.value.hint.startswith("set data.images")


def test_plan_dataset_too_many_missing_files_are_refused(dataset):
    (dataset.folder / "3.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 40 images are bad \(2.5%\): missing_file 1"):
        dataset.plan()
    assert dataset.plan(max_quarantined_fraction=0.025).quarantined


def test_plan_dataset_degenerate_boxes_count_as_bad_annotations(dataset):
    dataset.annotations[0]["bbox"] = [0, 0, 0, 0]
    with pytest.raises(DataError, match=r"1 of 20 annotations are bad \(5.0%\): bad_box 1"):
        dataset.plan()


def test_plan_dataset_empty_split_is_refused_with_the_number_of_images(dataset):
    dataset.images, dataset.annotations = dataset.images[:1], []
    with pytest.raises(DataError, match="split is empty: its share is 20% of 1 images") as caught:
        dataset.plan()
    assert "data.splits" in caught.value.hint


def test_plan_dataset_one_label_only_is_refused_with_the_counts(dataset):
    dataset.annotations = []
    with pytest.raises(DataError, match=r"the train split has one label only: not-person \d+, person 0") as caught:
        dataset.plan()
    assert "data.category" in caught.value.hint


# The quarantine's listing.


def test_render_quarantine_is_sorted_json_lines():
    records = [
        Quarantined("image", "ä", QuarantineReason.TRUNCATED, 'a "quoted"\nline'),
        Quarantined("annotation", "2", QuarantineReason.BAD_BOX, "b"),
        Quarantined("annotation", "1", QuarantineReason.BAD_AREA, "c"),
    ]
    text = quarantine.render_quarantine(records)
    assert text == quarantine.render_quarantine(reversed(records))
    assert [json.loads(line)["id"] for line in text.splitlines()] == ["1", "2", "ä"]
    assert text.splitlines()[0] == '{"kind": "annotation", "id": "1", "reason": "bad_area", "detail": "c"}'


def test_render_quarantine_nothing_is_empty():
    assert quarantine.render_quarantine([]) == ""


# In a bucket.


class _Bucket(http.server.BaseHTTPRequestHandler):
    """The two requests of Google Cloud Storage's JSON API that reading needs, over a dict of objects."""

    objects: dict[str, bytes]

    def do_GET(self):
        path, _, query = self.path.partition("?")
        bucket, _, name = path.partition("/b/")[2].partition("/o")
        content = self.objects.get(urllib.parse.unquote(name[1:])) if bucket == "good" else None
        if name == "" and bucket == "good":
            prefix = urllib.parse.parse_qs(query).get("prefix", [""])[0]
            found = {n: c for n, c in self.objects.items() if n.startswith(prefix)}
            items = [{"name": n, "size": str(len(c)), "generation": str(hash(c))} for n, c in found.items()]
            content = json.dumps({"items": items}).encode()
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def bucket(monkeypatch):
    handler = type("Handler", (_Bucket,), {"objects": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield handler.objects
    server.shutdown()
    server.server_close()


@pytest.fixture
def remote(dataset, bucket):
    """The same set in a bucket, with its options."""
    options = dataset.options(images="gs://good/set/images/", annotations="gs://good/set/instances.json")
    bucket["set/instances.json"] = (dataset.root / "instances.json").read_bytes()
    bucket.update({f"set/images/{path.name}": path.read_bytes() for path in dataset.folder.iterdir()})
    return options


def test_plan_dataset_in_a_bucket_equals_the_local_one(dataset, remote):
    result, local = plan.plan_dataset(remote), dataset.plan()
    assert [image.path for image in result.records[:2]] == ["gs://good/set/images/0.jpg", "gs://good/set/images/1.jpg"]
    assert [(i.record, i.split, i.label) for i in result.records] == [
        (i.record, i.split, i.label) for i in local.records
    ]


def test_plan_dataset_in_a_bucket_changed_object_changes_the_fingerprint(remote, bucket):
    before = plan.plan_dataset(remote).fingerprint
    bucket["set/images/7.jpg"] = b"y"
    assert plan.plan_dataset(remote).fingerprint != before


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("none.jpg", QuarantineReason.MISSING_FILE),
        ("../instances.json", QuarantineReason.OUTSIDE_IMAGES_FOLDER),
        ("./2.jpg", QuarantineReason.DUPLICATE_FILE),
    ],
)
def test_plan_dataset_in_a_bucket_bad_file_name_is_quarantined(dataset, remote, file_name, reason):
    assert dataset.folder.exists()
    dataset.images[3]["file_name"] = file_name
    options = dataset.options(images=remote.images, max_quarantined_fraction=0.5)
    assert [q.reason for q in plan.plan_dataset(options).quarantined] == [reason]


@pytest.mark.parametrize("uri", ["gs://good/empty", "gs://bad/images", "gs://"])
def test_plan_dataset_in_a_bucket_no_images_folder_is_refused(dataset, remote, uri):
    with pytest.raises(DataError) as caught:
        dataset.plan(images=uri)
    assert "data.images" in caught.value.hint


@pytest.mark.parametrize("uri", ["gs://good/none.json", "gs://good/", "gs://"])
def test_read_annotations_in_a_bucket_missing_object_is_refused(bucket, uri):
    with pytest.raises(DataError, match="cannot be read"):
        coco.read_annotations(uri)


# A real set.


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_plan_dataset_real_coco_has_both_labels_in_both_splits():
    result = plan.plan_dataset(
        ExampleGenOptions(annotations=str(COCO128 / "instances.json"), images=str(COCO128 / "images"))
    )
    assert result.counts == {"train": (58, 39), "eval": (20, 11)}
    assert result.quarantined == ()
