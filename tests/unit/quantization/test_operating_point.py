import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.quantization.contracts import TensorContract
from components.quantization.operating_point import choose_code, code_above_half, measure_rates, probability_of
from components.quantization.records import OperatingPoint

CONTRACT = TensorContract(name="", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128)
CODES = st.lists(st.integers(-128, 127), min_size=1, max_size=60)


def split(negatives, positives):
    codes = np.array([*negatives, *positives], np.int8)
    return codes, np.arange(len(codes)) >= len(negatives)


@given(CODES, CODES, st.floats(0, 1, exclude_max=True))
@example([0, 1], [0], 1 - 2**-53)
def test_choose_code_is_the_lowest_that_keeps_to_the_rate(negatives, positives, limit):
    codes, is_positive = split(negatives, positives)
    code = choose_code(codes, is_positive, limit, 1)

    def alarms(threshold):
        return np.mean(np.array(negatives) >= threshold)

    if code is None:
        assert alarms(127) > limit
    else:
        assert alarms(code) <= limit + 1e-6
        assert code == -128 or alarms(code - 1) > limit


def test_choose_code_unasked_is_above_a_half():
    assert choose_code(*split([100], [120]), None, code_above_half(CONTRACT)) == 1
    assert probability_of(1, CONTRACT) == 129 / 256
    assert probability_of(0, CONTRACT) == 0.5


def test_choose_code_of_a_model_that_is_always_sure_has_none():
    assert choose_code(*split([127] * 20, [127]), 0.05, 1) is None


def test_choose_code_without_negatives_is_none_and_not_every_image():
    assert choose_code(*split([], [5, 120]), 0.05, 1) is None
    assert choose_code(*split([], [5, 120]), None, 1) == 1


def test_choose_code_rate_that_is_a_whole_number_of_images_is_used_up():
    # 0.07 * 100 is a little more than 7 as a float, 0.29 * 100 a little less than 29.
    for images in (7, 29, 57):
        codes, is_positive = split(range(-50, 50), [0])
        code = choose_code(codes, is_positive, images / 100, 1)
        assert measure_rates(codes, is_positive, code).false_alarms.count == images


def test_measure_rates_count_both_labels_with_their_intervals():
    rates = measure_rates(*split([-3, 0, 5, 9], [-1, 4, 8]), 5)
    assert (rates.false_alarms.count, rates.false_alarms.images, rates.false_alarms.value) == (2, 4, 0.5)
    assert (rates.recall.count, rates.recall.images) == (1, 3)
    low, high = rates.recall.interval
    assert 0 < low < 1 / 3 < high < 1


@pytest.mark.parametrize(("negatives", "positives", "missing"), [([], [1], "false_alarms"), ([1], [], "recall")])
def test_measure_rates_of_one_label_leave_the_other_out(negatives, positives, missing):
    rates = measure_rates(*split(negatives, positives), 0)
    assert [key for key, value in rates if value is None] == [missing]


def test_operating_point_survives_json():
    rates = measure_rates(*split([-3, 0, 5, 9], [-1, 4, 8]), 5)
    point = OperatingPoint(
        label="person", index=1, max_false_alarm_rate=0.5, code=5, threshold=133 / 256, rates={"eval": rates}
    )
    assert OperatingPoint.from_json(point.to_json()) == point
