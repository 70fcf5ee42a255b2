import numpy as np
import pytest

from components import pixels

ALL = np.arange(256, dtype=np.uint8)


def test_normalize_every_code_is_p_over_half_range_minus_one():
    values = pixels.normalize(ALL.astype(np.float32))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [p / 127.5 - 1 for p in range(256)], atol=1e-7)
    assert (values[0], values[255]) == (-1.0, 1.0)


def test_normalize_tensor_gives_the_array_bit_for_bit():
    import tensorflow as tf

    tensor = pixels.normalize(tf.cast(ALL, tf.float32))
    assert tensor.dtype == tf.float32
    np.testing.assert_array_equal(tensor.numpy(), pixels.normalize(ALL.astype(np.float32)))


def test_quantize_every_code_is_p_minus_128():
    codes = pixels.quantize(ALL)
    assert codes.dtype == np.int8
    assert codes.tolist() == list(range(-128, 128))


@pytest.mark.parametrize("zero_point", [-1, 0])
def test_quantize_every_code_is_half_a_step_from_the_normalized_value(zero_point):
    exact = pixels.normalize(ALL.astype(np.float64)) / (2 / 255) + zero_point
    np.testing.assert_allclose(np.abs(pixels.quantize(ALL) - exact), 0.5, atol=1e-9)
