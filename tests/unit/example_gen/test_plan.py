import hashlib
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
from components.example_gen.quarantine import Dropped, DropReason, Quarantined, QuarantineReason

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


# Copies.


@pytest.mark.parametrize("file_name", ["5.jpg", "./5.jpg", "sub/../5.jpg", "link.jpg", "copy.jpg"])
def test_plan_dataset_second_id_of_the_same_bytes_is_dropped(dataset, file_name):
    (dataset.folder / "sub").mkdir()
    (dataset.folder / "link.jpg").symlink_to("5.jpg")
    (dataset.folder / "copy.jpg").write_bytes((dataset.folder / "5.jpg").read_bytes())
    dataset.images[33]["file_name"] = file_name
    result = dataset.plan()
    assert result.dropped == (Dropped("33", DropReason.DUPLICATE, "the same bytes as image 5"),)
    assert [image.record.id for image in result.records] == [n for n in range(40) if n != 33]
    assert result.quarantined == ()


@pytest.mark.parametrize("file_name", ["2.jpg", "./2.jpg", "sub/../2.jpg", "link.jpg", "copy.jpg"])
def test_plan_dataset_copies_with_different_labels_are_all_quarantined(dataset, file_name):
    (dataset.folder / "sub").mkdir()
    (dataset.folder / "link.jpg").symlink_to("2.jpg")
    (dataset.folder / "copy.jpg").write_bytes((dataset.folder / "2.jpg").read_bytes())
    dataset.images[33]["file_name"] = file_name
    result = dataset.plan(max_quarantined_fraction=0.05)
    detail = "the same bytes as image {}, which has another label"
    assert sorted(result.quarantined) == [
        Quarantined("image", "2", QuarantineReason.CONFLICTING_LABELS, detail.format(33)),
        Quarantined("image", "33", QuarantineReason.CONFLICTING_LABELS, detail.format(2)),
    ]
    assert {2, 33}.isdisjoint(image.record.id for image in result.records)
    assert result.dropped == ()


def test_plan_dataset_two_copies_that_agree_and_one_that_does_not_are_all_quarantined(dataset):
    for n in (4, 33):
        dataset.images[n]["file_name"] = "2.jpg"
    result = dataset.plan(max_quarantined_fraction=0.1)
    assert sorted(entry.id for entry in result.quarantined) == ["2", "33", "4"]


def test_plan_dataset_conflicting_copies_count_against_the_limit(dataset):
    dataset.images[33]["file_name"] = "2.jpg"
    with pytest.raises(DataError, match=r"2 of 40 images are bad \(5.0%\): conflicting_labels 2"):
        dataset.plan()


def test_plan_dataset_dropped_copies_count_against_no_limit(dataset):
    for n in range(11, 31, 2):
        dataset.images[n]["file_name"] = "1.jpg"
    result = dataset.plan(max_quarantined_fraction=0.0)
    assert len(result.dropped) == 10


def test_plan_dataset_copy_in_the_held_out_list_is_the_one_that_stays(dataset):
    for n in (11, 33):
        dataset.images[n]["file_name"] = "5.jpg"
    (dataset.root / "eval.txt").write_text("33\n0\n")
    result = dataset.plan(split_ids={"eval": str(dataset.root / "eval.txt")})
    assert [(entry.id, entry.detail) for entry in result.dropped] == [
        ("5", "the same bytes as image 33"),
        ("11", "the same bytes as image 33"),
    ]
    assert {image.record.id for image in result.records if image.split == "eval"} == {0, 33}


def test_plan_dataset_label_rule_drops_images_of_small_objects_only(dataset):
    for annotation in dataset.annotations:
        annotation["bbox"] = [0, 0, 50, 50]
    dataset.annotations[1]["bbox"] = [0, 0, 10, 10]
    result = dataset.plan(label_rule="mlperf")
    assert result.dropped == (Dropped("2", DropReason.SMALL_OBJECTS_ONLY, "its largest object has 1.00% of the image"),)
    assert result.rule is labeling.LABEL_RULES["mlperf"]
    assert len(result.records) == 39


# Lists of ids.


@pytest.fixture
def id_list(dataset):
    def write(content, split="eval"):
        path = dataset.root / f"{split}.txt"
        path.write_bytes(content)
        return {split: str(path)}

    return write


def ids_of(result, split):
    return [image.record.id for image in result.records if image.split == split]


