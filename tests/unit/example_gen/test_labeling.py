import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.example_gen import coco, labeling
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.labeling import FOLDER_RULE, LABEL_RULES, NEGATIVE, Quantity, RuleParameters, SmallOnly
from components.example_gen.options import ExampleGenOptions

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128/instances.json"
PERSON, DOG, CAT = 1, 18, 17
POSITIVE = 1
DROPPED = None

# The rules in circulation, as their sources have them: what is measured, above which share of the image.
MASK_RULES = ("slim", "slim-download", "pyvww")
BOX_RULES = ("mlperf", "kenning", "paper")
RULES = (*MASK_RULES, *BOX_RULES)
THRESHOLDS = {rule: 0.025 if rule == "mlperf" else 0.005 for rule in RULES}

WIDTH, HEIGHT = 200, 100  # so that 100 square pixels are 0.5 % and 500 are 2.5 %
AREA = WIDTH * HEIGHT


def parameters_of(rule):
    parameters = LABEL_RULES[rule].parameters
    assert parameters is not None
    return parameters


def record(*annotations):
    return ImageRecord(1, "1.jpg", WIDTH, HEIGHT, pack_annotations(annotations))


def thing(area, *, category=PERSON, crowd=False, box_area=None):
    """An object whose mask and box have the same area, unless the box is told another; 10 pixels high."""
    side = (area if box_area is None else box_area) / 10
    return Annotation(category, float(area), (0.0, 0.0, side, 10.0), crowd)


def label(rule, *annotations, categories=(PERSON,)):
    parameters = rule if isinstance(rule, RuleParameters) else parameters_of(rule)
    return labeling.label_image(record(*annotations), categories, parameters).label


# The presets, one test for each way in which they differ.


def test_label_rules_are_those_that_the_options_offer():
    assert {name: rule.id for name, rule in LABEL_RULES.items()} == {rule: rule for rule in RULES}
    for rule in RULES:
        assert ExampleGenOptions(annotations="a", images="i", label_rule=rule).rule is LABEL_RULES[rule]


def test_options_without_a_rule_mean_slim():
    assert ExampleGenOptions(annotations="a", images="i").rule is LABEL_RULES["slim"]


@pytest.mark.parametrize("rule", MASK_RULES)
def test_label_image_mask_rule_measures_the_mask(rule):
    assert label(rule, thing(AREA / 2, box_area=1)) == POSITIVE
    assert label(rule, thing(1, box_area=AREA / 2)) == NEGATIVE


@pytest.mark.parametrize("rule", BOX_RULES)
def test_label_image_box_rule_measures_the_box(rule):
    assert label(rule, thing(1, box_area=AREA / 2)) == POSITIVE
    assert label(rule, thing(AREA / 2, box_area=1)) != POSITIVE


@pytest.mark.parametrize("rule", RULES)
def test_label_image_preset_decides_at_its_threshold(rule):
    threshold = THRESHOLDS[rule] * AREA
    assert label(rule, thing(1.001 * threshold)) == POSITIVE
    assert label(rule, thing(0.999 * threshold)) != POSITIVE


@pytest.mark.parametrize("rule", RULES)
def test_label_image_exactly_the_threshold_is_enough_for_slim_alone(rule):
    assert (label(rule, thing(THRESHOLDS[rule] * AREA)) == POSITIVE) is (rule == "slim")


@pytest.mark.parametrize("rule", RULES)
def test_label_image_crowds_count_but_for_mlperf(rule):
    assert label(rule, thing(AREA / 2, crowd=True)) == (NEGATIVE if rule == "mlperf" else POSITIVE)


@pytest.mark.parametrize("rule", RULES)
def test_label_image_small_objects_only_are_dropped_by_mlperf_and_negative_elsewhere(rule):
    assert label(rule, thing(1)) == (DROPPED if rule == "mlperf" else NEGATIVE)


def test_label_image_mlperf_small_object_beside_a_crowd_is_dropped():
    assert label("mlperf", thing(1), thing(AREA / 2, crowd=True)) == DROPPED


@pytest.mark.parametrize("rule", RULES)
def test_label_image_small_objects_add_up_for_kenning_alone(rule):
    part = 0.6 * THRESHOLDS[rule] * AREA
    expected = {"kenning": POSITIVE, "mlperf": DROPPED}.get(rule, NEGATIVE)
    assert label(rule, thing(part), thing(part)) == expected


def test_label_image_kenning_adds_crowds_and_single_objects():
    assert label("kenning", thing(60), thing(60, crowd=True)) == POSITIVE


@pytest.mark.parametrize("rule", RULES)
def test_label_image_one_large_object_among_small_ones_is_enough(rule):
    assert label(rule, thing(1), thing(AREA / 2), thing(2)) == POSITIVE


