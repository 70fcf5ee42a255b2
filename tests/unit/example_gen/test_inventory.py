import json

import pytest

from components.errors import DataError
from components.example_gen import labeling, plan
from components.example_gen.inventory import take_inventory
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import Dropped, DropReason, QuarantineReason

PERSON, DOG = {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}


class Source:
    """An annotations file with its folder: images of 100 x 100 pixels, every other one with a person of 10 %."""

    def __init__(self, root, name, ids):
        self.folder = root / name
        self.folder.mkdir(parents=True)
        self.path = root / f"{name}.json"
        self.categories = [PERSON, DOG]
        self.images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in ids]
        self.annotations = [
            {"id": n, "image_id": i, "category_id": 1, "area": 1000.0, "bbox": [1, 2, 30, 40], "iscrowd": 0}
            for n, i in enumerate(ids)
            if n % 2
        ]
        for image in self.images:
            (self.folder / image["file_name"]).write_bytes(f"image {image['id']} of {name}".encode())

    def write(self):
        document = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        self.path.write_text(json.dumps(document))
        return str(self.path)


def options_of(*sources, **changes):
    files = tuple(source.write() for source in sources)
    folders = tuple(str(source.folder) for source in sources)
    return ExampleGenOptions(**{"annotations": files, "images": folders, "max_quarantined_fraction": 0.5, **changes})


def by_split(sources, **changes):
    files = {split: source.write() for split, source in sources.items()}
    folders = {split: str(source.folder) for split, source in sources.items()}
    return ExampleGenOptions(**{"annotations": files, "images": folders, "max_quarantined_fraction": 0.5, **changes})


def ids_of(inventory):
    return [image.record.source_id for image in inventory.images]


@pytest.fixture
def source(tmp_path):
    def make(name, ids):
        return Source(tmp_path, name, ids)

    return make


# One file.


def test_take_inventory_one_file_gives_images_with_file_label_and_no_split(source):
    one = source("one", range(4))
    inventory = take_inventory(options_of(one))
    assert ids_of(inventory) == ["0", "1", "2", "3"]
    assert [image.file.path for image in inventory.images] == [str(one.folder / f"{n}.jpg") for n in range(4)]
    assert [image.label.label for image in inventory.images] == [0, 1, 0, 1]
    assert {image.split for image in inventory.images} == {None}
    assert (inventory.label_names, inventory.positive) == (("not-person", "person"), "person")
    assert (inventory.image_count, inventory.annotation_count, inventory.ignored) == (4, 2, {})
    assert inventory.has_objects
    assert inventory.size_bucket(inventory.images[1].label) == "over_10%"


def test_take_inventory_no_images_is_refused(source):
    with pytest.raises(DataError, match="`images` is empty"):
        take_inventory(options_of(source("one", [])))


# Several files.


def test_take_inventory_ids_that_differ_stay_as_they_are(source):
    inventory = take_inventory(options_of(source("one", range(4)), source("two", range(4, 6))))
    assert [image.record.id for image in inventory.images] == [0, 1, 2, 3, 4, 5]
    assert (inventory.image_count, inventory.annotation_count) == (6, 3)


def test_take_inventory_ids_that_clash_get_their_files_place(source):
    inventory = take_inventory(options_of(source("one", range(3)), source("two", range(2))))
    assert ids_of(inventory) == ["0/0", "0/1", "0/2", "1/0", "1/1"]
    assert [image.label.label for image in inventory.images] == [0, 1, 0, 0, 1]


def test_take_inventory_one_clash_is_enough_for_all(source):
    inventory = take_inventory(options_of(source("one", [1, 2]), source("two", [2, 3])))
    assert ids_of(inventory) == ["0/1", "0/2", "1/2", "1/3"]


def test_take_inventory_number_and_text_of_it_clash(source):
    assert ids_of(take_inventory(options_of(source("one", [7]), source("two", ["7"])))) == ["0/7", "1/7"]


def test_take_inventory_files_of_splits_state_the_split(source):
    inventory = take_inventory(by_split({"train": source("one", range(3)), "eval": source("two", range(5, 7))}))
    assert [(image.record.source_id, image.split) for image in inventory.images] == [
        ("0", "train"),
        ("1", "train"),
        ("2", "train"),
        ("5", "eval"),
        ("6", "eval"),
    ]


def test_take_inventory_ids_of_splits_that_clash_get_the_split(source):
    # As Roboflow writes them: both files count from 0.
    inventory = take_inventory(by_split({"train": source("one", range(2)), "eval": source("two", range(2))}))
    assert ids_of(inventory) == ["train/0", "train/1", "eval/0", "eval/1"]


