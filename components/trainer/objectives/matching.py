"""Which anchor has to find which box, for whole batches, as TensorFlow ops."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from components.trainer.box_targets import BoxTargets


class Assignment(NamedTuple):
    """What each anchor is for.

    Attributes:
      box: int32 [n, anchors], row of the box that it has to find; 0 where there is none.
      is_matched: bool [n, anchors], whether there is one.
      is_ignored: bool [n, anchors], whether it is neither for a box nor for the background.
    """

    box: Any
    is_matched: Any
    is_ignored: Any


def assign(targets: BoxTargets, anchors_yxyx: Any, match_iou: float) -> Assignment:
    """Matches anchors and boxes.

    As in tensorflow/models, research/object_detection/matchers/argmax_matcher.py with `force_match_for_each_row`: an
    anchor is for the box with the highest IoU, if that is at least `match_iou`; beside that, every box gets the anchor
    with which its IoU is highest, the first of several boxes that want the same one. A box that touches no anchor gets
    none. What lies in a crowd, by that share of its area in the image, is ignored.

    Args:
      targets: of the batch.
      anchors_yxyx: float32 [anchors, 4]; they may reach beyond the image.
      match_iou: 0...1.
    """
    exists = targets.labels > 0
    is_object = exists & ~targets.crowds
    iou = keras.utils.bounding_boxes.compute_iou(targets.boxes_yxyx, anchors_yxyx, "yxyx")
    iou = tf.where(is_object[..., tf.newaxis], iou, -1.0)  # [n, boxes, anchors]
    is_close = tf.reduce_max(iou, 1) >= match_iou
    favourite = tf.argmax(iou, 2, output_type=tf.int32)[..., tf.newaxis]
    is_wanted = (tf.range(anchors_yxyx.shape[0]) == favourite) & (tf.reduce_max(iou, 2) > 0.0)[..., tf.newaxis]
    is_forced = tf.reduce_any(is_wanted, 1)
    box = tf.where(is_forced, _first(is_wanted), tf.argmax(iou, 1, output_type=tf.int32))
    is_matched = is_forced | is_close
    share = _shares_inside(anchors_yxyx, targets.boxes_yxyx)
    share = tf.where((exists & targets.crowds)[..., tf.newaxis], share, 0.0)
    in_crowd = tf.reduce_any((share >= match_iou) & (share > 0.0), 1)
    return Assignment(tf.where(is_matched, box, 0), is_matched, in_crowd & ~is_matched)


def _first(is_wanted: Any) -> Any:
    """Of bool [n, boxes, anchors], the first box of each anchor."""
    return tf.argmax(tf.cast(is_wanted, tf.int8), 1, output_type=tf.int32)


def _shares_inside(anchors_yxyx: Any, boxes_yxyx: Any) -> Any:
    """Which share of each anchor's part of the image lies in each box, float32 [n, boxes, anchors]."""
    anchors = tf.clip_by_value(anchors_yxyx, 0.0, 1.0)
    boxes = boxes_yxyx[:, :, tf.newaxis]
    low, high = tf.maximum(anchors[:, :2], boxes[..., :2]), tf.minimum(anchors[:, 2:], boxes[..., 2:])
    inside = tf.reduce_prod(tf.maximum(high - low, 0.0), -1)
    return tf.math.divide_no_nan(inside, tf.reduce_prod(anchors[:, 2:] - anchors[:, :2], -1))
