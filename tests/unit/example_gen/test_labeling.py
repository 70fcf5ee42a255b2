import dataclasses
import json
from pathlib import Path

import pytest

from components.example_gen import coco, labeling
from components.example_gen.coco import Annotation, ImageRecord
from components.example_gen.labeling import NEGATIVE, POSITIVE, SLIM

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128/instances.json"
PERSON = 1
DOG = 18


def record(*annotations):
    """100 x 200 pixels, so that 100 square pixels are 0.5 %."""
    boxed = [Annotation(n, category, area, None, crowd) for n, (category, area, crowd) in enumerate(annotations)]
    return ImageRecord(1, "1.jpg", 200, 100, tuple(boxed))


@pytest.mark.parametrize(
    ("annotations", "label"),
    [
        ([], NEGATIVE),
        ([(PERSON, 100.0, False)], POSITIVE),
        ([(PERSON, 99.999, False)], NEGATIVE),
        ([(PERSON, 60.0, False), (PERSON, 60.0, False)], NEGATIVE),
        ([(PERSON, 1.0, False), (PERSON, 101.0, False)], POSITIVE),
        ([(PERSON, 5000.0, True)], POSITIVE),
        ([(DOG, 5000.0, False)], NEGATIVE),
        ([(DOG, 5000.0, False), (PERSON, 99.0, False)], NEGATIVE),
    ],
    ids=["none", "at", "below", "sum", "any", "crowd", "other", "other_and_small"],
)
def test_label_image_slim_follows_the_largest_single_area(annotations, label):
    assert labeling.label_image(record(*annotations), PERSON, SLIM) == label


def test_label_image_another_limit_is_followed():
    half = dataclasses.replace(SLIM, id="half", min_area_fraction=0.5)
    assert labeling.label_image(record((PERSON, 9999.0, False)), PERSON, half) == NEGATIVE


def test_largest_area_fraction_ignores_other_categories():
    image = record((PERSON, 100.0, False), (PERSON, 400.0, True), (DOG, 9000.0, False))
    assert labeling.largest_area_fraction(image, PERSON) == 0.02


def test_largest_area_fraction_no_object_is_zero():
    assert labeling.largest_area_fraction(record(), PERSON) == 0.0


@pytest.mark.parametrize(
    ("fraction", "bucket"),
    [
        (0.0, "none"),
        (1e-9, "under_0.5%"),
        (0.00499, "under_0.5%"),
        (0.005, "0.5%_to_2%"),
        (0.0199, "0.5%_to_2%"),
        (0.02, "2%_to_10%"),
        (0.0999, "2%_to_10%"),
        (0.1, "over_10%"),
        (1.2, "over_10%"),
    ],
)
def test_size_bucket_edge_belongs_to_the_larger(fraction, bucket):
    assert labeling.size_bucket(fraction) == bucket
    assert bucket in labeling.SIZE_BUCKETS


def test_label_rules_are_found_by_their_id():
    assert {name: rule.id for name, rule in labeling.LABEL_RULES.items()} == {"slim": "slim"}


def test_label_rule_digest_names_the_rule_and_its_number():
    # A golden: manifests of releases hold it. Another digest is another rule, and needs another version.
    assert SLIM.version == 1
    assert SLIM.digest() == "60686f92e2693d2093fed39ce8b6ac78076eb3d170eca22f55e93954b42c4c03"
    assert dataclasses.replace(SLIM, min_area_fraction=0.006).digest() != SLIM.digest()


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_label_image_slim_on_real_coco_matches_a_second_reading():
    dataset = coco.read_annotations(str(COCO128))
    labels = {image.id: labeling.label_image(image, PERSON, SLIM) for image in dataset.images}
    document = json.loads(COCO128.read_text())
    sizes = {image["id"]: image["height"] * image["width"] for image in document["images"]}
    positive = {
        a["image_id"]
        for a in document["annotations"]
        if a["category_id"] == PERSON and a["area"] / sizes[a["image_id"]] >= 0.005
    }
    assert {image_id for image_id, label in labels.items() if label == POSITIVE} == positive
    assert (len(positive), len(labels) - len(positive)) == (50, 78)
