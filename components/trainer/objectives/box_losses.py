"""What a detector's outputs cost, anchor by anchor, as TensorFlow ops."""

from typing import Any

import keras
import tensorflow as tf

from components.detection.anchors import VARIANCES
from components.detection.options import FocalLoss, HardNegativeMining
from components.trainer.box_targets import BoxTargets
from components.trainer.objectives.matching import Assignment


def score_losses(
    logits: Any, targets: BoxTargets, assignment: Assignment, options: FocalLoss | HardNegativeMining
) -> Any:
    """The loss of every anchor's scores.

    Args:
      logits: float32 [n, anchors, labels - 1].
      targets: of the batch.
      assignment: of the anchors to them.
      options: which loss.

    Returns:
      float32 [n, anchors], 0 where an anchor is ignored, or not mined.
    """
    labels = tf.where(assignment.is_matched, tf.gather(targets.labels, assignment.box, batch_dims=1), 0)
    wanted = tf.one_hot(labels - 1, logits.shape[-1])  # the background's -1 is a row of 0
    if isinstance(options, FocalLoss):
        losses = tf.reduce_sum(_focal(logits, wanted, options), -1)
        return tf.where(assignment.is_ignored, 0.0, losses)
    losses = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits), -1)
    return tf.where(assignment.is_matched | _hardest(losses, assignment, options), losses, 0.0)


def _focal(logits: Any, wanted: Any, options: FocalLoss) -> Any:
    """By softplus alone, whose gradient is finite however sure the model is."""
    margin = logits * (2.0 * wanted - 1.0)  # of the right answer; its probability is sigmoid(margin)
    balance = wanted * options.alpha + (1.0 - wanted) * (1.0 - options.alpha)
    return balance * tf.exp(-options.gamma * tf.math.softplus(margin)) * tf.math.softplus(-margin)


def _hardest(losses: Any, assignment: Assignment, options: HardNegativeMining) -> Any:
    """The negatives with the highest loss of each image, bool [n, anchors]; of equal ones the first."""
    is_negative = ~assignment.is_matched & ~assignment.is_ignored
    order = tf.argsort(tf.where(is_negative, losses, -1.0), direction="DESCENDING", stable=True)
    rank = tf.argsort(order)
    matched = tf.math.count_nonzero(assignment.is_matched, 1, dtype=tf.float32)
    count = tf.where(matched > 0, options.negatives_per_positive * matched, float(options.min_negatives))
    return is_negative & (tf.cast(rank, tf.float32) < count[:, tf.newaxis])


def box_losses(encoded: Any, targets: BoxTargets, assignment: Assignment, anchors_yxhw: Any) -> Any:
    """Smooth L1 between what the matched anchors say and their boxes.

    Args:
      encoded: float32 [n, anchors, 4].
      targets: of the batch.
      assignment: of the anchors to them.
      anchors_yxhw: float32 [anchors, 4].

    Returns:
      float32 [n, anchors], 0 where an anchor is not matched.
    """
    wanted = keras.utils.bounding_boxes.encode_box_to_deltas(
        anchors_yxhw,
        tf.gather(targets.boxes_yxyx, assignment.box, batch_dims=1),
        anchor_format="center_yxhw",
        box_format="yxyx",
        variance=VARIANCES,
    )
    off = tf.abs(encoded - wanted)
    losses = tf.reduce_sum(tf.where(off < 1.0, 0.5 * off * off, off - 0.5), -1)
    return tf.where(assignment.is_matched, losses, 0.0)