@pytest.mark.parametrize("rule", RULES)
def test_label_image_without_objects_of_the_category_is_negative(rule):
    assert label(rule) == NEGATIVE
    assert label(rule, thing(AREA / 2, category=DOG)) == NEGATIVE


@pytest.mark.parametrize("rule", MASK_RULES)
def test_label_image_mask_rule_needs_no_box(rule):
    assert label(rule, Annotation(PERSON, AREA / 2, None, is_crowd=False)) == POSITIVE


@pytest.mark.parametrize("rule", BOX_RULES)
def test_label_image_box_rule_takes_an_object_without_box_for_a_small_one(rule):
    expected = DROPPED if rule == "mlperf" else NEGATIVE
    assert label(rule, Annotation(PERSON, AREA / 2, None, is_crowd=False)) == expected


@pytest.mark.parametrize("rule", BOX_RULES)
def test_label_image_box_rule_measures_what_lies_outside_of_the_image_too(rule):
    beyond = Annotation(PERSON, 1.0, (WIDTH - 1.0, 0.0, AREA / 100, 100.0), is_crowd=False)
    assert label(rule, beyond) == POSITIVE


# Several categories.


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([], NEGATIVE),
        ([thing(AREA / 2, category=CAT)], NEGATIVE),
        ([thing(AREA / 2, category=PERSON)], 1),
        ([thing(AREA / 2, category=DOG)], 2),
        ([thing(1000, category=PERSON), thing(1001, category=DOG)], 2),
        ([thing(1001, category=PERSON), thing(1000, category=DOG)], 1),
        ([thing(1, category=PERSON), thing(1000, category=DOG)], 2),
        ([thing(99, category=PERSON), thing(99, category=DOG)], NEGATIVE),
        ([thing(1000, category=DOG), thing(9000, category=CAT)], 2),
    ],
    ids=["none", "other", "first", "second", "larger", "larger_first", "one_small", "both_small", "beside_other"],
)
def test_label_image_several_categories_the_largest_object_decides(annotations, expected):
    assert label("slim", *annotations, categories=(PERSON, DOG)) == expected


def test_label_image_equal_objects_of_two_categories_the_first_category_wins():
    both = (thing(1000, category=PERSON), thing(1000, category=DOG))
    assert label("slim", *both, categories=(PERSON, DOG)) == 1
    assert label("slim", *both, categories=(DOG, PERSON)) == 1


def test_label_image_sums_add_up_within_a_category_only():
    assert label("kenning", thing(60), thing(60, category=DOG), categories=(PERSON, DOG)) == NEGATIVE
    many = [thing(60, category=DOG)] * 3
    assert label("kenning", thing(150), *many, categories=(PERSON, DOG)) == 2


def test_label_image_mlperf_drops_an_image_whose_objects_of_all_categories_are_small():
    assert label("mlperf", thing(1), thing(2, category=DOG), categories=(PERSON, DOG)) == DROPPED
    assert label("mlperf", thing(1), thing(AREA / 2, category=DOG), categories=(PERSON, DOG)) == 2


# The largest object, by which metrics are sliced.


def largest_fraction(rule, *annotations, categories=(PERSON,)):
    return labeling.label_image(record(*annotations), categories, parameters_of(rule)).largest_fraction


@pytest.mark.parametrize("rule", RULES)
def test_largest_fraction_is_of_one_object_even_where_the_rule_adds_up(rule):
    assert largest_fraction(rule, thing(400), thing(400), thing(100)) == 400 / AREA


def test_largest_fraction_is_of_what_the_rule_counts():
    crowd = thing(8000, crowd=True)
    assert largest_fraction("mlperf", thing(600), crowd) == 600 / AREA
    assert largest_fraction("mlperf", crowd) == 0.0
    assert largest_fraction("slim", thing(600), crowd) == 8000 / AREA
    assert largest_fraction("slim", thing(600), thing(8000, category=DOG)) == 600 / AREA
    assert largest_fraction("slim", thing(600), thing(8000, category=DOG), categories=(PERSON, DOG)) == 8000 / AREA


def test_largest_fraction_no_object_is_zero():
    assert largest_fraction("slim") == 0.0


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


# A rule of the user's own.


@pytest.mark.parametrize(
    ("change", "annotations", "before", "after"),
    [
        ({"quantity": Quantity.BOX_AREA}, [thing(AREA / 2, box_area=1)], POSITIVE, NEGATIVE),
        ({"min_area_fraction": 0.5}, [thing(AREA * 0.49)], POSITIVE, NEGATIVE),
        ({"inclusive": False}, [thing(AREA / 10)], POSITIVE, NEGATIVE),
        ({"sums": True}, [thing(AREA * 0.06), thing(AREA * 0.06)], NEGATIVE, POSITIVE),
        ({"crowds": False}, [thing(AREA / 2, crowd=True)], POSITIVE, NEGATIVE),
        ({"small_only": SmallOnly.DROP}, [thing(1)], NEGATIVE, DROPPED),
    ],
    ids=["quantity", "min_area_fraction", "inclusive", "sums", "crowds", "small_only"],
)
def test_label_image_every_parameter_of_a_custom_rule_is_followed(change, annotations, before, after):
    plain = RuleParameters(min_area_fraction=0.1)
    assert label(plain, *annotations) == before
    assert label(RuleParameters(**{"min_area_fraction": 0.1, **change}), *annotations) == after


