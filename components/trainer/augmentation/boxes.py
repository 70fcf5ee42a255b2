"""Random changes of a detector's training rasters, with the boxes of all that is in them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.trainer.augmentation import places, visibility
from components.trainer.augmentation.augment import bring_to_size, change_pixels, reduce_colours
from components.trainer.augmentation.draws import seed_of
from components.trainer.augmentation.options import (
    Change,
    Erasing,
    JpegNoise,
    PlaceChange,
    Saturation,
    SsdRandomCrop,
    ValueChange,
)
from components.trainer.augmentation.rectangles import draw_rectangles, erase
from components.trainer.box_targets import BoxTargets

# Of which SSD draws for each image (Liu et al., arXiv 1512.02325, with 0 and 1 as in ssd_random_crop's config).
SSD_KEPT = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_ROUNDING = 1e-4


def augment_boxes(
    rasters: Any, targets: BoxTargets, seed: Any, changes: Sequence[Change], *, side: int, channels: int
) -> tuple[Any, BoxTargets]:
    """Changes every image of a batch at random, its own way; the boxes go with what they are around.

    What lies beyond an edge is mid-gray, since a mirrored image would show people without boxes. An object stays one
    while its centre and `min_object_kept` of its box are in view; its box is the part in view. Of what stays less,
    the part in view becomes a crowd: neither an object to be found nor background. tensorflow/models drops such boxes,
    and so teaches that what is left of them is background.

    Args:
      rasters: uint8 [n, height, width, 1 or 3], square: the model's rasters, or larger or more colourful ones.
      targets: what is in them.
      seed: int64 [2]; the same seed gives the same changes.
      changes: in the order in which they are applied.
      side: of the result, in pixels.
      channels: of the result.

    Returns:
      float32 [n, side, side, channels] in [0, 255], and what is in them.
    """
    if not any(isinstance(change, Saturation) for change in changes):
        rasters = reduce_colours(rasters, channels)
    rasters, targets = _move(rasters, targets, seed, [c for c in changes if isinstance(c, PlaceChange)], side)
    for change in changes:
        if isinstance(change, ValueChange | JpegNoise):
            rasters = change_pixels(rasters, change, seed, channels)
        elif isinstance(change, Erasing):
            rasters, targets = _erase(rasters, targets, change, seed)
    return tf.clip_by_value(rasters, 0.0, 255.0), targets


def _move(
    rasters: Any, targets: BoxTargets, seed: Any, changes: Sequence[PlaceChange], side: int
) -> tuple[Any, BoxTargets]:
    """The rasters as float32 at the model's side, and what is in view of them."""
    if not changes:
        return bring_to_size(rasters, side), targets
    limits = _draw_limits(changes, seed, tf.shape(rasters)[0])

    def fits(seen: Any) -> Any:
        exists = visibility.area(seen) > 0
        return tf.reduce_any(_stays(seen, limits[:, tf.newaxis]), -1) | ~tf.reduce_any(exists, -1)

    maps = places.choose_places(changes, seed, side, _corners_of_objects(targets), fits)
    is_exact = rasters.shape[1] == side and places.moves_whole_pixels(changes)
    moved = places.resample(rasters, maps, side, is_exact=is_exact, is_mirrored=False)
    return moved, _in_view(places.move(visibility.corners_of(targets.boxes_yxyx), maps), targets, limits)


def _draw_limits(changes: Sequence[PlaceChange], seed: Any, count: Any) -> Any:
    """Which share of a box has to stay, float32 [n, 1]."""
    stated = places.strictest_kept(changes) or 0.0
    if not any(isinstance(change, SsdRandomCrop) for change in changes):
        return tf.fill([count, 1], stated)
    purpose = seed_of(seed, "ssd_random_crop/kept")
    choice = tf.random.stateless_uniform([count, 1], purpose, 0, len(SSD_KEPT), tf.int32)
    return tf.maximum(tf.gather(tf.constant(SSD_KEPT), choice), stated)


def _corners_of_objects(targets: BoxTargets) -> Any:
    """float32 [n, boxes, 4, 2], without extent where there is no object."""
    is_object = (targets.labels > 0) & ~targets.crowds
    return visibility.corners_of(tf.where(is_object[..., tf.newaxis], targets.boxes_yxyx, 0.0))


def _stays(corners: Any, limits: Any) -> Any:
    """Whether enough of each object is in view, bool of the shape of `corners` but for its last two axes."""
    whole = visibility.area(corners)
    is_centred = tf.reduce_all(tf.abs(tf.reduce_mean(corners, -2)) < 0.5, -1)
    kept = visibility.area_inside(corners, visibility.VIEW)
    return (whole > 0) & is_centred & (kept >= (limits - _ROUNDING) * whole)


def _in_view(corners: Any, targets: BoxTargets, limits: Any) -> BoxTargets:
    """The boxes around the part of each object that is in view; a turned one is taken for the box that it was."""
    low, high = visibility.bounds_in_view(corners)
    is_seen = (targets.labels > 0) & tf.reduce_all(high > low, -1)
    boxes = 0.5 + tf.concat([low[..., ::-1], high[..., ::-1]], -1)
    return BoxTargets(
        tf.where(is_seen[..., tf.newaxis], boxes, 0.0),
        tf.where(is_seen, targets.labels, 0),
        is_seen & (targets.crowds | ~_stays(corners, limits)),
    )


def _erase(rasters: Any, targets: BoxTargets, change: Erasing, seed: Any) -> tuple[Any, BoxTargets]:
    """Fills a rectangle of each image; what it covers too much of is no object any more."""
    edges, erases = draw_rectangles(change, seed, tf.shape(rasters)[0], _corners_of_objects(targets))
    corners = visibility.corners_of(targets.boxes_yxyx)
    whole = visibility.area(corners)
    covered = visibility.area_inside(corners, tf.unstack(edges[:, tf.newaxis], axis=-1))
    is_lost = erases[:, tf.newaxis] & (whole - covered < (change.min_object_kept - _ROUNDING) * whole)
    crowds = (targets.labels > 0) & (targets.crowds | is_lost)
    return erase(rasters, change, seed, edges, erases), targets._replace(crowds=crowds)