@pytest.mark.parametrize(
    "content",
    [
        b"0\n7\n12\n",
        b"0\n7\n12",
        b"12\r\n7\r\n0\r\n",
        b"\xef\xbb\xbf0\n7\n12\n",
        b"\n 0 \n\n7\n\n\n12\n\n",
        b"0\n7\n7\n12\n0",
    ],
    ids=["plain", "no_last_newline", "windows", "byte_order_mark", "blank_lines", "twice"],
)
def test_plan_dataset_id_list_states_the_split_and_train_takes_the_rest(dataset, id_list, content):
    result = dataset.plan(split_ids=id_list(content))
    assert ids_of(result, "eval") == [0, 7, 12]
    assert len(ids_of(result, "train")) == 37
    assert result.counts == {"train": (19, 18), "eval": (1, 2)}


def test_plan_dataset_id_lists_of_all_splits_leave_nothing_to_shares(dataset, id_list):
    lists = [(range(20), "train"), (range(20, 36), "eval"), (range(36, 40), "test")]
    stated = {}
    for ids, split in lists:
        stated |= id_list("\n".join(map(str, ids)).encode(), split)
    result = dataset.plan(split_ids=stated)
    assert {split: ids_of(result, split) for split in ("train", "eval", "test")} == {
        split: list(ids) for ids, split in lists
    }


def test_plan_dataset_id_list_leaves_the_rest_to_the_shares(dataset, id_list):
    dataset.annotations = [{**a, "image_id": n} for n, a in enumerate(dataset.annotations)]
    plain = dataset.plan(splits={"train": 0.5, "eval": 0.5})
    result = dataset.plan(splits={"train": 0.5, "eval": 0.5}, split_ids=id_list(b"3\n33\n", "test"))
    assert ids_of(result, "test") == [3, 33]
    for split in ("train", "eval"):
        assert ids_of(result, split) == [n for n in ids_of(plain, split) if n not in (3, 33)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the id list is empty"),
        (b" \n\r\n\xe2\x80\xa8", "the id list is empty"),
        (b"\xff\xfe0\x000\x00", "the id list cannot be read"),
        (b"0\n99\n", r"1 of 2 images of the id lists are not in the data: 99\."),
        (b"0.jpg\n", "not in the data: 0.jpg"),
        (b"100 101 102", "not in the data: 100 101 102"),
        ("\n".join(map(str, range(50, 57))).encode(), r"7 of 7 .*: 50, 51, 52, 53, 54, \.\.\."),
    ],
    ids=["empty", "blank", "utf-16", "unknown", "file_name", "one_line", "many"],
)
def test_plan_dataset_id_list_that_does_not_fit_is_refused(dataset, id_list, content, message):
    with pytest.raises(DataError, match=message) as caught:
        dataset.plan(split_ids=id_list(content))
    assert caught.value.hint


@pytest.mark.parametrize("path", ["none.txt", ""])
def test_plan_dataset_id_list_that_is_no_file_is_refused(dataset, path):
    with pytest.raises(DataError, match="the id list cannot be read") as caught:
        dataset.plan(split_ids={"eval": str(dataset.root / path)})
    assert "data.split_ids.eval" in caught.value.hint


def test_plan_dataset_id_in_two_lists_is_refused_by_name(dataset, id_list):
    lists = id_list(b"1\n2\n") | id_list(b"3\n2\n", "test")
    with pytest.raises(DataError, match="image 2 is named by the id lists of both eval and test"):
        dataset.plan(split_ids=lists)


def test_plan_dataset_id_list_may_name_an_image_that_is_quarantined(dataset, id_list):
    (dataset.folder / "7.jpg").unlink()
    result = dataset.plan(split_ids=id_list(b"0\n3\n7\n"), max_quarantined_fraction=0.1)
    assert ids_of(result, "eval") == [0, 3]


def test_plan_dataset_changed_id_list_changes_the_fingerprint(dataset, id_list):
    before = dataset.plan(split_ids=id_list(b"0\n3\n")).fingerprint
    assert dataset.plan(split_ids=id_list(b"0\n5\n")).fingerprint != before
    assert dataset.plan(split_ids=id_list(b"0\n3\n")).fingerprint == before


# Several categories.