def test_take_inventory_bad_records_have_the_ids_that_their_images_have(source):
    one, two = source("one", range(3)), source("two", range(3))
    two.images[1]["width"] = 0
    two.annotations[0] |= {"image_id": 2, "area": -1}
    (one.folder / "2.jpg").unlink()
    inventory = take_inventory(options_of(one, two))
    assert {(entry.kind, entry.id, entry.reason) for entry in inventory.quarantined} == {
        ("image", "1/1", QuarantineReason.BAD_SIZE),
        ("annotation", "1/1", QuarantineReason.BAD_AREA),
        ("image", "0/2", QuarantineReason.MISSING_FILE),
    }


def test_take_inventory_one_folder_serves_all_files(source):
    one, two = source("one", [0, 1]), source("two", [2, 3])
    for n in (2, 3):
        (one.folder / f"{n}.jpg").write_bytes(b"%d" % n)
    inventory = take_inventory(options_of(one, two, images=str(one.folder)))
    assert [image.file.path for image in inventory.images] == [str(one.folder / f"{n}.jpg") for n in range(4)]


def test_take_inventory_digest_is_of_every_file(source):
    one, two = source("one", [0, 1]), source("two", [2, 3])
    before = take_inventory(options_of(one, two)).digest
    assert take_inventory(options_of(one, two)).digest == before
    two.images[0]["width"] = 101
    assert take_inventory(options_of(one, two)).digest != before


# Categories.


def test_take_inventory_category_that_means_two_things_is_refused(source):
    one, two = source("one", [0, 1]), source("two", [2, 3])
    one.categories = [PERSON, {"id": 18, "name": "caf\N{LATIN SMALL LETTER E WITH ACUTE}"}]
    two.categories = [PERSON, {"id": 18, "name": "cafe\N{COMBINING ACUTE ACCENT}"}]
    take_inventory(options_of(one, two))
    two.categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "person"}]
    with pytest.raises(DataError, match=r"category 1 is 'person' in .*one\.json and 'dog' in .*two\.json") as caught:
        take_inventory(options_of(one, two))
    assert "the same list of categories" in caught.value.hint


def test_take_inventory_category_of_two_ids_in_two_files_is_one_label(source):
    one, two = source("one", range(4)), source("two", range(4, 8))
    two.categories = [{"id": 7, "name": "person"}]
    for annotation in two.annotations:
        annotation["category_id"] = 7
    inventory = take_inventory(options_of(one, two))
    assert [image.label.label for image in inventory.images] == [0, 1] * 4


def test_take_inventory_category_that_a_file_lacks_is_refused_by_file(source):
    one, two = source("one", [0, 1]), source("two", [2, 3])
    two.categories, two.annotations = [DOG], []
    with pytest.raises(DataError, match=r"two\.json: no category has the name 'person'"):
        take_inventory(options_of(one, two))


def test_take_inventory_unused_categories_do_no_harm(source):
    one = source("one", range(4))
    one.categories = [{"id": 0, "name": "things"}, PERSON, *({"id": n, "name": f"c{n}"} for n in range(100, 180))]
    assert [image.label.label for image in take_inventory(options_of(one)).images] == [0, 1, 0, 1]


def test_take_inventory_several_categories_have_a_label_each(source):
    one = source("one", range(6))
    one.annotations[1]["category_id"] = 18
    inventory = take_inventory(options_of(one, category=("dog", "person")))
    assert (inventory.label_names, inventory.positive) == (("background", "dog", "person"), None)
    assert [image.label.label for image in inventory.images] == [0, 2, 0, 1, 0, 2]


def test_take_inventory_label_rule_is_followed(source):
    one = source("one", range(4))
    assert [image.label.label for image in take_inventory(options_of(one, label_rule="mlperf")).images] == [0, 1, 0, 1]
    parameters = labeling.RuleParameters(min_area_fraction=0.5)
    assert [i.label.label for i in take_inventory(options_of(one, label_rule=parameters)).images] == [0, 0, 0, 0]


# Several files, planned.


def test_plan_dataset_image_in_train_and_eval_files_is_kept_in_eval_only(source):
    train, held_out = source("one", range(6)), source("two", range(6))
    for n in (2, 3):
        (train.folder / f"{n}.jpg").write_bytes(f"image {n} of two".encode())
    result = plan.plan_dataset(by_split({"train": train, "eval": held_out}))
    assert result.dropped == (
        Dropped("train/2", DropReason.DUPLICATE, "the same bytes as image eval/2"),
        Dropped("train/3", DropReason.DUPLICATE, "the same bytes as image eval/3"),
    )
    assert result.counts == {"train": (2, 2), "eval": (3, 3)}


def test_plan_dataset_image_in_both_files_of_one_folder_is_kept_in_eval_only(source):
    train, held_out = source("one", range(6)), source("two", [])
    held_out.images, held_out.annotations = train.images[2:], train.annotations[1:]
    options = by_split({"train": train, "eval": held_out}, images=str(train.folder))
    result = plan.plan_dataset(options.model_copy(update={"max_quarantined_fraction": 0.0}))
    assert [entry.id for entry in result.dropped] == [f"train/{n}" for n in range(2, 6)]
    assert {image.record.source_id: image.split for image in result.records} == {
        "train/0": "train",
        "train/1": "train",
        "eval/2": "eval",
        "eval/3": "eval",
        "eval/4": "eval",
        "eval/5": "eval",
    }


