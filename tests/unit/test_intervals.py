"""The intervals against their sources: published figures, and the likelihoods that they invert."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from components.intervals import (
    Z_95,
    auc_interval,
    drop_interval,
    images_for_drop,
    images_for_share,
    reachable_auc,
    wilson_interval,
)


def test_wilson_interval_is_newcombes():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_scipys(pair):
    count, images = pair
    expected = stats.binomtest(count, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(count / images, images) == pytest.approx((expected.low, expected.high), abs=1e-6)


def tango_score(lost, won, images, drop):
    """Tango's statistic, the nuisance share found by maximizing the likelihood numerically."""
    equal = images - lost - won

    def unlikeliness(share):
        cells = [(won, share), (lost, share + drop), (equal, 1 - 2 * share - drop)]
        return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

    low, high = max(0.0, -drop), (1 - drop) / 2
    share = optimize.minimize_scalar(unlikeliness, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (lost - won - images * drop) / math.sqrt(images * (2 * share + drop * (1 - drop)))


@settings(max_examples=60)
@given(st.integers(5, 2000).flatmap(lambda n: st.tuples(st.integers(0, n // 3), st.integers(0, n // 3), st.just(n))))
def test_drop_interval_ends_where_tangos_score_says(counts):
    lost, won, images = counts
    low, high = drop_interval(*counts)
    assert -1 <= low <= (lost - won) / images <= high <= 1
    assert tango_score(*counts, low) == pytest.approx(Z_95, abs=2e-3)
    assert tango_score(*counts, high) == pytest.approx(-Z_95, abs=2e-3)


def test_drop_interval_is_the_same_backwards():
    low, high = drop_interval(7, 3, 200)
    assert drop_interval(3, 7, 200) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("lost", "won"), [(10, 0), (0, 10)])
def test_drop_interval_of_everything_stays_inside(lost, won):
    low, high = drop_interval(lost, won, 10)
    assert -1 <= low < high <= 1


def test_auc_interval_has_hanley_and_mcneils_standard_error():
    # Hanley and McNeil 1982, table II and page 33: area 0.893, 51 abnormal and 58 normal images, error 0.032.
    low, high = auc_interval(0.893, [58, 51])
    errors = (0.893 - low) / Z_95, (high - 0.893) / Z_95
    assert min(errors) < 0.032 < max(errors)  # of the ends, not of the middle: the score form
    assert sum(errors) / 2 == pytest.approx(0.032, abs=2e-3)


def test_auc_interval_without_an_error_is_no_certainty():
    assert auc_interval(1.0, [10, 10])[0] == pytest.approx(0.8, abs=0.01)
    assert auc_interval(1.0, [10, 10])[1] == pytest.approx(1.0)
    assert auc_interval(1.0, [1000, 1000])[0] > 0.997


@pytest.mark.parametrize(("distance", "images"), [(1.0, (40, 40)), (2.2, (30, 90)), (3.0, (60, 60))])
def test_auc_interval_covers_the_true_area_about_95_times_of_100(distance, images):
    rng = np.random.default_rng(0)
    true = stats.norm.cdf(distance / math.sqrt(2))
    found = []
    for _ in range(400):
        negatives, positives = rng.normal(0, 1, images[0]), rng.normal(distance, 1, images[1])
        low, high = auc_interval(float(np.mean(positives[:, None] > negatives[None, :])), images)
        found.append(low <= true <= high)
    assert 0.92 <= np.mean(found) <= 0.995


def test_auc_interval_of_three_labels_is_wider_than_that_of_the_best_told_one():
    low, high = auc_interval(0.9, [50, 50, 50])
    two = auc_interval(0.9, [50, 100])
    assert (low, high) == pytest.approx(two, abs=1e-9)  # each of the three is one of 50 against 100


@given(st.floats(0.01, 0.999))
def test_images_for_share_are_enough_and_one_fewer_is_not(limit):
    images = images_for_share(limit)
    assert wilson_interval(1.0, images)[0] >= limit - 1e-9
    assert images == 1 or wilson_interval(1.0, images - 1)[0] < limit


@given(st.floats(0.001, 0.99))
def test_images_for_drop_are_enough_and_one_fewer_is_not(limit):
    images = images_for_drop(limit)
    assert drop_interval(0, 0, images)[1] <= limit + 1e-9
    assert images == 1 or drop_interval(0, 0, images - 1)[1] > limit


def test_images_for_what_no_number_shows_is_none():
    assert images_for_share(1.0) is None
    assert images_for_drop(0.0) is None
    assert [images_for_share(limit) for limit in (0.0, 0.8, 0.9, 0.95)] == [1, 16, 35, 73]
    assert [images_for_drop(limit) for limit in (0.02, 0.03, 1.0)] == [189, 125, 1]


def test_reachable_auc_is_that_of_no_error():
    assert reachable_auc({"not-person": 10, "person": 10}) == auc_interval(1.0, [10, 10])[0]