def test_plan_dataset_several_categories_have_a_label_each(dataset):
    for annotation in dataset.annotations[::2]:
        annotation["category_id"] = 18
    result = dataset.plan(category=("dog", "person"))
    assert result.label_names == ("background", "dog", "person")
    assert result.positive is None
    assert [image.label for image in result.records[:6]] == [1, 0, 2, 0, 1, 0]
    assert {sum(by_label) for by_label in zip(*result.counts.values(), strict=True)} == {20, 10}


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


def test_check_quarantine_mostly_boxes_outside_hints_at_corners():
    with pytest.raises(DataError) as caught:
        check(bad("annotation", 11, QuarantineReason.BOX_OUTSIDE))
    assert "not corners [x1, y1, x2, y2]" in caught.value.hint


def test_plan_dataset_too_many_missing_files_are_refused(dataset):
    (dataset.folder / "3.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 40 images are bad \(2.5%\): missing_file 1"):
        dataset.plan()
    assert dataset.plan(max_quarantined_fraction=0.025).quarantined


def test_plan_dataset_no_usable_image_is_refused_for_what_is_wrong_beside_stated_splits(dataset):
    splits = {"train": 0.5, "eval": 0.5}
    (dataset.root / "empty").mkdir()
    with pytest.raises(DataError, match=r"40 of 40 images are bad \(100.0%\): missing_file 40"):
        dataset.plan(images=str(dataset.root / "empty"), splits=splits)
    for image in dataset.images:
        image["width"] = 100.0
    with pytest.raises(DataError, match=r"40 of 40 images are bad \(100.0%\): bad_size 40"):
        dataset.plan(splits=splits)
    with pytest.raises(DataError, match="the train split is empty; there are 0 images in all; quarantined as bad_size"):
        dataset.plan(splits=splits, max_quarantined_fraction=1.0)


def test_plan_dataset_degenerate_boxes_count_as_bad_annotations(dataset):
    dataset.annotations[0]["bbox"] = [0, 0, 0, 0]
    with pytest.raises(DataError, match=r"1 of 20 annotations are bad \(5.0%\): bad_box 1"):
        dataset.plan()


def test_plan_dataset_empty_split_is_refused_with_the_number_of_images(dataset):
    dataset.images, dataset.annotations = dataset.images[:1], []
    with pytest.raises(DataError, match="the eval split is empty; there are 1 images in all") as caught:
        dataset.plan()
    assert "data.splits" in caught.value.hint


def test_plan_dataset_one_label_only_is_refused_with_the_counts(dataset):
    dataset.annotations = []
    with pytest.raises(
        DataError, match=r"the train split has no image of the label 'person': not-person \d+, person 0"
    ) as caught:
        dataset.plan()
    assert "data.category" in caught.value.hint


def test_plan_dataset_split_that_copies_empty_says_so(dataset):
    options = dataset.options()
    both = {"train": options.annotations, "eval": options.annotations}
    with pytest.raises(DataError, match=r"the train split is empty; .* left out as duplicate: \d+\."):
        plan.plan_dataset(options.model_copy(update={"annotations": both}))


def test_check_splits_empty_split_names_why_images_are_missing():
    bytes_of = [Quarantined("image", str(n), QuarantineReason.NOT_AN_IMAGE, "text") for n in range(30)]
    of_annotations = [Quarantined("annotation", "1", QuarantineReason.BAD_BOX, "bbox=[]")]
    message = "there are 0 images in all; quarantined as not_an_image: 30; left out as duplicate: 1."
    with pytest.raises(DataError, match=message):
        plan.check_splits(
            {"train": (0, 0), "eval": (0, 0)},
            None,
            label_names=("not-person", "person"),
            quarantined=[*bytes_of, *of_annotations],
            dropped=[Dropped("31", DropReason.DUPLICATE, "the same bytes as image 7")],
        )


# The quarantine's listing.


def test_render_quarantine_is_sorted_json_lines_with_the_dropped_last():
    records = [
        Quarantined("image", "ä", QuarantineReason.TRUNCATED, 'a "quoted"\nline'),
        Quarantined("annotation", "2", QuarantineReason.BAD_BOX, "b"),
        Quarantined("annotation", "1", QuarantineReason.BAD_AREA, "c"),
    ]
    dropped = [Dropped("9", DropReason.SMALL_OBJECTS_ONLY, "d"), Dropped("10", DropReason.DUPLICATE, "e")]
    text = quarantine.render_quarantine(records, dropped)
    assert text == quarantine.render_quarantine(reversed(records), reversed(dropped))
    assert [json.loads(line)["id"] for line in text.splitlines()] == ["1", "2", "ä", "10", "9"]
    assert text.splitlines()[0] == '{"kind": "annotation", "id": "1", "reason": "bad_area", "detail": "c"}'
    assert text.splitlines()[3] == '{"kind": "dropped", "id": "10", "reason": "duplicate", "detail": "e"}'


