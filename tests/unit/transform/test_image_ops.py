import numpy as np
import pytest
import tensorflow as tf

from components.transform.image_ops import describe_raster


@pytest.mark.parametrize("shape", [(32, 32, 1), (96, 96, 3)])
def test_describe_raster_is_mean_and_standard_deviation(draw, shape):
    pixels = draw(*shape, seed=7)
    brightness, contrast = describe_raster(tf.constant(pixels))
    assert (brightness.dtype, contrast.dtype) == (tf.float32, tf.float32)
    assert float(brightness) == pytest.approx(pixels.mean() / 255, abs=1e-6)
    assert float(contrast) == pytest.approx(pixels.std() / 255, abs=1e-6)


@pytest.mark.parametrize("gray", [0, 1, 127, 255])
def test_describe_raster_of_one_gray_has_no_contrast(gray):
    brightness, contrast = describe_raster(tf.fill([32, 32, 1], tf.cast(gray, tf.uint8)))
    assert (float(brightness), float(contrast)) == (np.float32(gray / 255), 0.0)


def test_describe_raster_of_black_and_white_halves_has_the_greatest_contrast():
    raster = tf.repeat(tf.constant([0, 255], tf.uint8), 512 * 512 * 3 // 2)
    brightness, contrast = describe_raster(tf.reshape(raster, [512, 512, 3]))
    assert (float(brightness), float(contrast)) == (0.5, 0.5)
