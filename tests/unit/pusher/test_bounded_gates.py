import pytest

from components.gate_options import DecideOn
from components.pusher.bounded_gates import NOTHING, bounded_gate
from components.verdicts import Comparison


@pytest.mark.parametrize(
    ("comparison", "on", "value", "measured"),
    [
        (Comparison.AT_LEAST, DecideOn.POINT, 0.9, None),
        (Comparison.AT_MOST, DecideOn.POINT, 0.9, None),
        (Comparison.AT_LEAST, DecideOn.LOWER_BOUND, 0.85, 0.9),
        (Comparison.AT_MOST, DecideOn.LOWER_BOUND, 0.93, 0.9),
    ],
)
def test_bounded_gate_takes_the_worse_end_of_the_interval(comparison, on, value, measured):
    gate = bounded_gate("gates.x", comparison, 0.88, (0.9, (0.85, 0.93)), on)
    assert (gate.value, gate.measured) == (value, measured)


@pytest.mark.parametrize("on", DecideOn)
def test_bounded_gate_without_a_figure_does_not_pass(on):
    gate = bounded_gate("gates.x", Comparison.AT_LEAST, 0.0, NOTHING, on)
    assert (gate.value, gate.passed, gate.note) == (None, False, "there is nothing to measure it on")
