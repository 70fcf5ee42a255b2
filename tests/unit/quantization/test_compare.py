import numpy as np
import pytest

from components.errors import ModelError
from components.quantization.compare import Parity, compare_outputs


def test_compare_outputs_counts_images_and_largest_difference():
    first = np.array([[-128, 127], [0, 0], [5, 5]], np.int8)
    second = np.array([[127, -128], [0, 0], [5, 6]], np.int8)
    assert compare_outputs((first,), (second,)) == Parity(images=3, differing=2, max_difference_lsb=255)


def test_compare_outputs_of_higher_rank_counts_images_not_codes():
    first = np.zeros((4, 3, 2), np.uint8)
    second = first.copy()
    second[2] = 200
    assert compare_outputs((first,), (second,)) == Parity(images=4, differing=1, max_difference_lsb=200)


def test_compare_outputs_without_images_is_no_difference():
    empty = np.zeros((0, 2), np.int8)
    assert compare_outputs((empty,), (empty,)) == Parity(images=0, differing=0, max_difference_lsb=0)


def test_compare_outputs_of_several_counts_an_image_once():
    boxes, scores = np.zeros((3, 5, 4), np.int8), np.zeros((3, 5, 2), np.int8)
    others = boxes.copy(), scores.copy()
    others[0][0], others[1][0], others[1][2, 4] = 3, 1, -7
    assert compare_outputs((boxes, scores), others) == Parity(images=3, differing=2, max_difference_lsb=7)


def test_compare_outputs_one_more_output_is_refused():
    codes = np.zeros((3, 2), np.int8)
    with pytest.raises(ModelError, match="cannot be compared"):
        compare_outputs((codes,), (codes, codes))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros((3, 2), np.int8), np.zeros((4, 2), np.int8)),
        (np.zeros((3, 2), np.int8), np.zeros((3, 2), np.uint8)),
        (np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)),
    ],
    ids=["another number of images", "another dtype", "no codes"],
)
def test_compare_outputs_of_unlike_arrays_is_refused(first, second):
    with pytest.raises(ModelError, match="cannot be compared") as caught:
        compare_outputs((first,), (second,))
    assert "int8" in caught.value.expected
