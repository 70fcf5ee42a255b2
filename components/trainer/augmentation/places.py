"""Flip, crop, rotation, zoom, shift and expansion, as one resampling of each image.

Each change is an affine map from the place of a pixel in the result to the place that it comes from, both with the
image's centre at 0 and its edges at -0.5 and 0.5. Changes one after the other are the product of their maps, so every
pixel is interpolated once, however many there are.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from components.trainer.augmentation import visibility
from components.trainer.augmentation.draws import happens, log_uniform, uniform
from components.trainer.augmentation.options import (
    Crop,
    Expand,
    HorizontalFlip,
    PlaceChange,
    Rotation,
    Shift,
    SsdRandomCrop,
    Zoom,
)

CANDIDATES = 16  # drawn for each image; the first that keeps an object is taken
MID_GRAY = 127.5


def draw_places(changes: Sequence[PlaceChange], seed: Any, count: Any, side: int, corners: Any | None) -> Any:
    """One affine map for each image: the first of some candidates that keeps a labelled object in view.

    Args:
      changes: in the order in which they are applied.
      seed: int64 [2].
      count: images in the batch.
      side: of the result, in pixels.
      corners: float32 [n, objects, 4, 2], the labelled objects (`visibility`); None where no image has one.

    Returns:
      float32 [n, 3, 3]; the identity where no candidate keeps enough of any object.
    """
    limit = strictest_kept(changes)
    if corners is None or limit is None:
        return _draw_maps(changes, seed, [count], side)

    def fits(seen: Any) -> Any:
        return visibility.shows_object(seen, visibility.area_inside(seen, visibility.VIEW), limit)

    return choose_places(changes, seed, side, corners, fits)


def choose_places(
    changes: Sequence[PlaceChange], seed: Any, side: int, corners: Any, fits: Callable[[Any], Any]
) -> Any:
    """One affine map for each image, as `draw_places`: the first of some candidates that fits.

    Args:
      changes: in the order in which they are applied.
      seed: int64 [2].
      side: of the result, in pixels.
      corners: float32 [n, objects, 4, 2], of what is to be seen.
      fits: from where that would be, float32 [n, candidates, objects, 4, 2], to bool [n, candidates].
    """
    maps = _draw_maps(changes, seed, [tf.shape(corners)[0], CANDIDATES], side)
    is_fit = fits(move(corners[:, tf.newaxis], maps))
    first = tf.gather(maps, tf.argmax(tf.cast(is_fit, tf.int32), 1), batch_dims=1)
    return tf.where(tf.reduce_any(is_fit, 1)[:, tf.newaxis, tf.newaxis], first, tf.eye(3))


def strictest_kept(changes: Sequence[PlaceChange]) -> float | None:
    """The highest `min_object_kept` of some changes; None where they cannot lose an object, or draw it."""
    limits = [change.min_object_kept for change in changes if isinstance(change, Crop | Rotation | Zoom | Shift)]
    return max(limits, default=None)


def _draw_maps(changes: Sequence[PlaceChange], seed: Any, shape: list[Any], side: int) -> Any:
    """The maps of all changes, one after the other: float32 [*shape, 3, 3]."""
    first, *others = (_draw_map(change, seed, shape, side) for change in changes)
    return functools.reduce(tf.matmul, others, first)


def _draw_map(change: PlaceChange, seed: Any, shape: list[Any], side: int) -> Any:
    """float32 [*shape, 3, 3]."""

    def draw(what: str, least: float, most: float) -> Any:
        return uniform(seed, f"{change.name}/{what}", shape, least, most)

    one, zero = tf.ones(shape), tf.zeros(shape)
    match change:
        case HorizontalFlip():
            drawn = _affine(-one, zero, zero, zero, one, zero)
        case Crop() | SsdRandomCrop():
            width, height = draw_sizes(change, seed, shape)
            x, y = (draw(axis, -0.5, 0.5) for axis in "xy")
            drawn = _affine(width, zero, x * (1 - width), zero, height, y * (1 - height))
        case Rotation():
            angle = draw("degrees", -change.max_degrees, change.max_degrees) * (math.pi / 180)
            cosine, sine = tf.cos(angle), tf.sin(angle)
            drawn = _affine(cosine, -sine, zero, sine, cosine, zero)
        case Zoom():
            x, y = (draw(axis, 1 - change.max_fraction, 1 + change.max_fraction) for axis in "xy")
            drawn = _affine(x, zero, zero, zero, y, zero)
        case Expand():
            factor, x, y = draw("factor", 1.0, change.max_factor), draw("x", -0.5, 0.5), draw("y", -0.5, 0.5)
            drawn = _affine(factor, zero, x * (factor - 1), zero, factor, y * (factor - 1))
        case Shift():
            x, y = (tf.round(draw(axis, -change.max_fraction, change.max_fraction) * side) / side for axis in "xy")
            drawn = _affine(one, zero, x, zero, one, y)
    chance = happens(seed, change.name, shape, change.probability)
    return tf.where(chance[..., tf.newaxis, tf.newaxis], drawn, tf.eye(3))


def draw_sizes(change: Any, seed: Any, shape: list[Any]) -> tuple[Any, Any]:
    """Width and height, in 0...1, of rectangles whose area and aspect are drawn; the aspect gives way, not the area.

    Args:
      change: with `min_area_fraction`, `max_area_fraction`, `min_aspect` and `max_aspect`.
      seed: int64 [2].
      shape: of the results.
    """
    area = uniform(seed, f"{change.name}/area", shape, change.min_area_fraction, change.max_area_fraction)
    aspect = log_uniform(seed, f"{change.name}/aspect", shape, change.min_aspect, change.max_aspect)
    aspect = tf.clip_by_value(aspect, area, 1.0 / area)  # the range in which both sides are at most 1
    return tf.sqrt(area * aspect), tf.sqrt(area / aspect)


def _affine(*rows: Any) -> Any:
    """float32 [..., 3, 3] from the six numbers of its two upper rows."""
    one, zero = tf.ones_like(rows[0]), tf.zeros_like(rows[0])
    return tf.reshape(tf.stack([*rows, zero, zero, one], -1), [*tf.unstack(tf.shape(one)), 3, 3])


def move(corners: Any, maps: Any) -> Any:
    """Where points of the image are in the result.

    Args:
      corners: float32 [..., objects, 4, 2].
      maps: float32 [..., 3, 3], from the result to the image.

    Returns:
      float32 [..., objects, 4, 2].
    """
    scale_x, skew_x, shift_x = (maps[..., 0, place, tf.newaxis, tf.newaxis] for place in range(3))
    skew_y, scale_y, shift_y = (maps[..., 1, place, tf.newaxis, tf.newaxis] for place in range(3))
    x, y = corners[..., 0] - shift_x, corners[..., 1] - shift_y
    determinant = scale_x * scale_y - skew_x * skew_y
    return tf.stack([(scale_y * x - skew_x * y) / determinant, (scale_x * y - skew_y * x) / determinant], -1)


def resample(rasters: Any, maps: Any, side: int, *, is_exact: bool, is_mirrored: bool = True) -> Any:
    """Takes each image along its map.

    Args:
      rasters: [n, height, width, channels], a square of up to twice the side; fewer of its pixels would be skipped.
      maps: float32 [n, 3, 3].
      side: of the result, in pixels.
      is_exact: whether the maps lead from pixel to pixel, so that nothing is to be interpolated.
      is_mirrored: whether what lies beyond an edge is the mirrored image, or mid-gray, without people in it.

    Returns:
      float32 [n, side, side, channels].
    """
    size = float(rasters.shape[1])
    # To and from the numbers of pixels, whose centres are half a pixel off.
    first = 0.5 / side - 0.5
    to_places = tf.constant([[1 / side, 0, first], [0, 1 / side, first], [0, 0, 1]], tf.float32)
    to_pixels = tf.constant([[size, 0, size / 2 - 0.5], [0, size, size / 2 - 0.5], [0, 0, 1]], tf.float32)
    transforms = tf.reshape(to_pixels @ maps @ to_places, [-1, 9])[:, :8]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=rasters if is_exact else tf.cast(rasters, tf.float32),
        transforms=transforms,
        output_shape=[side, side],
        fill_value=MID_GRAY,
        interpolation="NEAREST" if is_exact else "BILINEAR",
        fill_mode="REFLECT" if is_mirrored else "CONSTANT",
    )
    return tf.cast(moved, tf.float32)


def moves_whole_pixels(changes: Sequence[PlaceChange]) -> bool:
    """Whether these changes lead from pixel to pixel."""
    return all(isinstance(change, HorizontalFlip | Shift) for change in changes)