def test_label_image_threshold_of_zero_takes_any_object():
    anything = RuleParameters(min_area_fraction=0.0)
    assert label(anything, thing(0)) == POSITIVE
    assert label(anything) == NEGATIVE


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan"), "0.1", None])
def test_rule_parameters_impossible_threshold_is_refused(fraction):
    with pytest.raises(ValidationError):
        RuleParameters(min_area_fraction=fraction)


def test_options_rule_parameters_make_a_custom_rule():
    text = '{"annotations": "a", "images": "i", "label_rule": {"min_area_fraction": 0.01, "quantity": "box_area"}}'
    rule = ExampleGenOptions.from_json(text).rule
    assert (rule.id, rule.version) == ("custom", 1)
    assert rule.parameters == RuleParameters(min_area_fraction=0.01, quantity=Quantity.BOX_AREA)


def test_options_folders_have_a_rule_without_parameters():
    assert ExampleGenOptions(format="image_folder", images="i").rule is labeling.FOLDER_RULE


# What manifests of releases hold.


@pytest.mark.parametrize(
    ("rule", "digest"),
    [
        ("slim", "42ab62b6b4f637c95afeadbaefe86230b3e4e48fabe28d569234f3ba72657041"),
        ("slim-download", "d6a5877f36d9cb1a78c4287e3aeb62aa0e3d6e9c9fd7490b6502bbd17e045c54"),
        ("pyvww", "9f9034596524388081fd1e0ab3d37db749897d16f698fc6eeb6cc323ba203ae3"),
        ("mlperf", "1e8a161db2b479ef6634bf4d5b2eedc3066cb2d206059ac320c1f8a5f3f2dd09"),
        ("kenning", "6cabbb4db51ae052f01849dea581a254e2aff208b566ad4ec9e2115bab9c3b1c"),
        ("paper", "f523d3aab53cd05c9593136ba706dfd8441954c316e50ef6236951af828451b6"),
    ],
)
def test_label_rule_digest_of_a_preset_is_golden(rule, digest):
    # Another digest is another rule, and needs another version.
    assert LABEL_RULES[rule].version == 1
    assert LABEL_RULES[rule].digest() == digest


def test_label_rule_digest_of_folders_is_golden():
    assert labeling.FOLDER_RULE.digest() == "37794e11425bd588447cf4bf2dc62a6cdcfa00aec92992212f936d8dd33ca9ee"


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Quantity.BOX_AREA},
        {"min_area_fraction": 0.006},
        {"inclusive": False},
        {"sums": True},
        {"crowds": False},
        {"small_only": SmallOnly.DROP},
    ],
    ids=lambda change: next(iter(change)),
)
def test_label_rule_digest_every_parameter_changes_it(change):
    plain = RuleParameters(min_area_fraction=0.005)
    changed = plain.model_copy(update=change)
    assert labeling.custom_rule(changed).digest() != labeling.custom_rule(plain).digest()


def test_label_rule_digest_custom_rule_is_never_that_of_a_preset():
    for rule in LABEL_RULES.values():
        assert rule.parameters is not None
        assert labeling.custom_rule(rule.parameters).digest() != rule.digest()


# A real set, read a second time without any of our code: each reading follows its source, not our parameters.


def read_plainly():
    document = json.loads(COCO128.read_text())
    sizes = {image["id"]: image["height"] * image["width"] for image in document["images"]}
    people = {image_id: [] for image_id in sizes}
    for annotation in document["annotations"]:
        if annotation["category_id"] == PERSON:
            people[annotation["image_id"]].append(annotation)
    return sizes, people


def box_area(annotation):
    return annotation["bbox"][2] * annotation["bbox"][3]


def second_slim(size, people):
    kept = [person for person in people if not person["area"] / size < 0.005]
    return 1 if kept else 0


def second_strict_mask(size, people):
    return int(any(person["area"] / size > 0.005 for person in people))


def second_mlperf(size, people):
    single = [person for person in people if person["iscrowd"] == 0]
    if not single:
        return 0
    return 1 if max(map(box_area, single)) / size > 0.025 else None


def second_kenning(size, people):
    return int(sum(map(box_area, people)) / size > 0.005)


