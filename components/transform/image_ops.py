"""What statistics are computed of, as TensorFlow ops."""

from typing import Any

import tensorflow as tf


def describe_raster(raster: Any) -> tuple[Any, Any]:
    """Brightness and contrast of a raster: mean and standard deviation of its values / 255.

    The sums are of integers, so that no machine and no order of adding gives other bits.

    Args:
      raster: uint8 tensor of shape [side, side, channels].

    Returns:
      Two float32 tensors of shape []: 0 to 1, and 0 to 0.5.
    """
    values = tf.cast(raster, tf.int64)
    count = tf.size(values, tf.int64)
    mean = tf.reduce_sum(values) / count
    variance = tf.maximum(tf.reduce_sum(values * values) / count - mean * mean, 0.0)
    return tf.cast(mean / 255.0, tf.float32), tf.cast(tf.sqrt(variance) / 255.0, tf.float32)
