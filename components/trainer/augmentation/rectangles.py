"""Random erasing, and what erasing and CutMix share: rectangles of pixels."""

from typing import Any

import tensorflow as tf

from components.trainer.augmentation import visibility
from components.trainer.augmentation.draws import happens, uniform
from components.trainer.augmentation.options import Erasing
from components.trainer.augmentation.places import CANDIDATES, draw_sizes


def draw_rectangles(change: Erasing, seed: Any, count: Any, corners: Any | None) -> tuple[Any, Any]:
    """A rectangle for each image, the first of some candidates that leaves enough of an object.

    Args:
      change: how large, how often, and what has to stay.
      seed: int64 [2].
      count: images in the batch.
      corners: float32 [n, objects, 4, 2], where the labelled objects are now; None where no image has one.

    Returns:
      (xmin, ymin, xmax, ymax) in -0.5...0.5, float32 [n, 4], and whether there is one at all, bool [n].
    """
    shape = [count, 1 if corners is None else CANDIDATES]
    width, height = draw_sizes(change, seed, shape)
    x, y = (uniform(seed, f"{change.name}/{axis}", shape, -0.5, 0.5) for axis in "xy")
    x, y = x * (1 - width), y * (1 - height)
    edges = tf.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)
    erases = happens(seed, change.name, [count], change.probability)
    if corners is None:
        return edges[:, 0], erases
    objects = corners[:, tf.newaxis]
    left, top, right, bottom = tf.unstack(edges[:, :, tf.newaxis], axis=-1)
    kept = visibility.area_inside(objects, visibility.VIEW)
    kept -= visibility.area_inside(objects, (left, top, right, bottom))
    fits = visibility.shows_object(objects, kept, change.min_object_kept)
    edges = tf.gather(edges, tf.argmax(tf.cast(fits, tf.int32), 1), batch_dims=1)
    return edges, erases & tf.reduce_any(fits, 1)


def erase(rasters: Any, change: Erasing, seed: Any, edges: Any, erases: Any) -> Any:
    """Fills the rectangles that `draw_rectangles` drew with random values.

    Args:
      rasters: float32 [n, side, side, channels] in [0, 255].
      change: of the same name.
      seed: int64 [2].
      edges: of the rectangles, float32 [n, 4].
      erases: whether there is one, bool [n].
    """
    inside = mask_inside(edges, rasters.shape[1]) & erases[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.where(inside, uniform(seed, f"{change.name}/values", tf.unstack(tf.shape(rasters)), 0.0, 255.0), rasters)


def mask_inside(edges: Any, side: int) -> Any:
    """Which pixels have their centre inside a rectangle.

    Args:
      edges: float32 [n, 4], (xmin, ymin, xmax, ymax) in -0.5...0.5.
      side: of the raster.

    Returns:
      bool [n, side, side, 1].
    """
    centres = (tf.range(side, dtype=tf.float32) + 0.5) / side - 0.5
    xmin, ymin, xmax, ymax = tf.unstack(edges[..., tf.newaxis], axis=1)
    columns = (centres >= xmin) & (centres < xmax)
    rows = (centres >= ymin) & (centres < ymax)
    return (rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :])[..., tf.newaxis]
