import hashlib
import itertools
import json
import tracemalloc
from pathlib import Path

import pytest

from components.errors import DataError
from components.example_gen import coco
from components.example_gen.image_records import Annotation
from components.example_gen.quarantine import QuarantineReason

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128/instances.json"


def image(image_id=1, **changes):
    return {"id": image_id, "file_name": f"{image_id}.jpg", "width": 100, "height": 50, **changes}


def annotation(annotation_id=10, **changes):
    fields = {"id": annotation_id, "image_id": 1, "category_id": 1, "area": 20.5, "bbox": [1, 2, 30, 40], "iscrowd": 0}
    return {**fields, **changes}


def without(entry, key):
    return {name: value for name, value in entry.items() if name != key}


PERSON = {"id": 1, "name": "person"}
DOG = {"id": 18, "name": "dog"}


@pytest.fixture
def read(tmp_path):
    def read(images=None, annotations=(), categories=(PERSON, DOG)):
        path = tmp_path / "instances.json"
        document = {"images": [image()] if images is None else images, "annotations": annotations}
        path.write_text(json.dumps({**document, "categories": categories}))
        return coco.read_annotations(str(path))

    return read


@pytest.fixture
def refuse(tmp_path):
    def refuse(content):
        path = tmp_path / "instances.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        with pytest.raises(DataError) as caught:
            coco.read_annotations(str(path))
        assert str(path) in caught.value.message
        assert caught.value.expected
        return caught.value

    return refuse


# The file.


def test_read_annotations_complete_file_gives_images_sorted_with_their_annotations(read, tmp_path):
    crowd = annotation(11, image_id=2, iscrowd=1, area=3, segmentation={"counts": [1, 2], "size": [3, 4]})
    dataset = read([image("b"), image(2), image(1)], [annotation(10, segmentation=[[1.5, 2e-1, -3]]), crowd])
    assert [record.id for record in dataset.images] == [1, 2, "b"]
    assert [record.source_id for record in dataset.images] == ["1", "2", "b"]
    assert list(dataset.images[0].annotations) == [Annotation(1, 20.5, (1.0, 2.0, 30.0, 40.0), False)]
    assert list(dataset.images[1].annotations) == [Annotation(1, 3.0, (1.0, 2.0, 30.0, 40.0), True)]
    assert dataset.categories == {1: "person", 18: "dog"}
    assert (dataset.image_count, dataset.annotation_count, dataset.quarantined) == (3, 2, ())
    assert dataset.sha256 == hashlib.sha256((tmp_path / "instances.json").read_bytes()).hexdigest()


def test_read_annotations_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        coco.read_annotations(str(tmp_path / "none.json"))
    assert "data.annotations" in caught.value.hint


def test_read_annotations_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="this is a folder"):
        coco.read_annotations(str(tmp_path))


def test_read_annotations_impossible_path_is_refused():
    with pytest.raises(DataError, match="cannot be read"):
        coco.read_annotations("instances\0.json")


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_read_annotations_empty_file_is_refused(refuse, content):
    assert "is empty" in refuse(content).message


def test_read_annotations_broken_json_names_line_and_column_of_the_file(refuse):
    error = refuse(b'{"images": [{"segmentation": [[1,\n2]]}],\n  "annotations": oops}')
    assert "line 3, column 18" in error.message


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00\x00broken", b'"\xc3\x28"', b"[" * 100_000, b'{"images": ' + b"9" * 5000 + b"}"],
    ids=["utf-32", "utf-8", "nesting", "digits"],
)
def test_read_annotations_hostile_json_is_refused(refuse, content):
    assert "not JSON" in refuse(content).message


def test_read_annotations_archive_hints_to_unpack(refuse):
    assert "unpack" in refuse(b"PK\x03\x04rest").hint


def test_read_annotations_list_is_refused(refuse):
    assert "the JSON holds a list" in refuse([]).message


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_read_annotations_missing_section_is_refused(refuse, key):
    document = {"images": [image()], "annotations": [], "categories": [PERSON]}
    assert f"there is no `{key}`" in refuse(without(document, key)).message
    assert f"`{key}` is null" in refuse({**document, key: None}).message
    assert f"`{key}` is an object" in refuse({**document, key: {}}).message


