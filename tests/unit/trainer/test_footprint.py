"""Real models, built, converted and run; at sizes at which that takes seconds."""

import keras
import numpy as np
import pytest

from components import pixels
from components.errors import GateError
from components.gate_options import DeviceBudget
from components.quantization.equality import compare_flatbuffers
from components.quantization.flatbuffer import read_graph
from components.quantization.slim import slim_flatbuffer
from components.trainer.budget import BudgetJob
from components.trainer.estimate import estimate, find_alternatives, find_smallest
from components.trainer.footprint import _convert_random, _draw, measure_budget
from components.trainer.job import Architecture

SIDE = 32
NO_LIMITS = DeviceBudget(max_flatbuffer_bytes=None, max_arena_bytes=None)


def architecture(backbone, alpha, side, **changes):
    fields = {"activation": "relu6", "border": "gray", "channels": 1, "label_count": 2} | changes
    return Architecture(backbone=backbone, alpha=alpha, side=side, **fields)


@pytest.fixture(scope="module")
def measured():
    """Measures an architecture once."""
    found = {}

    def measure(backbone, alpha, side, limits=NO_LIMITS, time_limit_s=60.0):
        key = (backbone, alpha, side, limits, time_limit_s)
        if key not in found:
            job = BudgetJob(
                architecture=architecture(backbone, alpha, side), limits=limits, tflm_time_limit_s=time_limit_s
            )
            found[key] = measure_budget(job)
        return found[key]

    return measure


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (keras.layers.DepthwiseConv2D(3, use_bias=False), 9),
        (keras.layers.Conv2D(64, 3, use_bias=False), 9 * 64),
        (keras.layers.Dense(64, use_bias=False), 64),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_drawn_kernel_keeps_the_size_of_what_passes_through(layer, fan_in):
    layer.build((None, 8, 8, 64))
    (kernel,) = (_draw(layer, variable, np.random.default_rng(1)) for variable in layer.weights)
    assert kernel.std() * np.sqrt(fan_in) == pytest.approx(1, rel=0.1)


def test_measured_footprint_is_that_of_the_trained_model(measured):
    # The pipeline's tests hold it against a release of their own: of a flatbuffer it is the most that can come of it.
    budget = measured("mobilenet_v1", 0.25, SIDE)
    assert budget.report.flatbuffer_bytes == 236_896
    assert budget.arena.total_bytes == 36_112
    assert {op.name for op in budget.report.ops} == {
        "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "SOFTMAX",
    }  # fmt: skip
    assert budget.parity.max_difference_lsb <= 1
    budget.check()


# v2 has a sum more or less at some widths, and its tensors do not always pack without gaps.
@pytest.mark.parametrize(
    ("backbone", "side", "flatbuffer_slack", "arena_slack"),
    [("mobilenet_v1", SIDE, 64, 0), ("mobilenet_v2", 64, 300, 0.05)],
)
def test_estimate_from_another_width_and_side_is_what_is_measured(
    measured, backbone, side, flatbuffer_slack, arena_slack
):  # fmt: skip
    found = estimate(measured(backbone, 0.25, side), 0.5, 48)
    real = measured(backbone, 0.5, 48)
    assert found.macs == real.report.macs
    assert found.flatbuffer_bytes == pytest.approx(real.report.flatbuffer_bytes, abs=flatbuffer_slack)
    assert found.arena_bytes == pytest.approx(real.arena.total_bytes, rel=arena_slack)


def test_alternatives_are_the_largest_smaller_side_and_the_widest_narrower_that_fit(measured):
    wide = measured("mobilenet_v1", 0.5, 48)
    limits = NO_LIMITS.model_copy(update={"max_arena_bytes": estimate(wide, 0.5, 32).arena_bytes})
    smaller, *_ = find_alternatives(wide, limits)
    assert (smaller.alpha, smaller.side) == (0.5, 32)
    limits = NO_LIMITS.model_copy(update={"max_flatbuffer_bytes": 320_000})
    assert [(e.alpha, e.side) for e in find_alternatives(wide, limits)] == [(0.25, 48)]


def test_alternatives_where_neither_alone_fits_change_both(measured):
    wide = measured("mobilenet_v1", 0.5, 48)
    limits = DeviceBudget(max_flatbuffer_bytes=320_000, max_arena_bytes=estimate(wide, 0.25, 32).arena_bytes)
    assert [(e.alpha, e.side) for e in find_alternatives(wide, limits)] == [(0.25, 32)]


def test_alternatives_of_limits_that_nothing_fits_are_none_and_the_smallest_is_named(measured):
    wide = measured("mobilenet_v1", 0.5, 48)
    assert find_alternatives(wide, DeviceBudget(max_arena_bytes=1)) == ()
    smallest = find_smallest(wide)
    assert (smallest.alpha, smallest.side) == (0.25, 32)
    assert smallest.flatbuffer_bytes == pytest.approx(236_896, abs=64)


def test_interpreter_that_does_not_finish_in_time_refuses(measured):
    budget = measured("mobilenet_v1", 0.25, SIDE, time_limit_s=0.01)
    assert budget.parity is None
    with pytest.raises(GateError, match=r"TFLite Micro: no answer within 0\.01 s"):
        budget.check()


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "mobilenet_v1", "alpha": 0.25, "side": 33, "activation": "relu", "border": "black", "channels": 3},
        {"backbone": "mobilenet_v2", "alpha": 0.35, "side": 32, "label_count": 3},
    ],
    ids=lambda changes: changes["backbone"],
)
def test_slim_flatbuffer_of_random_weights_is_equal_in_every_operator(changes):
    rasters, flatbuffer = _convert_random(architecture(**changes))
    slim = slim_flatbuffer(flatbuffer).flatbuffer
    equality = compare_flatbuffers(flatbuffer, slim, pixels.quantize(rasters), time_limit_s=120)
    assert equality.is_equal
    assert equality.operators == len(read_graph(flatbuffer).operators)
    assert len(slim) < 0.8 * len(flatbuffer)
