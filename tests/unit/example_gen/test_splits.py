import random
from collections import Counter

import pytest

from components.example_gen.splits import assign_split

SHARES = {"train": 0.8, "eval": 0.2}


def test_assign_split_golden_ids_stay_where_they_are():
    # A golden: a release can be reproduced only as long as this holds.
    ids = ["1", "9", "139", "581929", "000000000139", "a/b"]
    assert [assign_split(source_id, SHARES, seed=0) for source_id in ids] == [
        "eval",
        "train",
        "train",
        "train",
        "train",
        "eval",
    ]
    assert [assign_split(source_id, SHARES, seed=1) for source_id in ids] == [
        "eval",
        "train",
        "train",
        "eval",
        "train",
        "train",
    ]


def test_assign_split_many_ids_keep_the_shares():
    counts = Counter(assign_split(str(n), SHARES, seed=7) for n in range(100_000))
    assert counts["train"] / 100_000 == pytest.approx(0.8, abs=0.005)
    assert counts.total() == 100_000


def test_assign_split_order_of_ids_and_shares_does_not_matter():
    ids = [str(n) for n in range(1000)]
    expected = {source_id: assign_split(source_id, SHARES, seed=0) for source_id in ids}
    random.Random(0).shuffle(ids)
    swapped = dict(reversed(SHARES.items()))
    assert {source_id: assign_split(source_id, swapped, seed=0) for source_id in ids} == expected


def test_assign_split_smaller_share_moves_only_what_it_has_to():
    ids = [str(n) for n in range(20_000)]
    moves = Counter(
        (assign_split(i, SHARES, seed=0), assign_split(i, {"train": 0.7, "eval": 0.3}, seed=0)) for i in ids
    )
    assert moves["eval", "train"] == 0
    assert moves["train", "eval"] / len(ids) == pytest.approx(0.1, abs=0.01)


def test_assign_split_another_seed_draws_independently():
    ids = [str(n) for n in range(20_000)]
    both = sum(assign_split(i, SHARES, 0) == assign_split(i, SHARES, 1) == "eval" for i in ids)
    assert both / len(ids) == pytest.approx(0.2 * 0.2, abs=0.01)


def test_assign_split_shares_that_add_up_to_less_by_rounding_lose_no_image():
    shares = {"train": 0.5, "eval": 1e-12}
    assert {assign_split(str(n), shares, seed=0) for n in range(100)} == {"train", "eval"}


def test_assign_split_one_split_takes_everything():
    assert {assign_split(str(n), {"eval": 1.0}, seed=0) for n in range(100)} == {"eval"}
