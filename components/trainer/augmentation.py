"""Random changes of training rasters, batch by batch, as TensorFlow ops."""

from typing import Any

import tensorflow as tf

from components.trainer.options import AugmentationOptions

_MID_GRAY = 127.5


def augment(rasters: Any, seed: Any, options: AugmentationOptions) -> Any:
    """Changes every image of a batch at random, its own way.

    Args:
      rasters: float32 [n, side, side, channels] in [0, 255].
      seed: int64 [2]; the same seed gives the same changes.
      options: which changes, and how large.

    Returns:
      float32 of the same shape, in [0, 255].
    """
    count = tf.shape(rasters)[0]
    seeds = tf.unstack(tf.random.split(seed, 4))

    def uniform(which: int, shape: list[Any], limit: float) -> Any:
        return tf.random.stateless_uniform(shape, seeds[which], -limit, limit)

    if options.horizontal_flip:
        flip = uniform(0, [count, 1, 1, 1], 1.0) < 0
        rasters = tf.where(flip, rasters[:, :, ::-1, :], rasters)
    if options.max_shift_fraction > 0:
        rasters = _shift(rasters, uniform(1, [count, 2], options.max_shift_fraction))
    if options.max_contrast_delta > 0:
        factor = 1.0 + uniform(2, [count, 1, 1, 1], options.max_contrast_delta)
        rasters = (rasters - _MID_GRAY) * factor + _MID_GRAY
    if options.max_brightness_delta > 0:
        rasters += 255.0 * uniform(3, [count, 1, 1, 1], options.max_brightness_delta)
    return tf.clip_by_value(rasters, 0.0, 255.0)


def _shift(rasters: Any, fractions: Any) -> Any:
    """Shifts each image by its own fraction of the side (rows, columns), mirroring the edge, in whole pixels."""
    side = rasters.shape[1]
    offsets = tf.cast(tf.round(fractions * side), tf.int32)
    positions = tf.range(side)[tf.newaxis, :]

    def reflect(index: Any) -> Any:
        index = tf.abs(index)
        return tf.where(index >= side, 2 * side - 2 - index, index)

    rows = reflect(positions - offsets[:, :1])
    columns = reflect(positions - offsets[:, 1:])
    return tf.gather(tf.gather(rasters, rows, batch_dims=1), columns, axis=2, batch_dims=1)
