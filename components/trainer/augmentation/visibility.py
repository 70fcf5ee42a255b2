"""How much of an object is in view, exactly, whatever way the image was turned.

An object is the quadrilateral that its box has become: float32 [..., 4, 2], the corners (x, y) in turn, in the
coordinates of the picture, where 0 is its centre and -0.5 and 0.5 are its edges.
"""

from typing import Any

import tensorflow as tf

VIEW = (-0.5, -0.5, 0.5, 0.5)  # xmin, ymin, xmax, ymax
_NEARLY_EQUAL = 1e-6  # of a quadrilateral's own extent
_ROUNDING = 1e-4  # of places in float32, so that an object of half a pixel in 640 that is moved to an edge stays whole


def corners_of(boxes_yxyx: Any) -> Any:
    """Boxes as quadrilaterals.

    Args:
      boxes_yxyx: float32 [..., 4] in 0...1; boxes without extent stand for nothing.
    """
    ymin, xmin, ymax, xmax = tf.unstack(boxes_yxyx - 0.5, axis=-1)
    return tf.stack([tf.stack(pair, -1) for pair in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax))], -2)


def area(corners: Any) -> Any:
    """float32 [...]: 1 is the whole picture."""
    # From the first corner on: far from 0, the products below are larger than a small object by more than float32 has.
    x, y = tf.unstack(corners - corners[..., :1, :], axis=-1)
    return 0.5 * tf.abs(tf.reduce_sum(x * tf.roll(y, -1, -1) - tf.roll(x, -1, -1) * y, -1))


def area_inside(corners: Any, rectangle: Any) -> Any:
    """The area of quadrilaterals inside rectangles, to about 1e-6 of their own.

    By Green's theorem it is the integral of x dy along the border, with x held within the rectangle's columns and y
    within its rows; of one straight edge, that has a closed form.

    Args:
      corners: float32 [..., 4, 2].
      rectangle: (xmin, ymin, xmax, ymax), numbers or float32 [...].

    Returns:
      float32 [...].
    """
    xmin, ymin, xmax, ymax = (tf.convert_to_tensor(edge, tf.float32)[..., tf.newaxis] for edge in rectangle)
    x, y = tf.unstack(corners, axis=-1)
    x0, left, right, width = _on_own_scale(x, xmin, xmax)
    y0, top, bottom, height = _on_own_scale(y, ymin, ymax)
    x1, y1 = tf.roll(x0, -1, -1), tf.roll(y0, -1, -1)
    rise = y1 - y0
    is_level = tf.abs(rise) < _NEARLY_EQUAL
    slope = tf.where(is_level, 1.0, rise)
    at_top, at_bottom = (tf.clip_by_value((edge - y0) / slope, 0.0, 1.0) for edge in (top, bottom))
    first, last = tf.minimum(at_top, at_bottom), tf.maximum(at_top, at_bottom)
    mean_x = _mean_clamped(x0 + (x1 - x0) * first, x0 + (x1 - x0) * last, left, right)
    shares = tf.where(is_level, 0.0, rise * (last - first) * mean_x)
    return tf.abs(tf.reduce_sum(shares, -1)) * tf.squeeze(width * height, -1)


def _on_own_scale(values: Any, low: Any, high: Any) -> tuple[Any, Any, Any, Any]:
    """One coordinate, [..., 4], and two edges, [..., 1], where the quadrilateral itself reaches from 0 to 1, so that
    small ones lose no digits; and how far it reaches in the picture, [..., 1].
    """
    start = tf.reduce_min(values, -1, keepdims=True)
    extent = tf.reduce_max(values, -1, keepdims=True) - start
    scale = tf.where(extent > 0.0, extent, 1.0)
    edges = (tf.clip_by_value((edge - start) / scale, 0.0, 1.0) for edge in (low, high))
    return (values - start) / scale, *edges, extent


def _mean_clamped(start: Any, end: Any, low: Any, high: Any) -> Any:
    """The mean, on the way from `start` to `end`, of the value held within `low`...`high`."""
    way = end - start
    held_start, held_end = (tf.clip_by_value(each, low, high) for each in (start, end))
    # Differences first: those of close numbers are exact, where those of their squares would not be.
    integral = 0.5 * (held_end - held_start) * (held_end + held_start)
    integral += low * (tf.minimum(end, low) - tf.minimum(start, low))
    integral += high * (tf.maximum(end, high) - tf.maximum(start, high))
    is_short = tf.abs(way) < _NEARLY_EQUAL
    return tf.where(is_short, 0.5 * (held_start + held_end), integral / tf.where(is_short, 1.0, way))


def shows_object(corners: Any, kept: Any, min_object_kept: float) -> Any:
    """Whether at least one object keeps enough of its area; true where there is none to keep.

    Args:
      corners: float32 [n, objects, 4, 2] or [n, candidates, objects, 4, 2], of the whole objects.
      kept: float32 [n, (candidates,) objects], the area that is left of each.
      min_object_kept: share of the whole.

    Returns:
      bool [n, (candidates)].
    """
    whole = area(corners)
    exists = whole > 0
    enough = exists & (kept >= (min_object_kept - _ROUNDING) * whole)
    return tf.reduce_any(enough, -1) | ~tf.reduce_any(exists, -1)


def bounds_in_view(corners: Any) -> tuple[Any, Any]:
    """The edges of what is in view of quadrilaterals, exactly: of a turned one, its corners out of view do not count.

    Args:
      corners: float32 [..., 4, 2].

    Returns:
      The lowest and the highest x and y of the part in view, float32 [..., 2] each in -0.5...0.5; where there is none,
      one of the highest is not above the lowest.
    """
    x, y = tf.unstack(corners, axis=-1)
    lows, highs = zip(_bounds_between(x, y), _bounds_between(y, x), strict=True)
    return tf.stack(lows, -1), tf.stack(highs, -1)


def _bounds_between(along: Any, across: Any) -> tuple[Any, Any]:
    """The bounds of one coordinate, [..., 4], of the part whose other coordinate is in view."""
    next_along, next_across = tf.roll(along, -1, -1), tf.roll(across, -1, -1)
    rise = next_across - across
    is_level = tf.abs(rise) < 1e-6
    slope = tf.where(is_level, 1.0, rise)
    at_low, at_high = (tf.clip_by_value((edge - across) / slope, 0.0, 1.0) for edge in (-0.5, 0.5))
    first = tf.where(is_level, 0.0, tf.minimum(at_low, at_high))
    last = tf.where(is_level, tf.cast(tf.abs(across) <= 0.5, tf.float32), tf.maximum(at_low, at_high))
    ends = tf.concat([along + (next_along - along) * share for share in (first, last)], -1)
    is_seen = tf.tile(last > first, [*[1] * (len(along.shape) - 1), 2])
    low = tf.reduce_min(tf.where(is_seen, ends, 0.5), -1)
    high = tf.reduce_max(tf.where(is_seen, ends, -0.5), -1)
    return tf.clip_by_value(low, -0.5, 0.5), tf.clip_by_value(high, -0.5, 0.5)
