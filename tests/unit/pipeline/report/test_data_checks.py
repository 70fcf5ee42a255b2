"""Every check on both sides of its threshold."""

import dataclasses
import re
from pathlib import Path

import pytest

from pipeline.report import data_checks
from pipeline.report.data_checks import check_data
from pipeline.report.findings import (
    BadRecordRef,
    Coverage,
    Kind,
    LeftOut,
    NearDuplicates,
    Separation,
    Shape,
    Spread,
)

DOCUMENT = Path(__file__).parents[4] / "docs" / "data-report.md"


@pytest.fixture
def verdicts(sample_report):
    """The verdicts of all checks by name, on a report that was changed."""

    def judge(**changes):
        return {check.name: str(check.verdict) for check in check_data(dataclasses.replace(sample_report, **changes))}

    return judge


def counts(negative, positive, held_out=400):
    return {
        "train": {"not-person": negative, "person": positive},
        "eval": {"not-person": held_out // 2, "person": held_out - held_out // 2},
    }


@pytest.mark.parametrize(("positive", "verdict"), [(1000, "fine"), (999, "warn")])
def test_class_balance_warns_below_a_fifth_of_an_equal_share(verdicts, positive, verdict):
    assert verdicts(counts=counts(10_000 - positive, positive))["class_balance"] == verdict


@pytest.mark.parametrize(("positive", "verdict"), [(1000, "fine"), (999, "warn")])
def test_train_images_warns_below_a_thousand_of_the_smallest_label(verdicts, positive, verdict):
    assert verdicts(counts=counts(5000, positive))["train_images"] == verdict


@pytest.mark.parametrize(("held_out", "verdict"), [(400, "fine"), (399, "warn")])
def test_eval_images_warns_below_four_hundred(verdicts, held_out, verdict):
    assert verdicts(counts=counts(10, 10, held_out))["eval_images"] == verdict


def test_eval_images_states_the_interval_of_an_accuracy(sample_report):
    report = dataclasses.replace(sample_report, counts=counts(10, 10, 400))
    about = next(check.about for check in check_data(report) if check.name == "eval_images")
    assert "75.8 % to 83.6 %" in about


@pytest.mark.parametrize(("near", "verdict"), [(5, "fine"), (6, "warn")])
def test_near_threshold_warns_above_a_twentieth(verdicts, sample_report, near, verdict):
    sensitivity = dataclasses.replace(sample_report.sensitivity, images=100, near_threshold=near)
    assert verdicts(sensitivity=sensitivity)["near_threshold"] == verdict


@pytest.mark.parametrize(
    ("found", "warned"),
    [
        (NearDuplicates(0, 0, 0, 0, ()), set()),
        (NearDuplicates(5, 1, 0, 0, ()), set()),
        (NearDuplicates(6, 1, 0, 0, ()), {"look_alikes"}),
        (NearDuplicates(2, 1, 1, 0, ()), {"look_alikes_across_splits"}),
        (NearDuplicates(2, 1, 0, 1, ()), {"look_alikes_across_labels"}),
    ],
)
def test_look_alikes_warn_by_what_they_cross_and_how_many_they_are(verdicts, found, warned):
    verdict = verdicts(near_duplicates=found, coverage=Coverage(100, 100, 100, 100))
    assert {name for name in verdict if name.startswith("look_alikes") and verdict[name] == "warn"} == warned


@pytest.mark.parametrize(("copies", "verdict"), [(0, "fine"), (1, "fine"), (2, "warn")])
def test_copies_warn_above_one_in_a_hundred(verdicts, copies, verdict):
    left_out = (LeftOut(Kind.DROPPED, "duplicate", False, copies, ()),)
    assert verdicts(left_out=left_out, coverage=Coverage(100, 98, 98, 98))["copies"] == verdict


@pytest.mark.parametrize(("deviation", "verdict"), [(0.061, "fine"), (0.059, "warn")])
def test_brightness_spread_warns_where_all_images_have_one_light(verdicts, sample_report, deviation, verdict):
    brightness, *others = sample_report.cues
    narrow = dataclasses.replace(brightness, overall=Spread(60, 0.5, deviation, (0.4, 0.5, 0.6)))
    assert verdicts(cues=(narrow, *others))["brightness_spread"] == verdict


@pytest.mark.parametrize(
    ("auc", "chance", "verdict"), [(0.65, 0.5, "fine"), (0.66, 0.5, "warn"), (0.75, 0.8, "fine"), (0.85, 0.8, "warn")]
)
def test_gap_warns_above_its_limit_and_above_luck(verdicts, sample_report, auc, chance, verdict):
    cues = tuple(
        dataclasses.replace(found, separation=Separation("person", auc, chance)) for found in sample_report.cues
    )
    found = verdicts(cues=cues)
    assert {found[f"{one.cue}_gap"] for one in cues} == {verdict}


@pytest.mark.parametrize(("count", "verdict"), [(5, "fine"), (6, "warn")])
@pytest.mark.parametrize("field", ["small", "elongated"])
def test_shapes_warn_above_a_twentieth(verdicts, field, count, verdict):
    shape = dataclasses.replace(Shape(0, 0), **{field: count})
    assert verdicts(shape=shape, coverage=Coverage(100, 100, 100, 100))[f"{field}_images"] == verdict


@pytest.mark.parametrize("kind", [Kind.QUARANTINED_IMAGE, Kind.QUARANTINED_ANNOTATION])
def test_quarantined_warns_of_any(verdicts, kind):
    left_out = (LeftOut(kind, "bad_box", False, 1, (BadRecordRef("1", "bbox=[]"),)),)
    assert verdicts(left_out=left_out)["quarantined"] == "warn"
    assert verdicts(left_out=())["quarantined"] == "fine"


@pytest.mark.parametrize(("refusals", "verdict"), [((), "fine"), (("ConfigError: no",), "warn")])
def test_run_refusals_warns_of_any(verdicts, refusals, verdict):
    assert verdicts(refusals=refusals)["run_refusals"] == verdict


@pytest.mark.parametrize(("count", "verdict"), [(0, "fine"), (1, "warn")])
def test_exif_ignored_warns_of_any(verdicts, count, verdict):
    assert verdicts(exif_ignored=count)["exif_ignored"] == verdict


def test_checks_say_what_was_measured_and_what_to_do(sample_report):
    for check in sample_report.checks:
        assert check.about.endswith((".", "?"))
        assert check.advice.endswith(".") or check.name == "run_refusals"  # in a run's own words


def test_document_names_every_check_with_its_limit(sample_report):
    section = DOCUMENT.read_text(encoding="utf-8").partition("## The checks")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert [name for name, _ in rows] == [check.name for check in sample_report.checks]
    limits = {
        "class_balance": f"{data_checks.MIN_PART_OF_EQUAL_SHARE:.0%}",
        "train_images": f"{data_checks.MIN_TRAIN_IMAGES:,}",
        "eval_images": str(data_checks.MIN_EVAL_IMAGES),
        "near_threshold": f"{data_checks.MAX_NEAR_THRESHOLD_SHARE:.0%}",
        "look_alikes": f"{data_checks.MAX_LOOK_ALIKE_SHARE:.0%}",
        "copies": f"{data_checks.MAX_COPIES_SHARE:.0%}",
        "brightness_spread": str(data_checks.MIN_BRIGHTNESS_DEVIATION),
        "small_images": f"{data_checks.MAX_SMALL_SHARE:.0%}",
        "elongated_images": f"{data_checks.MAX_ELONGATED_SHARE:.0%}",
        "brightness_gap": str(data_checks.MAX_CUE_AUC),
    }
    stated = dict(rows)
    for name, limit in limits.items():
        assert f" {limit} ".replace("%", " %") in f"{stated[name]} ", name
