import math

import pytest

from components.verdicts import Comparison, Gate, Verdict


def gate(value, comparison=Comparison.AT_LEAST, limit=0.9, note=None):
    return Gate(name="gates.int8.min_accuracy", comparison=comparison, limit=limit, value=value, note=note)


@pytest.mark.parametrize(
    ("comparison", "value", "passed"),
    [
        (Comparison.AT_LEAST, 0.91, True),
        (Comparison.AT_LEAST, 0.9, True),
        (Comparison.AT_LEAST, 0.8999999, False),
        (Comparison.AT_MOST, 0.89, True),
        (Comparison.AT_MOST, 0.9, True),
        (Comparison.AT_MOST, 0.9000001, False),
        (Comparison.AT_LEAST, None, False),
        (Comparison.AT_MOST, None, False),
        (Comparison.AT_LEAST, math.nan, False),
        (Comparison.AT_MOST, math.nan, False),
    ],
)
def test_gate_passes_where_the_value_keeps_to_the_limit(comparison, value, passed):
    assert gate(value, comparison).passed is passed


@pytest.mark.parametrize(("right", "fewer"), [(186, 6), (194, 4), (97, 3)])
def test_gate_difference_of_exactly_the_limit_passes(right, fewer):
    drop = right / 200 - (right - fewer) / 200
    assert gate(drop, Comparison.AT_MOST, fewer / 200).passed
    assert gate(-drop, Comparison.AT_LEAST, -fewer / 200).passed
    one_more = right / 200 - (right - fewer - 1) / 200
    assert not gate(one_more, Comparison.AT_MOST, fewer / 200).passed


def test_verdict_passes_where_every_gate_does_and_nothing_was_refused():
    assert Verdict(gates=(gate(0.95), gate(0.9))).passed
    assert not Verdict(gates=(gate(0.95), gate(0.89))).passed
    assert not Verdict(gates=(gate(0.95),), refusals=("abort()",)).passed


def test_verdict_reasons_name_only_what_refused():
    verdict = Verdict(
        gates=(
            gate(0.95),
            gate(0.85),
            Gate(
                name="gates.int8.max_arena_bytes",
                comparison=Comparison.AT_MOST,
                limit=100_000,
                value=None,
                note="it aborted",
            ),
        ),
        refusals=("TFLite Micro: abort()",),
    )
    assert verdict.reasons() == [
        "gates.int8.min_accuracy: 0.85 is not >= 0.9",
        "gates.int8.max_arena_bytes: no value is not <= 100000 (it aborted)",
        "TFLite Micro: abort()",
    ]
    assert Verdict(gates=(gate(0.95),)).reasons() == []


@pytest.mark.parametrize(
    ("limit", "value"),
    [(0.9, 0.8999999), (320_000, 320_001), (320_000, 1_234_567)],
    ids=["just_below", "just_above", "large"],
)
def test_verdict_reasons_near_the_limit_show_two_numbers(limit, value):
    comparison = Comparison.AT_LEAST if value < limit else Comparison.AT_MOST
    (reason,) = Verdict(gates=(gate(value, comparison, limit),)).reasons()
    shown = reason.removeprefix("gates.int8.min_accuracy: ").split(f" is not {comparison.value} ")
    assert shown[0] != shown[1]


def test_verdict_json_reads_back_equal():
    verdict = Verdict(gates=(gate(None, note="why"), gate(0.1 + 0.2)), refusals=("a", "b"))
    assert Verdict.from_json(verdict.to_json()) == verdict