def test_render_quarantine_nothing_is_empty():
    assert quarantine.render_quarantine([], []) == ""


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
            items = [
                {"name": n, "size": str(len(c)), "generation": str(hash(c)), "md5Hash": hashlib.md5(c).hexdigest()}
                for n, c in found.items()
            ]
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
    ],
)
def test_plan_dataset_in_a_bucket_bad_file_name_is_quarantined(dataset, remote, file_name, reason):
    assert dataset.folder.exists()
    dataset.images[3]["file_name"] = file_name
    options = dataset.options(images=remote.images, max_quarantined_fraction=0.5)
    assert [q.reason for q in plan.plan_dataset(options).quarantined] == [reason]


@pytest.mark.parametrize("file_name", ["./5.jpg", "copy.jpg"])
def test_plan_dataset_in_a_bucket_copies_are_found_by_their_digests(dataset, remote, bucket, file_name):
    bucket["set/images/copy.jpg"] = bucket["set/images/5.jpg"]
    dataset.images[33]["file_name"] = file_name
    result = plan.plan_dataset(dataset.options(images=remote.images))
    assert result.dropped == (Dropped("33", DropReason.DUPLICATE, "the same bytes as image 5"),)
    dataset.images[33]["file_name"] = "2.jpg"
    result = plan.plan_dataset(dataset.options(images=remote.images, max_quarantined_fraction=0.05))
    assert {entry.reason for entry in result.quarantined} == {QuarantineReason.CONFLICTING_LABELS}


def test_plan_dataset_in_a_bucket_id_list_is_read(remote, bucket):
    bucket["set/eval.txt"] = b"0\n7\n"
    result = plan.plan_dataset(remote.model_copy(update={"split_ids": {"eval": "gs://good/set/eval.txt"}}))
    assert ids_of(result, "eval") == [0, 7]
    with pytest.raises(DataError, match="the id list cannot be read"):
        plan.plan_dataset(remote.model_copy(update={"split_ids": {"eval": "gs://good/set/none.txt"}}))


def test_plan_dataset_in_a_bucket_class_folders_equal_the_local_ones(dataset, bucket):
    root = dataset.root / "classes"
    for n in range(40):
        path = root / ("cat" if n % 2 else "dog") / "deep er" / f"{n} ü.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % n)
        bucket[f"set/{path.relative_to(root)}"] = path.read_bytes()
    bucket["set/"] = b""
    bucket["set/cat/"] = b""
    bucket["set/cat/notes.txt"] = b"x"
    bucket["set/cat/.thumbs/1.jpg"] = b"y"
    local = plan.plan_dataset(ExampleGenOptions(format="image_folder", images=str(root)))
    result = plan.plan_dataset(ExampleGenOptions(format="image_folder", images="gs://good/set"))
    assert [(i.record, i.split, i.label) for i in result.records] == [
        (i.record, i.split, i.label) for i in local.records
    ]
    assert result.records[0].path == f"gs://good/set/{result.records[0].record.file_name}"
    assert (result.label_names, result.counts, result.quarantined) == (local.label_names, local.counts, ())


@pytest.mark.parametrize("uri", ["gs://good/empty", "gs://bad/images", "gs://"])
def test_plan_dataset_in_a_bucket_no_images_folder_is_refused(dataset, remote, uri):
    with pytest.raises(DataError) as caught:
        dataset.plan(images=uri)
    assert "data.images" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "problem"),
    [("gs://good/none.json", "no such file"), ("gs://good/", "cannot be read"), ("gs://", "cannot be read")],
)
def test_read_annotations_in_a_bucket_missing_object_is_refused(bucket, uri, problem):
    with pytest.raises(DataError, match=problem):
        coco.read_annotations(uri)


# A real set.


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_plan_dataset_real_coco_has_both_labels_in_both_splits():
    result = plan.plan_dataset(
        ExampleGenOptions(annotations=str(COCO128 / "instances.json"), images=str(COCO128 / "images"))
    )
    assert result.counts == {"train": (58, 39), "eval": (20, 11)}
    assert result.quarantined == ()