def test_read_annotations_no_images_is_refused(refuse):
    assert "`images` is empty" in refuse({"images": [], "annotations": [], "categories": [PERSON]}).message


def test_read_annotations_duplicate_image_ids_are_refused_by_name(refuse):
    twice = [image(image_id) for image_id in (1, "1", 7, 7, 8)]
    error = refuse({"images": twice, "annotations": [], "categories": [PERSON]})
    assert "2 image ids are given more than once: 1, 7." in error.message


@pytest.mark.parametrize(
    ("categories", "problem"),
    [
        ([PERSON, {"id": 1, "name": "dog"}], "category id 1 is given to both 'person' and 'dog'"),
        ([None], "categories[0] is null"),
        ([{"id": "1", "name": "person"}], "categories[0] is"),
        ([{"id": True, "name": "person"}], "categories[0] is"),
        ([{"id": -1, "name": "person"}], "categories[0] is"),
        ([{"id": 2**63, "name": "person"}], "categories[0] is"),
        ([{"id": 1}], "categories[0] is"),
        ([{"id": 1, "name": ""}], "categories[0] is"),
    ],
)
def test_read_annotations_bad_categories_are_refused(refuse, categories, problem):
    assert problem in refuse({"images": [image()], "annotations": [], "categories": categories}).message


def test_read_annotations_two_used_categories_of_one_name_are_refused(refuse):
    objects = [annotation(10), annotation(11, category_id=2)]
    document = {"images": [image()], "annotations": objects, "categories": [PERSON, {"id": 2, "name": "person"}]}
    assert "two categories have the name 'person'" in refuse(document).message


@pytest.mark.parametrize("unused_first", [True, False])
def test_read_annotations_unused_category_of_the_same_name_is_passed_over(read, unused_first):
    categories = [{"id": 0, "name": "person", "supercategory": "none"}, PERSON]
    dataset = read(annotations=[annotation()], categories=categories[:: 1 if unused_first else -1])
    assert (dataset.categories, coco.find_category(dataset, "person")) == ({1: "person"}, 1)


# Records.


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (None, "images[1]", QuarantineReason.BAD_FIELD),
        ([], "images[1]", QuarantineReason.BAD_FIELD),
        (without(image(2), "id"), "images[1]", QuarantineReason.MISSING_FIELD),
        (image(True), "images[1]", QuarantineReason.BAD_FIELD),
        (image(1.5), "images[1]", QuarantineReason.BAD_FIELD),
        (image([]), "images[1]", QuarantineReason.BAD_FIELD),
        (image("\ud800"), "images[1]", QuarantineReason.BAD_FIELD),
        (without(image(2), "file_name"), "2", QuarantineReason.MISSING_FIELD),
        (image(2, file_name=""), "2", QuarantineReason.BAD_FILE_NAME),
        (image(2, file_name=3), "2", QuarantineReason.BAD_FILE_NAME),
        (image(2, file_name="a\0b"), "2", QuarantineReason.BAD_FILE_NAME),
        (image(2, file_name="\udc80"), "2", QuarantineReason.BAD_FILE_NAME),
        (without(image(2), "width"), "2", QuarantineReason.MISSING_FIELD),
        (image(2, width=0), "2", QuarantineReason.BAD_SIZE),
        (image(2, height=-5), "2", QuarantineReason.BAD_SIZE),
        (image(2, width="640"), "2", QuarantineReason.BAD_SIZE),
        (image(2, width=True), "2", QuarantineReason.BAD_SIZE),
        (image(2, width=64.5), "2", QuarantineReason.BAD_SIZE),
        (image(2, width=10**400), "2", QuarantineReason.BAD_SIZE),
    ],
)
def test_read_annotations_bad_image_is_quarantined(read, bad, name, reason):
    dataset = read([image(1), bad])
    assert [(q.kind, q.id, q.reason) for q in dataset.quarantined] == [("image", name, reason)]
    assert dataset.quarantined[0].detail
    assert [record.id for record in dataset.images] == [1]
    assert dataset.image_count == 2


