"""The list of changes: its order, its presets, and what is refused."""

import pytest
from pydantic import TypeAdapter, ValidationError

from components.trainer.augmentation.options import (
    PRESETS,
    AugmentationOptions,
    Erasing,
    changes_of,
    check_task_changes,
    needs_colour,
)

PARSE = TypeAdapter(AugmentationOptions)


def parse(*changes):
    return PARSE.validate_python(list(changes))


def refusal(*changes):
    with pytest.raises(ValidationError) as caught:
        parse(*changes)
    return str(caught.value)


def test_augmentation_list_keeps_its_order():
    listed = parse({"name": "shift", "max_fraction": 0.1}, {"name": "horizontal_flip"}, {"name": "mixup", "alpha": 0.2})
    assert [change.name for change in changes_of(listed)] == ["shift", "horizontal_flip", "mixup"]


@pytest.mark.parametrize("name", PRESETS)
def test_augmentation_preset_is_what_its_list_says(name):
    assert changes_of(PARSE.validate_python(name)) == PRESETS[name]
    assert parse(*(change.model_dump() for change in PRESETS[name])) == PRESETS[name]


def test_augmentation_slim_needs_colour_and_mlperf_does_not():
    assert [name for name in PRESETS if needs_colour(name)] == ["slim"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mixup", "horizontal_flip"], "expected horizontal_flip before mixup: mixup and cutmix, which mix finished"),
        (["cutmix", "erasing"], "expected erasing before cutmix"),
        (["erasing", "horizontal_flip"], "expected horizontal_flip before erasing: jpeg_noise and erasing change the"),
        (["horizontal_flip", "horizontal_flip"], "expected every change once, received horizontal_flip twice"),
    ],
)
def test_augmentation_out_of_order_is_refused(names, message):
    assert message in refusal(*({"name": name, **({"alpha": 1.0} if "mix" in name else {})} for name in names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "flip"}, "does not match any of the expected tags"),
        ({"name": "crop"}, "min_area_fraction"),
        ({"name": "crop", "min_area_fraction": 0.5, "max_area_fraction": 0.4}, "received 0.5, which is more than"),
        ({"name": "crop", "min_area_fraction": 0.5, "min_object_kept": 0.0}, "greater than 0"),
        ({"name": "rotation", "max_degrees": 181}, "less than or equal to 180"),
        ({"name": "jpeg_noise", "min_quality": 90, "max_quality": 10}, "min_quality: received 90"),
        ({"name": "saturation", "min_factor": 2.0, "max_factor": 1.0}, "min_factor: received 2"),
        ({"name": "mixup", "alpha": 0.0}, "greater than 0"),
        ({"name": "brightness", "max_delta": 0.1, "probability": 1.5}, "less than or equal to 1"),
    ],
)
def test_augmentation_wrong_parameter_is_refused(change, message):
    assert message in refusal(change)


def test_erasing_defaults_are_the_papers():
    erasing = Erasing(name="erasing")
    assert (erasing.probability, erasing.min_area_fraction, erasing.max_area_fraction) == (0.5, 0.02, 0.4)


@pytest.mark.parametrize(
    ("augmentation", "is_detector", "message"),
    [
        ([{"name": "mixup", "alpha": 1.0}], True, "mixup mixes labels of whole images, of which a detector has none"),
        ([{"name": "cutmix", "alpha": 1.0}], True, "cutmix mixes labels"),
        ("ssd", False, "ssd_random_crop is of detectors; a classifier takes crop"),
        ([{"name": "expand"}], False, "expand is of detectors; a classifier takes zoom"),
    ],
)
def test_augmentation_without_a_meaning_for_the_task_is_refused(augmentation, is_detector, message):
    with pytest.raises(ValueError, match=message):
        check_task_changes(PARSE.validate_python(augmentation), is_detector=is_detector)
    check_task_changes(PARSE.validate_python(augmentation), is_detector=not is_detector)
