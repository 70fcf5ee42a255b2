"""Random changes of training rasters, batch by batch, as TensorFlow ops."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.trainer.augmentation import places, visibility
from components.trainer.augmentation.mixing import mix
from components.trainer.augmentation.options import (
    BatchChange,
    Change,
    Erasing,
    JpegNoise,
    PlaceChange,
    Saturation,
    ValueChange,
)
from components.trainer.augmentation.rectangles import draw_rectangles, erase
from components.trainer.augmentation.values import add_jpeg_noise, change_values, to_gray


def augment(
    rasters: Any,
    labels: Any,
    objects: Any | None,
    seed: Any,
    changes: Sequence[Change],
    *,
    side: int,
    channels: int,
) -> tuple[Any, Any]:
    """Changes every image of a batch at random, its own way, and brings it to the model's size and colours.

    Changes of place come first, as one resampling: it commutes with changes of the values. Colour turns into gray
    right after the last change that needs it.

    Args:
      rasters: uint8 [n, height, width, 1 or 3], square: the model's rasters, or larger or more colourful ones.
      labels: one-hot float32 [n, labels].
      objects: float32 [n, objects, 4], boxes_yxyx of the labelled objects in 0...1, rows of 0 where there are fewer;
        None where no image has any.
      seed: int64 [2]; the same seed gives the same changes.
      changes: in the order in which they are applied.
      side: of the result, in pixels.
      channels: of the result.

    Returns:
      float32 [n, side, side, channels] in [0, 255], and the labels, which only MixUp and CutMix change.
    """
    corners = None if objects is None else visibility.corners_of(objects)
    if not any(isinstance(change, Saturation) for change in changes):
        rasters = reduce_colours(rasters, channels)
    rasters, corners = _move(rasters, corners, seed, [c for c in changes if isinstance(c, PlaceChange)], side)
    for change in changes:
        if isinstance(change, ValueChange | JpegNoise):
            rasters = change_pixels(rasters, change, seed, channels)
        elif isinstance(change, Erasing):
            rasters = erase(rasters, change, seed, *draw_rectangles(change, seed, tf.shape(rasters)[0], corners))
        elif isinstance(change, BatchChange):
            rasters, labels = mix(tf.clip_by_value(rasters, 0.0, 255.0), labels, change, seed)
    return tf.clip_by_value(rasters, 0.0, 255.0), labels


def change_pixels(rasters: Any, change: ValueChange | JpegNoise, seed: Any, channels: int) -> Any:
    """Changes the values of float32 rasters; after `saturation` they are gray where the model is."""
    if isinstance(change, JpegNoise):
        return add_jpeg_noise(rasters, change, seed)
    rasters = change_values(rasters, change, seed)
    return reduce_colours(rasters, channels) if isinstance(change, Saturation) else rasters


def reduce_colours(rasters: Any, channels: int) -> Any:
    """Gray where the model is gray."""
    return rasters if rasters.shape[-1] == channels else to_gray(tf.cast(rasters, tf.float32))


def bring_to_size(rasters: Any, side: int) -> Any:
    """As float32 [n, side, side, channels]."""
    if rasters.shape[1] == side:
        return tf.cast(rasters, tf.float32)
    return tf.image.resize(rasters, [side, side], method="bilinear", antialias=True)


def _move(
    rasters: Any, corners: Any | None, seed: Any, changes: Sequence[PlaceChange], side: int
) -> tuple[Any, Any | None]:
    """The rasters as float32 at the model's side, and where the objects are in them."""
    if not changes:
        return bring_to_size(rasters, side), corners
    maps = places.draw_places(changes, seed, tf.shape(rasters)[0], side, corners)
    is_exact = rasters.shape[1] == side and places.moves_whole_pixels(changes)
    moved = places.resample(rasters, maps, side, is_exact=is_exact)
    return moved, None if corners is None else places.move(corners, maps)