def test_read_annotations_annotation_of_quarantined_image_is_not_listed_again(read):
    dataset = read([image(1), image(2, width=0)], [annotation(10, image_id=2, area=-1)])
    assert [q.kind for q in dataset.quarantined] == ["image"]
    assert dataset.annotation_count == 1


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (None, "annotations[1]", QuarantineReason.BAD_FIELD),
        ("text", "annotations[1]", QuarantineReason.BAD_FIELD),
        (without(annotation(11), "id"), "annotations[1]", QuarantineReason.MISSING_FIELD),
        (without(annotation(11), "image_id"), "11", QuarantineReason.MISSING_FIELD),
        (annotation(11, image_id=2), "11", QuarantineReason.UNKNOWN_IMAGE),
        (annotation(11, image_id="2"), "11", QuarantineReason.UNKNOWN_IMAGE),
        (annotation(11, image_id="01"), "11", QuarantineReason.UNKNOWN_IMAGE),
        (annotation(11, image_id=True), "11", QuarantineReason.BAD_FIELD),
        (annotation(11, image_id=[1]), "11", QuarantineReason.BAD_FIELD),
        (annotation(11, category_id=99), "11", QuarantineReason.UNKNOWN_CATEGORY),
        (annotation(11, category_id=True), "11", QuarantineReason.UNKNOWN_CATEGORY),
        (annotation(11, category_id=[1]), "11", QuarantineReason.UNKNOWN_CATEGORY),
        (without(annotation(11), "category_id"), "11", QuarantineReason.MISSING_FIELD),
        (without(annotation(11), "area"), "11", QuarantineReason.MISSING_FIELD),
        (annotation(11, area=-0.5), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=float("nan")), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=float("inf")), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=10**400), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=1e39), "11", QuarantineReason.BAD_AREA),
        (annotation(11, category_id=10**30), "11", QuarantineReason.UNKNOWN_CATEGORY),
        (annotation(11, area="20"), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=True), "11", QuarantineReason.BAD_AREA),
        (annotation(11, area=None), "11", QuarantineReason.BAD_AREA),
        (annotation(11, iscrowd="yes"), "11", QuarantineReason.BAD_FIELD),
    ],
)
def test_read_annotations_bad_annotation_is_quarantined(read, bad, name, reason):
    dataset = read(annotations=[annotation(10), bad])
    assert [(q.kind, q.id, q.reason) for q in dataset.quarantined] == [("annotation", name, reason)]
    assert [a.area for a in dataset.images[0].annotations] == [20.5]
    assert dataset.annotation_count == 2


@pytest.mark.parametrize(
    "bbox",
    [
        [1, 2, 0, 40],
        [1, 2, 30, -1],
        [1, 2, float("nan"), 4],
        [1, 2, 3],
        [1, 2, 3, "4"],
        None,
        {},
        [100, 0, 5, 5],
        [0, 50, 5, 5],
        [-5, 0, 5, 5],
        [0, -5, 5, 5],
    ],
)
def test_read_annotations_degenerate_box_keeps_the_annotation_without_it(read, bbox):
    dataset = read(annotations=[annotation(10, bbox=bbox)])
    assert list(dataset.images[0].annotations) == [Annotation(1, 20.5, None, False)]
    assert [(q.kind, q.id, q.reason) for q in dataset.quarantined] == [("annotation", "10", QuarantineReason.BAD_BOX)]


def test_read_annotations_missing_box_keeps_the_annotation_without_it(read):
    dataset = read(annotations=[without(annotation(10), "bbox")])
    assert next(dataset.images[0].annotations).bbox_xywh_px is None
    assert dataset.quarantined[0].reason is QuarantineReason.BAD_BOX


def test_read_annotations_box_reaching_beyond_the_image_is_kept(read):
    assert next(read(annotations=[annotation(bbox=[-5, -5, 500, 6])]).images[0].annotations).bbox_xywh_px is not None


@pytest.mark.parametrize(("listed", "named"), [(7, "7"), ("7", 7)])
def test_read_annotations_image_id_as_text_of_the_number_is_the_image(read, listed, named):
    dataset = read([image(listed)], [annotation(image_id=named)])
    assert (len(list(dataset.images[0].annotations)), dataset.quarantined) == (1, ())


def test_read_annotations_zero_area_and_missing_iscrowd_are_kept(read):
    dataset = read(annotations=[without(annotation(area=0), "iscrowd")])
    assert next(dataset.images[0].annotations).area == 0.0
    assert dataset.quarantined == ()


