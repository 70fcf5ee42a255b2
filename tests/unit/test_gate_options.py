import pytest
from pydantic import ValidationError

from components.devices import DEVICES
from components.gate_options import DecideOn, DeviceBudget, GateOptions, Int8Gates

MINIMAL = '{"float": {"min_accuracy": 0.5}, "int8": {"min_accuracy": 0.5%s}}'


def read(more=""):
    return GateOptions.from_json(MINIMAL % more).int8


def test_gates_decide_on_the_lower_bound_unless_told_otherwise():
    assert GateOptions.from_json(MINIMAL % "").on is DecideOn.LOWER_BOUND


def test_device_gives_its_limits_and_a_stated_one_overrides_it():
    device = DEVICES["tflm_person_detection"]
    gates = read(', "device": "tflm_person_detection", "max_arena_bytes": 5')
    assert gates.max_flatbuffer_bytes == device.max_flatbuffer_bytes
    assert gates.max_arena_bytes == 5
    assert gates.allowed_ops == device.allowed_ops
    assert read(', "device": "vww_250kb", "max_macs": null').max_macs is None


def test_device_without_a_limit_asks_nothing_of_it():
    assert read(', "device": "rp2040_pico"').max_macs is None


def test_device_limits_stay_through_json_and_in_the_device_budget():
    gates = GateOptions.from_json(MINIMAL % ', "device": "vww_250kb", "max_arena_bytes": 99')
    assert GateOptions.from_json(gates.to_json()) == gates
    assert gates.int8.device_budget == DeviceBudget(device="vww_250kb", max_arena_bytes=99)


def test_device_unknown_is_named_with_the_nearest():
    with pytest.raises(ValidationError, match="device: no preset 'esp32s3'; did you mean esp32_s3"):
        read(', "device": "esp32s3"')


@pytest.mark.parametrize(("typed", "meant"), [("CONV2D", "CONV_2D"), ("softmax", "SOFTMAX")])
def test_allowed_ops_that_are_none_are_refused_with_the_nearest(typed, meant):
    with pytest.raises(ValidationError, match=f"no operator '{typed}' .*did you mean {meant}"):
        read(f', "allowed_ops": ["{typed}"]')


@pytest.mark.parametrize(
    "more",
    [
        ', "allowed_ops": []', ', "allowed_ops": ["CONV 2D"]', ', "max_macs": 0', ', "min_recall": {"person": 1.5}',
        ', "min_agreement": -0.1', ', "min_auc": 2',
    ],
)  # fmt: skip
def test_gates_out_of_range_are_refused(more):
    with pytest.raises(ValidationError):
        read(more)


def test_device_budget_of_the_int8_gates_leaves_out_what_training_decides():
    gates = Int8Gates(min_accuracy=0.9, max_arena_bytes=5, max_flatbuffer_bytes=None, max_macs=7, allowed_ops=("ADD",))
    assert gates.device_budget == DeviceBudget(
        max_arena_bytes=5, max_flatbuffer_bytes=None, max_macs=7, allowed_ops=("ADD",)
    )
