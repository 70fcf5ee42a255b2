import numpy as np
import pytest

from components.errors import DataError
from components.quantization.representative_dataset import (
    check_calibration,
    pin_input_range,
    select_calibration,
)


def _ids(count):
    return [str(1000 + 7 * index) for index in range(count)]


def test_select_calibration_takes_an_equal_share_of_every_label():
    labels = np.array([1] * 20 + [0] * 180)
    chosen = select_calibration(_ids(200), labels, 40, seed=0)
    assert chosen.dtype == np.int64
    assert sorted(labels[chosen].tolist()) == [0] * 20 + [1] * 20
    assert len(set(chosen.tolist())) == 40


def test_select_calibration_fills_up_from_the_other_labels():
    labels = np.array([2] * 3 + [1] * 50 + [0] * 50)
    assert np.bincount(labels[select_calibration(_ids(103), labels, 43, seed=0)]).tolist() == [20, 20, 3]


def test_select_calibration_of_three_labels_takes_a_third_of_each():
    labels = np.array([0] * 300 + [1] * 30 + [2] * 60)
    assert np.bincount(labels[select_calibration(_ids(390), labels, 60, seed=3)]).tolist() == [20, 20, 20]


def test_select_calibration_of_fewer_images_takes_all():
    assert sorted(select_calibration(_ids(5), [0, 1, 1, 1, 1], 300, seed=0)) == [0, 1, 2, 3, 4]


def test_select_calibration_does_not_depend_on_the_order_of_images():
    ids, labels = np.array(_ids(100)), np.arange(100) % 3 == 0
    shuffled = np.random.default_rng(0).permutation(100)
    first = ids[select_calibration(ids.tolist(), labels.astype(int), 30, seed=5)]
    second = ids[shuffled][select_calibration(ids[shuffled].tolist(), labels[shuffled].astype(int), 30, seed=5)]
    assert first.tolist() == second.tolist()


def test_select_calibration_larger_count_keeps_the_smaller_selection():
    ids, labels = _ids(100), [0, 1] * 50
    np.testing.assert_array_equal(
        select_calibration(ids, labels, 40, seed=1)[:10], select_calibration(ids, labels, 10, seed=1)
    )


def test_select_calibration_another_seed_selects_others():
    ids, labels = _ids(100), [0, 1] * 50
    assert set(select_calibration(ids, labels, 10, seed=0)) != set(select_calibration(ids, labels, 10, seed=1))


@pytest.mark.parametrize(
    ("ids", "count", "message"),
    [([], 10, "images=0"), (["1"], 0, "count=0"), (["1", "2", "1"], 2, "'1'")],
    ids=["no images", "no count", "repeated id"],
)
def test_select_calibration_of_unusable_input_is_refused(ids, count, message):
    with pytest.raises(DataError, match=message) as caught:
        select_calibration(ids, [0] * len(ids), count, seed=0)
    assert caught.value.hint is not None


def test_check_calibration_of_two_labels_that_judge_nothing_passes():
    check_calibration(["1", "2"], [0, 1], {"eval": ["3"], "test": []})


def test_check_calibration_of_one_label_is_refused():
    with pytest.raises(DataError, match="3 calibration images show one label only: received label id 1") as caught:
        check_calibration(["1", "2", "3"], [1, 1, 1], {})
    assert "calibration_images" in caught.value.hint


@pytest.mark.parametrize("split", ["eval", "test"])
def test_check_calibration_with_images_of_another_split_is_refused(split):
    held_out = {"eval": ["7"], "test": ["8"]} | {split: ["7", "2", "9"]}
    with pytest.raises(DataError, match=f"1 calibration images stand in the {split} split as well, such as '2'"):
        check_calibration(["1", "2", "3"], [0, 1, 1], held_out)


def test_pin_input_range_appends_black_and_white():
    images = np.full((3, 4, 5, 1), 0.25, np.float32)
    pinned = pin_input_range(images)
    assert (pinned.dtype, pinned.shape) == (np.float32, (5, 4, 5, 1))
    np.testing.assert_array_equal(pinned[:3], images)
    assert np.unique(pinned[3]).tolist() == [-1]
    assert np.unique(pinned[4]).tolist() == [1]


@pytest.mark.parametrize("value", [-1.001, 1.001, 255.0, np.nan])
def test_pin_input_range_of_other_range_is_refused(value):
    with pytest.raises(DataError, match="leave the input range"):
        pin_input_range(np.full((1, 2, 2, 1), value, np.float32))
