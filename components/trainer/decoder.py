"""The decoder of detections in TensorFlow, for the serving signature; see `components.detection.coding`."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features
from components.detection.anchors import VARIANCES
from components.detection.options import DecoderOptions


def decode_batch(
    encoded: Any, logits: Any, anchors_yxhw: npt.NDArray[np.float32], options: DecoderOptions
) -> dict[str, Any]:
    """What `decode_detections` finds in each image; of equal scores, any may come first.

    Args:
      encoded: float32 [n, anchors, 4].
      logits: float32 [n, anchors, labels - 1].
      anchors_yxhw: float32 [anchors, 4].
      options: which anchors become detections.

    Returns:
      The outputs of the serving signature, as `components.features` describes them.
    """
    by_label = tf.transpose(tf.sigmoid(logits), [0, 2, 1])
    scores, best = tf.math.top_k(by_label, min(options.max_candidates, len(anchors_yxhw)))
    # TensorFlow takes what lies above its threshold, we take what lies on it too.
    scores = tf.where(scores >= options.min_score, scores, 0.0)
    boxes = tf.gather(_decode_boxes(encoded, anchors_yxhw), best, batch_dims=1)
    found = tf.image.combined_non_max_suppression(
        tf.transpose(boxes, [0, 2, 1, 3]),
        tf.transpose(scores, [0, 2, 1]),
        max_output_size_per_class=options.max_candidates,
        max_total_size=options.max_detections,
        iou_threshold=options.max_iou,
        score_threshold=0.0,
        clip_boxes=False,
    )
    is_found = tf.sequence_mask(found.valid_detections, options.max_detections)
    return {
        features.DETECTION_BOXES: found.nmsed_boxes,
        features.DETECTION_SCORES: found.nmsed_scores,
        features.DETECTION_LABELS: tf.where(is_found, tf.cast(found.nmsed_classes, tf.int64) + 1, 0),
    }


def _decode_boxes(encoded: Any, anchors_yxhw: npt.NDArray[np.float32]) -> Any:
    """Float32 [n, anchors, 4], ymin, xmin, ymax, xmax, clipped to the image."""
    scaled = encoded * tf.constant(VARIANCES)
    centres = anchors_yxhw[:, :2] + scaled[..., :2] * anchors_yxhw[:, 2:]
    halves = anchors_yxhw[:, 2:] * tf.exp(scaled[..., 2:]) / 2
    return tf.clip_by_value(tf.concat([centres - halves, centres + halves], -1), 0.0, 1.0)
