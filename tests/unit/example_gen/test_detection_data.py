"""A detector's data, from annotations to the plan and the files: what is kept, left out, and refused."""

import json

import apache_beam as beam
import pytest
import tensorflow as tf
from PIL import Image

from components import features
from components.detection.ground_truth import read_ground_truth
from components.errors import DataError
from components.example_gen import plan, quarantine
from components.example_gen.inventory import take_inventory
from components.example_gen.options import BoxOptions, ExampleGenOptions
from components.example_gen.quarantine import QuarantineReason
from components.example_gen.shards import cut_shards
from components.example_gen.transforms import WriteExamples, write_shards

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 44, "name": "bottle"}]
GOOD = [10, 20, 30, 40]


class Detection:
    """20 images of 100 x 100 pixels, each with a person, those of an even id with a dog of half the size too."""

    def __init__(self, root):
        self.root = root
        self.images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 100} for n in range(20)]
        self.annotations = []
        for n in range(20):
            self.add(n, 1, GOOD)
            if n % 2 == 0:
                self.add(n, 18, [10, 20, 15, 40])
        (root / "images").mkdir()
        for n in range(20):
            Image.new("RGB", (100, 100), (n, 0, 0)).save(root / "images" / f"{n}.png")

    def add(self, image, category, bbox, **fields):
        entry = {"id": 1000 + len(self.annotations), "image_id": image, "category_id": category, "area": 50.0}
        self.annotations.append({**entry, "bbox": bbox, "iscrowd": 0, **fields})
        return str(entry["id"])

    def options(self, **changes):
        path = self.root / "instances.json"
        path.write_text(json.dumps({"images": self.images, "annotations": self.annotations, "categories": CATEGORIES}))
        fields = {"category": ("person", "dog"), "boxes": BoxOptions(), "max_quarantined_fraction": 0.5}
        fields["splits"] = {"train": 0.5, "eval": 0.5}
        return ExampleGenOptions(annotations=str(path), images=str(self.root / "images"), **{**fields, **changes})

    def plan(self, **changes):
        return plan.plan_dataset(self.options(**changes))


@pytest.fixture
def data(tmp_path):
    return Detection(tmp_path)


def test_plan_dataset_of_a_detector_labels_images_by_their_largest_object(data):
    data.annotations = [each for each in data.annotations if each["image_id"] != 3]
    data.add(5, 18, [0, 0, 100, 100])
    data.add(7, 44, [0, 0, 100, 100])
    data.add(9, 18, [0, 0, 100, 100], iscrowd=1)
    result = data.plan()
    assert (result.label_names, result.positive) == (("background", "person", "dog"), None)
    assert [image.label for image in result.records] == [1, 1, 1, 0, 1, 2] + 14 * [1]
    assert result.rule.id == "boxes"
    assert "every object has the label of its category" in result.rule.in_words()
    assert sum(result.boxes.labels[split]["dog"] for split in ("train", "eval")) == 11
    assert sum(result.boxes.crowds.values()) == 1


def test_plan_dataset_of_one_category_has_a_background_too(data):
    result = data.plan(category="person")
    assert (result.label_names, result.positive) == (("background", "person"), None)
    assert {image.label for image in result.records} == {1}


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ([10, 10, 0, 5], QuarantineReason.EMPTY_BOX),
        ([10, 10, -5, 5], QuarantineReason.EMPTY_BOX),
        ([10, float("nan"), 5, 5], QuarantineReason.BOX_NOT_FINITE),
        ([10, 10, float("inf"), 5], QuarantineReason.BOX_NOT_FINITE),
        ([100, 10, 5, 5], QuarantineReason.BOX_OUTSIDE),
        ([10, 10, 5], QuarantineReason.MISSING_BOX),
        (None, QuarantineReason.MISSING_BOX),
    ],
)
def test_plan_dataset_box_that_nothing_can_be_learned_of_is_quarantined_with_its_annotation(data, bbox, reason):
    bad = data.add(4, 1, bbox)
    result = data.plan()
    assert [(entry.kind, entry.id, entry.reason) for entry in result.quarantined] == [("annotation", bad, reason)]
    assert len(list(result.records[4].record.annotations)) == 2
    assert json.loads(quarantine.render_quarantine(result.quarantined, ()))["reason"] == str(reason)


def test_plan_dataset_annotation_without_bbox_at_all_is_quarantined(data):
    bad = data.add(4, 1, GOOD)
    del data.annotations[-1]["bbox"]
    assert [(entry.id, entry.reason) for entry in data.plan().quarantined] == [(bad, QuarantineReason.MISSING_BOX)]


def test_plan_dataset_without_areas_takes_those_of_the_boxes_as_clipped(data):
    data.add(4, 1, [90, 90, 50, 50])
    for each in data.annotations:
        del each["area"]
    bad = data.add(4, 1, GOOD, area=None)
    result = data.plan()
    assert [(entry.id, entry.reason) for entry in result.quarantined] == [(bad, QuarantineReason.BAD_AREA)]
    assert [(each.category_id, each.area) for each in result.records[4].record.annotations] == [
        (1, 100.0), (1, 1200.0), (18, 600.0)
    ]  # fmt: skip
    with pytest.raises(DataError, match="annotations are bad"):
        data.plan(boxes=None, category="person", max_quarantined_fraction=0.1)


