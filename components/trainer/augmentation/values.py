"""Brightness, contrast, saturation, gray and JPEG noise: changes of the values of rasters, float32 in [0, 255]."""

from typing import Any

import tensorflow as tf

from components.trainer.augmentation.draws import happens, seed_of, uniform
from components.trainer.augmentation.options import Brightness, Contrast, JpegNoise, Saturation, ValueChange

# ITU-R BT.601, by which JPEG makes its luma (JFIF 1.02), and libpng its gray in TensorFlow's decoder.
LUMA = (0.299, 0.587, 0.114)
_MID_GRAY = 127.5


def change_values(rasters: Any, change: ValueChange, seed: Any) -> Any:
    """Changes every image of a batch its own way; the result may reach beyond [0, 255].

    Args:
      rasters: float32 [n, side, side, channels].
      change: which.
      seed: int64 [2].
    """
    shape = [tf.shape(rasters)[0], 1, 1, 1]
    chance = happens(seed, change.name, shape, change.probability)
    match change:
        case Brightness():
            delta = uniform(seed, change.name, shape, -change.max_delta, change.max_delta)
            return rasters + tf.where(chance, 255.0 * delta, 0.0)
        case Contrast():
            delta = uniform(seed, change.name, shape, -change.max_delta, change.max_delta)
            return (rasters - _MID_GRAY) * tf.where(chance, 1.0 + delta, 1.0) + _MID_GRAY
        case Saturation():
            factor = uniform(seed, change.name, shape, change.min_factor, change.max_factor)
            return _saturate(tf.clip_by_value(rasters, 0.0, 255.0), tf.where(chance, factor, 1.0))


def _saturate(colours: Any, factor: Any) -> Any:
    """As `tf.image.adjust_saturation`, without the way to HSV and back: the largest value stays, others move off it."""
    channels = tf.split(colours, 3, -1)  # channel by channel: TensorFlow is slow where the last axis is short
    value = tf.maximum(tf.maximum(channels[0], channels[1]), channels[2])
    least = tf.minimum(tf.minimum(channels[0], channels[1]), channels[2])
    factor = tf.minimum(factor, value / tf.maximum(value - least, 1e-6))  # a saturation of 1 is the most there is
    return tf.concat([value - (value - channel) * factor for channel in channels], -1)


def to_gray(colours: Any) -> Any:
    """RGB to the luma that Transform takes from a JPEG: float32 [..., 3] to [..., 1]."""
    red, green, blue = tf.split(colours, 3, -1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def add_jpeg_noise(rasters: Any, change: JpegNoise, seed: Any) -> Any:
    """Encodes and decodes every image with a quality of its own, one after the other: no op takes a batch."""
    count = tf.shape(rasters)[0]
    qualities = tf.random.stateless_uniform(
        [count], seed_of(seed, change.name), change.min_quality, change.max_quality + 1, tf.int32
    )

    def encode(element: tuple[Any, Any, Any]) -> Any:
        raster, quality, chance = element

        return tf.cond(chance, lambda: tf.image.adjust_jpeg_quality(raster, quality), lambda: raster)

    rounded = tf.cast(tf.round(tf.clip_by_value(rasters, 0.0, 255.0)), tf.uint8)
    changed = tf.map_fn(
        encode,
        (rounded, qualities, happens(seed, change.name, [count], change.probability)),
        fn_output_signature=tf.TensorSpec(rasters.shape[1:], tf.uint8),
    )
    return tf.cast(changed, tf.float32)