def second_paper(size, people):
    return int(any(box_area(person) / size > 0.005 for person in people))


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
@pytest.mark.parametrize(
    ("rule", "second_reading", "counts"),
    [
        ("slim", second_slim, (50, 78, 0)),
        ("slim-download", second_strict_mask, (50, 78, 0)),
        ("pyvww", second_strict_mask, (50, 78, 0)),
        ("mlperf", second_mlperf, (46, 67, 15)),
        ("kenning", second_kenning, (57, 71, 0)),
        ("paper", second_paper, (54, 74, 0)),
    ],
)
def test_label_image_on_real_coco_matches_a_second_reading(rule, second_reading, counts):
    dataset = coco.read_annotations(str(COCO128))
    labels = {i.id: labeling.label_image(i, (PERSON,), parameters_of(rule)).label for i in dataset.images}
    sizes, people = read_plainly()
    assert labels == {image_id: second_reading(size, people[image_id]) for image_id, size in sizes.items()}
    found = list(labels.values())
    assert (found.count(POSITIVE), found.count(NEGATIVE), found.count(DROPPED)) == counts


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_label_image_mlperf_on_real_coco_matches_pycocotools():
    # As buildPersonDetectionDatabase.py asks: the images of the category, then their annotations that are no crowds.
    from pycocotools.coco import COCO

    reader = COCO(str(COCO128))
    dataset = coco.read_annotations(str(COCO128))
    for image in dataset.images:
        size = reader.loadImgs(image.id)[0]
        people = reader.loadAnns(reader.getAnnIds(imgIds=image.id, catIds=[PERSON], iscrowd=False))
        large = [p for p in people if box_area(p) / (size["width"] * size["height"]) > 0.025]
        expected = POSITIVE if large else DROPPED if people else NEGATIVE
        assert labeling.label_image(image, (PERSON,), parameters_of("mlperf")).label == expected


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_label_image_several_categories_on_real_coco_match_a_second_reading():
    dataset = coco.read_annotations(str(COCO128))
    names = ("dog", "person", "cat")
    ids = tuple(coco.find_category(dataset, name) for name in names)
    labels = {i.id: labeling.label_image(i, ids, parameters_of("slim")).label for i in dataset.images}
    document = json.loads(COCO128.read_text())
    by_name = {category["id"]: category["name"] for category in document["categories"]}
    for image in document["images"]:
        areas = {}
        for a in document["annotations"]:
            if a["image_id"] == image["id"]:
                name = by_name[a["category_id"]]
                areas[name] = max(areas.get(name, 0.0), a["area"])
        size = image["width"] * image["height"]
        large = [(areas[name], -place) for place, name in enumerate(names) if areas.get(name, 0) / size >= 0.005]
        assert labels[image["id"]] == (1 - max(large)[1] if large else 0)
    assert {*labels.values()} == {0, 1, 2, 3}


# The objects that gave the label.


def givers(rule, label, *annotations, categories=(PERSON,)):
    parameters = None if rule is None else parameters_of(rule)
    of_category = {category: place for place, category in enumerate(categories, start=1)}
    return labeling.find_label_givers(record(*annotations), label, of_category, parameters)


def test_label_givers_are_the_large_enough_objects_of_the_labels_category():
    small, large, other = thing(99), thing(300), thing(5000, category=DOG)
    assert givers("slim", 1, small, large, other) == [large]
    assert givers("slim", 2, small, large, other, categories=(PERSON, DOG)) == [other]


def test_label_givers_are_counted_as_the_rule_counts():
    crowd, one = thing(4000, crowd=True), thing(3000)
    assert set(givers("slim", 1, crowd, one)) == {crowd, one}
    assert givers("mlperf", 1, crowd, one) == [one]
    assert len(givers("kenning", 1, thing(60), thing(70))) == 2  # only together are they large enough


def test_label_givers_of_a_negative_or_of_a_folder_are_none():
    assert not givers("slim", NEGATIVE, thing(50))
    assert not givers(None, 1, thing(5000))


@pytest.mark.parametrize(
    ("rule", "area", "crowds", "small"),
    [
        (
            "slim",
            "largest object's segmentation mask (COCO's `area`) covers at least 0.5 %",
            "count",
            "counts as one without objects",
        ),
        ("mlperf", "largest object's bounding box covers more than 2.5 %", "do not count", "is left out"),
        (
            "kenning",
            "objects' bounding box areas together cover more than 0.5 %",
            "count",
            "counts as one without objects",
        ),
    ],
)
def test_label_rule_in_words_says_what_is_compared(rule, area, crowds, small):
    assert LABEL_RULES[rule].in_words() == (
        f"an image has a category's label if its {area} of the image;"
        f" crowd annotations {crowds}; an image with smaller objects only {small}"
    )


def test_label_rule_in_words_of_folders_speaks_of_no_area():
    assert FOLDER_RULE.in_words() == "the folder that an image lies in is its label"