ORDERS = list(itertools.permutations(["images", "annotations", "categories"]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_read_annotations_lists_in_any_order_give_the_same(tmp_path, order):
    bad = [annotation(11, category_id=99), annotation(12, image_id=7), annotation(13, area=-1)]
    document = {
        "images": [image(1), image(2, width=0)],
        "annotations": [annotation(10), *bad, annotation(14, image_id=2)],
        "categories": [PERSON, DOG],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({key: document[key] for key in order}))
    dataset = coco.read_annotations(str(path))
    assert {(q.id, q.reason) for q in dataset.quarantined} == {
        ("2", QuarantineReason.BAD_SIZE),
        ("11", QuarantineReason.UNKNOWN_CATEGORY),
        ("12", QuarantineReason.UNKNOWN_IMAGE),
        ("13", QuarantineReason.BAD_AREA),
    }
    assert len(dataset.quarantined) == 4
    assert [list(record.annotations) for record in dataset.images] == [
        [Annotation(1, 20.5, (1.0, 2.0, 30.0, 40.0), False)]
    ]
    assert (dataset.image_count, dataset.annotation_count) == (2, 5)


def test_read_annotations_list_that_stands_twice_is_refused(refuse):
    assert "`images` stands twice" in refuse(b'{"images": [], "categories": [], "images": []}').message


def test_read_annotations_annotations_in_another_order_are_the_same_record(read):
    objects = [annotation(n, area=n, category_id=(1, 18)[n % 2]) for n in range(9)]
    assert read(annotations=objects).images == read(annotations=objects[::-1]).images


def test_read_annotations_memory_does_not_grow_with_the_polygons(tmp_path):
    outline = [[float(n) for n in range(300)]]
    path = tmp_path / "instances.json"
    with path.open("w") as file:
        file.write('{"images": [' + json.dumps(image()) + '], "annotations": [')
        text = json.dumps(annotation(segmentation=outline))
        file.write(",".join([text] * 12_000))
        file.write('], "categories": [{"id": 1, "name": "person"}]}')
    assert path.stat().st_size > 20e6
    tracemalloc.start()
    dataset = coco.read_annotations(str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dataset.annotation_count == 12_000
    assert peak < path.stat().st_size


def test_read_annotations_long_value_is_shortened_in_the_detail(read):
    assert len(read(annotations=[annotation(area="x" * 500)]).quarantined[0].detail) < 80


# Categories.


def test_find_category_known_name_gives_its_id(read):
    assert coco.find_category(read(), "dog") == 18


@pytest.mark.parametrize("name", ["Person", "persn"])
def test_find_category_near_name_is_suggested(read, name):
    with pytest.raises(DataError, match=f"no category has the name '{name}'") as caught:
        coco.find_category(read(), name)
    assert caught.value.hint == "did you mean 'person'?"


NFC, NFD = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"


@pytest.mark.parametrize(("stored", "asked"), [(NFC, NFD), (NFD, NFC)])
def test_find_category_name_that_looks_the_same_is_the_same(read, refuse, stored, asked):
    assert coco.find_category(read(categories=[{"id": 3, "name": stored}], annotations=[]), asked) == 3
    both = [{"id": 3, "name": stored}, {"id": 4, "name": asked}]
    annotations = [annotation(category_id=3), annotation(id=2, category_id=4)]
    error = refuse({"images": [image(1)], "annotations": annotations, "categories": both})
    assert "two categories have the name" in error.message


def test_find_category_among_none_says_that_there_are_none(read):
    with pytest.raises(DataError, match="`categories` is empty, so none has the name 'person'") as caught:
        coco.find_category(read(categories=[], annotations=[]), "person")
    assert '"name": "person"' in caught.value.expected


def test_find_category_far_name_lists_all(read):
    with pytest.raises(DataError) as caught:
        coco.find_category(read(), "zzz")
    assert caught.value.expected.endswith(": dog, person")


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_read_annotations_real_coco_has_nothing_to_quarantine():
    dataset = coco.read_annotations(str(COCO128))
    assert (len(dataset.images), dataset.quarantined, coco.find_category(dataset, "person")) == (128, (), 1)
