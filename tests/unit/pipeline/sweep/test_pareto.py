"""The front: what no other point beats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweep.pareto import dominates, pareto_front

COSTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("one", "other", "wins"),
    [
        ((1, 1), (2, 2), True),
        ((1, 2), (2, 2), True),  # a tie in one cost
        ((2, 2), (2, 2), False),  # equal
        ((1, 3), (2, 2), False),  # a trade
        ((2, 2), (1, 2), False),
    ],
)
def test_dominates_needs_one_better_and_none_worse(one, other, wins):
    assert dominates(one, other) is wins


def test_front_of_a_trade_leaves_out_what_is_beaten():
    assert pareto_front([(-0.9, 100), (-0.8, 50), (-0.8, 60), (-0.7, 50), (-0.95, 200)]) == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_front_of_equal_points_has_them_all():
    assert pareto_front([(1, 1), (1, 1), (2, 1)]) == [True, True, False]


def test_front_of_one_point_is_that_point():
    assert pareto_front([(5.0, 5.0, 5.0)]) == [True]
    assert pareto_front([]) == []


@given(COSTS)
def test_front_whatever_the_points_beats_all_others_and_not_itself(points):
    flags = pareto_front(points)
    front = [point for point, is_on in zip(points, flags, strict=True) if is_on]
    assert front
    for point, is_on in zip(points, flags, strict=True):
        assert is_on is not any(dominates(best, point) for best in front)