def test_plan_dataset_too_many_bad_boxes_are_refused(data):
    for n in range(4):
        data.add(n, 1, [0, 0, 0, 0])
    with pytest.raises(DataError, match=r"4 of 34 annotations are bad \(11.8%\): empty_box 4") as caught:
        data.plan(max_quarantined_fraction=0.1)
    assert "max_quarantined_fraction" in caught.value.hint


def test_plan_dataset_box_beyond_its_image_is_clipped_or_quarantined(data):
    bad = data.add(4, 1, [90, 90, 50, 50])
    clipped = data.plan()
    assert clipped.quarantined == ()
    assert [each.bbox_xywh_px for each in clipped.records[4].record.annotations if each.is_clipped] == [
        (90.0, 90.0, 10.0, 10.0)
    ]
    split = clipped.records[4].split
    assert clipped.boxes.clipped == {**dict.fromkeys(("train", "eval"), 0), split: 1}
    assert clipped.boxes.total == 31
    strict = data.plan(boxes=BoxOptions(outside="quarantine"))
    assert [(entry.id, entry.reason) for entry in strict.quarantined] == [(bad, QuarantineReason.BOX_OUTSIDE)]


def test_take_inventory_of_a_classifier_keeps_an_annotation_without_its_box(data):
    data.add(4, 1, [10, 10, 0, 5])
    result = take_inventory(data.options(boxes=None))
    assert [entry.reason for entry in result.quarantined] == [QuarantineReason.BAD_BOX]
    assert len(list(result.images[4].record.annotations)) == 3


def test_plan_dataset_category_without_boxes_is_refused_with_its_split(data):
    (data.root / "eval.txt").write_text("1\n2\n3\n")
    options = {"category": ("person", "bottle"), "splits": None, "split_ids": {"eval": str(data.root / "eval.txt")}}
    with pytest.raises(DataError, match="the train split has no box of 'bottle'; it has person 17") as caught:
        data.plan(**options)
    assert "data.category" in caught.value.hint
    data.add(0, 44, GOOD)
    data.add(1, 44, GOOD, iscrowd=1)
    with pytest.raises(DataError, match="eval split has no box of 'bottle'; it has person 3, and 1 crowds, which do"):
        data.plan(**options)
    data.add(1, 44, GOOD)
    assert data.plan(**options).boxes.labels["eval"] == {"person": 3, "bottle": 1}


def test_plan_dataset_copies_with_other_objects_contradict_each_other(data):
    (data.root / "images/3.png").write_bytes((data.root / "images/1.png").read_bytes())
    assert [entry.id for entry in data.plan().dropped] == ["3"]
    data.add(3, 18, [1, 1, 5, 5])
    result = data.plan()
    assert [(entry.id, entry.reason) for entry in result.quarantined] == [
        ("1", QuarantineReason.CONFLICTING_LABELS), ("3", QuarantineReason.CONFLICTING_LABELS)
    ]  # fmt: skip
    assert "other objects" in result.quarantined[0].detail


def test_plan_dataset_copies_in_two_files_agree_whatever_ids_and_areas_those_state(data):
    options = data.options(max_quarantined_fraction=0.0)
    tree = json.loads((data.root / "instances.json").read_text())
    for each in tree["annotations"]:
        each["category_id"] += 100
        each["area"] += 1
    for each in tree["categories"]:
        each["id"] += 100
    tree["images"] = tree["images"][:6]
    tree["annotations"] = [each for each in tree["annotations"] if each["image_id"] < 6]
    (data.root / "other.json").write_text(json.dumps(tree))
    files = (options.annotations, str(data.root / "other.json"))
    result = plan.plan_dataset(options.model_copy(update={"annotations": files}))
    assert [entry.id for entry in result.dropped] == [f"1/{n}" for n in range(6)]
    assert result.quarantined == ()


def test_plan_dataset_image_with_500_boxes_is_written_with_them_all(data):
    for n in range(500):
        data.add(6, 18, [n % 90, n // 6, 5, 5.5])
    result = data.plan()
    split = result.records[6].split
    assert result.boxes.beyond(split, 64) == (1, 438)
    shards = write_shards(cut_shards(result.records, seed=0), str(data.root / "shards"))
    with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(["--direct_running_mode=in_memory"])) as p:
        (
            p
            | beam.Create(shards)
            | WriteExamples(str(data.root / "out"), result.label_names, 20, {1: 1, 18: 2}, result.rule.parameters)
        )
    truths = {}
    for path in tf.io.gfile.glob(f"{data.root}/out/Split-*/*"):
        truths |= read_ground_truth([path])
    assert sorted(map(int, truths)) == list(range(20))
    assert truths["6"].labels.tolist().count(2) == 501
    assert len(truths["5"].labels) == 1
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{data.root}/out/Split-{split}/*")).as_numpy_iterator()
    (crowded,) = (record for record in records if b"6.png" in record and b"16.png" not in record)
    example = tf.train.Example.FromString(crowded).features.feature
    assert example[features.LABEL].int64_list.value[:] == [1]
    assert len(example[features.OBJECT_LABEL].int64_list.value) == 502


def test_example_gen_options_refuse_what_a_detector_does_not_ask(data):
    with pytest.raises(ValueError, match="label_rule: has no meaning with task=detection"):
        data.options(label_rule="slim")
    with pytest.raises(ValueError, match="none named 'background'"):
        data.options(category="background")
    with pytest.raises(ValueError, match="expected different names"):
        data.options(category=("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"))
    with pytest.raises(ValueError, match="format: received image_folder; a detector learns from boxes"):
        ExampleGenOptions(format="image_folder", images="a", boxes=BoxOptions())
