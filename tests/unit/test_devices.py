import pytest

from components.devices import DEVICES, KIB
from components.gate_options import DeviceBudget


@pytest.mark.parametrize("name", DEVICES)
def test_device_is_a_device_budget_with_a_source(name):
    device = DEVICES[name]
    budget = DeviceBudget(device=name)
    assert device.name == name
    assert (budget.max_flatbuffer_bytes, budget.max_arena_bytes) == (
        device.max_flatbuffer_bytes,
        device.max_arena_bytes,
    )
    assert 100_000 <= device.max_flatbuffer_bytes <= 2 * KIB * KIB
    assert 64 * KIB <= device.max_arena_bytes <= 512 * KIB
    assert len(device.source) > 20
    assert "half" in device.source or "firmware" in device.title or name == "vww_250kb"


def test_devices_of_a_chip_leave_half_to_the_firmware():
    assert DEVICES["arduino_nano_33_ble"].max_flatbuffer_bytes == 512 * KIB
    assert DEVICES["rp2040_pico"].max_arena_bytes == 132 * KIB


def test_device_of_the_person_detection_example_has_the_operators_of_the_default_model():
    assert DEVICES["tflm_person_detection"].allowed_ops == (
        "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "SOFTMAX",
    )  # fmt: skip
