import pytest

from components.errors import ConfigError
from components.gate_options import DecideOn, FloatGates, GateOptions, Int8Gates
from components.intervals import reachable_auc
from components.pusher.gate_reach import check_detector_gates, check_gates, check_golden, check_operating_point


def gates(on=DecideOn.LOWER_BOUND, *, float_=None, **int8):
    asked = {
        "on": on,
        "float": {"min_accuracy": 0.0, **(float_ or {})},
        "int8": {"min_accuracy": 0.0, "max_accuracy_drop": 1.0, **int8},
    }
    return GateOptions.model_validate(asked)


def images(negatives, positives):
    return {"not-person": negatives, "person": positives}


def refusal(options, eval_images):
    with pytest.raises(ConfigError) as caught:
        check_gates(options, eval_images)
    assert caught.value.expected is not None
    assert "gates.on=point" in caught.value.hint or "min_recall={}" in caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"min_accuracy": 0.95}, 73),
        ({"min_agreement": 0.95}, 73),
        ({"max_accuracy_drop": 0.03}, 125),
        ({"float_": {"min_accuracy": 0.95}}, 73),
    ],
)
def test_check_gates_says_how_many_images_a_limit_takes(changes, needed):
    check_gates(gates(**changes), images(needed, 0))
    message = refusal(gates(**changes), images(needed - 1, 0))
    assert f"takes at least {needed} images to show at 95 %, received {needed - 1}" in message
    check_gates(gates(DecideOn.POINT, **changes), images(needed - 1, 0))


def test_check_gates_names_every_gate_that_cannot_be_passed():
    message = refusal(gates(min_accuracy=0.95, max_accuracy_drop=0.0, min_recall={"person": 0.9}), images(21, 10))
    assert "gates.int8.min_accuracy=0.95 takes at least 73 images" in message
    assert "gates.int8.max_accuracy_drop=0 is what no number of images shows" in message
    assert "gates.int8.min_recall.person=0.9 takes at least 35 images to show at 95 %, received 10" in message


@pytest.mark.parametrize("section", ["float", "int8"])
def test_check_gates_holds_an_auc_against_what_no_mistake_would_show(section):
    best = reachable_auc(images(10, 10))

    def asked(limit):
        return gates(float_={"min_auc": limit}) if section == "float" else gates(min_auc=limit)

    check_gates(asked(best - 0.001), images(10, 10))
    assert f"gates.{section}.min_auc=0.95 is more than 0.8" in refusal(asked(0.95), images(10, 10))


def test_check_gates_without_images_of_a_label_refuses_what_needs_them():
    message = refusal(gates(DecideOn.POINT, min_auc=0.5, min_recall={"person": 0.5}), images(10, 0))
    assert "gates.int8.min_auc=0.5 needs images of every label; there are none of person" in message
    assert "gates.int8.min_recall.person needs images of person, and there are none" in message
    check_gates(gates(DecideOn.POINT), images(10, 0))


def test_check_gates_of_a_label_that_is_none_names_those_of_the_data():
    message = refusal(gates(min_recall={"persn": 0.5}), images(100, 100))
    assert message == "gates.int8.min_recall names no label of the data: 'persn'"


def test_check_operating_point_needs_a_positive_label():
    check_operating_point(0.05, "person", images(100, 100))
    check_operating_point(None, None, images(100, 100))
    with pytest.raises(ConfigError, match=r"max_false_alarm_rate=0.05 has no meaning"):
        check_operating_point(0.05, None, images(100, 100))


def test_check_operating_point_without_negatives_is_refused():
    with pytest.raises(ConfigError, match="cannot be measured: no eval image is without person"):
        check_operating_point(0.05, "person", images(0, 100))
    with pytest.raises(ConfigError, match="no eval image is without person"):
        check_operating_point(0.0, "person", images(0, 100))
    check_operating_point(None, "person", images(0, 100))


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 20), (0.3, 4), (0.01, 100)])
def test_check_operating_point_rate_that_allows_no_false_alarm_says_how_many_images_it_takes(rate, needed):
    check_operating_point(rate, "person", images(needed, 1))
    with pytest.raises(ConfigError, match="would allow 0 false alarms") as caught:
        check_operating_point(rate, "person", images(needed - 1, 1))
    assert caught.value.expected == f"at least {needed} eval images without person"
    check_operating_point(0.0, "person", images(needed - 1, 1))


@pytest.mark.parametrize(
    ("golden", "negatives", "positives", "refused"),
    [(8, 7, 1, None), (8, 3, 4, "from 7 eval images"), (8, 100, 0, "none of them person"), (20, 9, 9, "from 18 eval")],
)
def test_check_golden_needs_as_many_images_and_every_label(golden, negatives, positives, refused):
    if refused is None:
        check_golden(golden, images(negatives, positives))
    else:
        with pytest.raises(ConfigError, match=refused):
            check_golden(golden, images(negatives, positives))


@pytest.mark.parametrize("section", ["float", "int8"])
@pytest.mark.parametrize("label", ["cat", "background"])
def test_check_detector_gates_limit_of_no_label_is_refused(section, label):
    limits = {"float": {"min_ap": 0.3}, "int8": {"min_ap": 0.3}}
    limits[section]["min_category_ap50"] = {"bird": 0.5, label: 0.5}
    found = GateOptions(float_=FloatGates(**limits["float"]), int8=Int8Gates(**limits["int8"]))
    with pytest.raises(
        ConfigError, match=rf"gates\.{section}\.min_category_ap50 names no label of the data: '{label}'"
    ) as caught:
        check_detector_gates(found, ("background", "bird", "boat"))
    assert caught.value.expected == "labels among bird, boat"
    check_detector_gates(found, ("none", "bird", "boat", label))