def test_plan_dataset_image_with_another_label_in_the_other_file_is_quarantined_in_both(source):
    train, held_out = source("one", range(6)), source("two", range(6))
    (train.folder / "2.jpg").write_bytes(b"image 3 of two")
    result = plan.plan_dataset(by_split({"train": train, "eval": held_out}))
    assert {(entry.id, entry.reason) for entry in result.quarantined} == {
        ("train/2", QuarantineReason.CONFLICTING_LABELS),
        ("eval/3", QuarantineReason.CONFLICTING_LABELS),
    }


def test_plan_dataset_test_file_is_a_split_of_its_own(source):
    files = {split: source(split, range(n, n + 4)) for split, n in (("test", 8), ("eval", 4), ("train", 0))}
    assert plan.plan_dataset(by_split(files)).counts == {"train": (2, 2), "eval": (2, 2), "test": (2, 2)}


def test_plan_dataset_file_of_a_split_without_a_label_is_refused(source):
    train, held_out = source("one", range(4)), source("two", range(4, 8))
    held_out.annotations = []
    with pytest.raises(DataError, match="the eval split has no image of the label 'person': not-person 4, person 0"):
        plan.plan_dataset(by_split({"train": train, "eval": held_out}))


def test_plan_dataset_id_list_names_ids_with_their_files_place(source, tmp_path):
    one, two = source("one", range(8)), source("two", range(8))
    (tmp_path / "eval.txt").write_text("0/0\n1/1\n")
    result = plan.plan_dataset(options_of(one, two, split_ids={"eval": str(tmp_path / "eval.txt")}))
    assert [image.record.source_id for image in result.records if image.split == "eval"] == ["0/0", "1/1"]
    (tmp_path / "eval.txt").write_text("0\n1\n")
    with pytest.raises(DataError, match="2 of 2 images of the id lists are not in the data: 0, 1"):
        plan.plan_dataset(options_of(one, two, split_ids={"eval": str(tmp_path / "eval.txt")}))


def test_plan_dataset_limit_of_bad_images_is_of_all_files_together(source):
    one, two = source("one", range(30)), source("two", range(30, 60))
    for n in range(3):
        (one.folder / f"{n}.jpg").unlink()
    options = options_of(one, two, max_quarantined_fraction=0.05)
    assert len(plan.plan_dataset(options).quarantined) == 3
    (two.folder / "30.jpg").unlink()
    with pytest.raises(DataError, match="4 of 60 images are bad"):
        plan.plan_dataset(options)


def test_plan_dataset_shares_split_several_files_by_their_ids(source):
    one, two = source("one", range(40)), source("two", range(40, 80))
    together = plan.plan_dataset(options_of(one, two))
    swapped = plan.plan_dataset(options_of(two, one))
    assert {i.record.source_id: i.split for i in together.records} == {
        i.record.source_id: i.split for i in swapped.records
    }
    assert together.counts == swapped.counts


# Exports of common tools.


def test_take_inventory_category_ids_from_zero_and_text_ids_of_images_are_taken(source):
    one = source("one", ["a1", "b2", "c3", "d4"])
    one.categories = [{"id": 0, "name": "person", "supercategory": "none"}]
    for annotation in one.annotations:
        annotation |= {"category_id": 0, "segmentation": [], "attributes": {"occluded": False}}
    inventory = take_inventory(options_of(one))
    assert [(image.record.source_id, image.label.label) for image in inventory.images] == [
        ("a1", 0),
        ("b2", 1),
        ("c3", 0),
        ("d4", 1),
    ]


def test_take_inventory_missing_iscrowd_means_no_crowd(source):
    one = source("one", range(4))
    for annotation in one.annotations:
        del annotation["iscrowd"]
    inventory = take_inventory(options_of(one, label_rule="mlperf"))
    assert [image.label.label for image in inventory.images] == [0, 1, 0, 1]
    assert inventory.quarantined == ()


def test_take_inventory_huge_ids_are_taken(source):
    huge = 2**70
    inventory = take_inventory(options_of(source("one", [huge, huge + 1])))
    assert ids_of(inventory) == [str(huge), str(huge + 1)]


def test_take_inventory_names_of_files_may_have_spaces_and_folders(source):
    one = source("one", [0, 1])
    names = ["a b/ü 1.jpg", "a%20b.jpg"]
    for image, name in zip(one.images, names, strict=True):
        (one.folder / name).parent.mkdir(exist_ok=True)
        (one.folder / name).write_bytes(name.encode())
        image["file_name"] = name
    assert [image.record.file_name for image in take_inventory(options_of(one)).images] == names
