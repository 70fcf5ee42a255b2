"""Numbers: against a plain count, and against known cases."""

import numpy as np
import pytest

from pipeline.report import measures


@pytest.mark.parametrize("threshold", [0.005, 0.025, 0.0, 1e-6, 0.9, 0.37])
def test_fraction_edges_rise_and_hold_the_threshold_inside(threshold):
    edges = measures.fraction_edges(threshold)
    assert list(edges) == sorted(set(edges))
    assert edges[-1] >= 1 - 1e-9
    if threshold > 0:
        assert threshold in edges[1:-1]


def test_make_histogram_loses_nothing_and_takes_lower_edges():
    values = [-5.0, 0.0, 0.9999, 1.0, 1.5, 2.0, 99.0]
    histogram = measures.make_histogram((0.0, 1.0, 2.0, 3.0), {"a": values, "b": []})
    assert [(series.label, series.counts) for series in histogram.series] == [("a", (3, 2, 2)), ("b", (0, 0, 0))]


def test_find_separation_counts_pairs_as_a_plain_loop_does():
    random = np.random.default_rng(5)
    one, other = random.integers(0, 6, 40).astype(float), random.integers(1, 8, 30).astype(float)
    wins = sum((a > b) + (a == b) / 2 for a in one for b in other) / (len(one) * len(other))
    found = measures.find_separation({"one": one, "other": other})
    assert found.auc == pytest.approx(max(wins, 1 - wins))


def test_find_separation_names_the_label_that_stands_apart():
    middle = np.linspace(0, 1, 50)
    found = measures.find_separation({"a": middle, "b": middle + 0.01, "dark": middle - 5})
    assert (found.label, found.auc) == ("dark", 1.0)


@pytest.mark.parametrize("values", [{"a": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(0)}])
def test_find_separation_of_one_label_is_none(values):
    assert measures.find_separation(values) is None


def test_find_separation_chance_is_rarely_passed_by_luck():
    random = np.random.default_rng(11)
    passed = 0
    for _ in range(300):
        found = measures.find_separation({"a": random.random(12), "b": random.random(25)})
        passed += found.auc > found.chance
    assert passed <= 6
