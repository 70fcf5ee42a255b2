"""Real detectors of random weights, built, converted and run; at sizes at which that takes seconds."""

import pytest

from components.detection.options import AnchorOptions, DetectorNetwork
from components.gate_options import DeviceBudget
from components.trainer.budget import BudgetJob
from components.trainer.estimate import estimate, find_alternatives, find_smallest
from components.trainer.footprint import measure_budget
from components.trainer.job import Architecture

NO_LIMITS = DeviceBudget(max_flatbuffer_bytes=None, max_arena_bytes=None)
PPN = DetectorNetwork(
    pyramid="ppn", shares_heads=True, head_filters=1024, anchors=AnchorOptions(reduces_lowest=False), outputs="per_map"
)


def measure(network, side, alpha=0.25, backbone="mobilenet_v1"):
    architecture = Architecture(
        backbone=backbone,
        alpha=alpha,
        side=side,
        channels=1,
        activation="relu6",
        border="gray",
        label_count=3,
        detector=network,
    )
    return measure_budget(BudgetJob(architecture=architecture, limits=NO_LIMITS, tflm_time_limit_s=60.0))


@pytest.fixture(scope="module")
def measured():
    return measure(DetectorNetwork(), 48)


@pytest.fixture(scope="module")
def pyramid():
    return measure(PPN, 48)


def test_detector_runs_under_tflm_with_the_two_outputs_of_its_decoder(measured):
    # 3x3, 2x2 and 1 cells, of which the first has 3 shapes and the others 6.
    assert [contract.shape for contract in measured.report.outputs] == [(1, 57, 4), (1, 57, 2)]
    assert {op.name for op in measured.report.ops} == {"CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "CONCATENATION"}
    assert measured.parity.max_difference_lsb <= 1
    measured.check()


def test_pooling_pyramid_runs_under_tflm_and_holds_the_kernels_of_its_heads_once(pyramid):
    assert [contract.shape for contract in pyramid.report.outputs] == [
        shape for cells in (9, 4, 1) for shape in ((1, 6 * cells, 4), (1, 6 * cells, 2))
    ]
    assert {op.name for op in pyramid.report.ops} == {"CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "MAX_POOL_2D"}
    assert pyramid.parity.max_difference_lsb <= 1
    backbone, head = 105_696, 128 * 256 + 256 * 6 * (4 + 2)  # weights up to block 11, and of the heads
    assert 0 < pyramid.report.flatbuffer_bytes - backbone - head < head


# Further maps of shared heads are counted with scales and biases of their own, of which the file holds equal ones once.
@pytest.mark.parametrize(("base", "network"), [("measured", DetectorNetwork()), ("pyramid", PPN)])
def test_estimate_of_a_detector_of_another_width_and_side_is_what_is_measured(request, base, network):
    found, real = estimate(request.getfixturevalue(base), 0.5, 96), measure(network, 96, 0.5)
    assert found.macs == real.report.macs
    assert found.flatbuffer_bytes == pytest.approx(real.report.flatbuffer_bytes, rel=0.02)
    assert found.arena_bytes == pytest.approx(real.arena.total_bytes, rel=0.03)


def test_alternatives_of_a_detector_are_sides_that_it_can_be_built_for(measured):
    wide = measured.model_copy(update={"architecture": measured.architecture.model_copy(update={"side": 64})})
    (smaller, *_) = find_alternatives(wide, NO_LIMITS)
    assert smaller.side == 48
    assert find_smallest(wide).side == 48  # at 32 block_13 would have one cell
