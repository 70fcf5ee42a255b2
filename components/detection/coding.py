"""Between boxes and what a detector is trained to say of them, in floating point.

SSD's coding (Liu et al., arXiv 1512.02325, and box_coders/faster_rcnn_box_coder.py of tensorflow/models): the distance
of the centres in shares of the anchor's size, and the logarithm of the sizes' ratio, each divided by a variance. It is
that of `keras.utils.bounding_boxes` with `center_yxhw`.
"""

import numpy as np
import numpy.typing as npt

from components.detection.anchor_boxes import to_yxyx
from components.detection.anchors import VARIANCES
from components.detection.detections import Detections
from components.detection.options import DecoderOptions
from components.detection.selection import select

MIN_SIZE = 1e-7  # what has no height or width is encoded as if it had this one

Floats = npt.NDArray[np.float32]


def encode_boxes(boxes_yxyx: Floats, anchors_yxhw: Floats) -> Floats:
    """Boxes relative to anchors.

    Args:
      boxes_yxyx: float32 [..., 4] in 0...1.
      anchors_yxhw: float32 [..., 4], broadcast against the boxes.

    Returns:
      float32 [..., 4]: ty, tx, th, tw.
    """
    low, high = boxes_yxyx[..., :2], boxes_yxyx[..., 2:]
    centres, sizes = anchors_yxhw[..., :2], np.maximum(anchors_yxhw[..., 2:], MIN_SIZE)
    offsets = ((low + high) / 2 - centres) / sizes
    ratios = np.log(np.maximum(high - low, MIN_SIZE) / sizes)
    encoded: Floats = np.concatenate([offsets, ratios], -1) * np.reciprocal(np.array(VARIANCES, np.float32))
    return encoded


def decode_boxes(encoded: Floats, anchors_yxhw: Floats) -> Floats:
    """The inverse of `encode_boxes`: float32 [..., 4], ymin, xmin, ymax, xmax, not clipped to the image."""
    scaled = encoded * np.array(VARIANCES, np.float32)
    centres = anchors_yxhw[..., :2] + scaled[..., :2] * anchors_yxhw[..., 2:]
    sizes = anchors_yxhw[..., 2:] * np.exp(scaled[..., 2:])
    return to_yxyx(np.concatenate([centres, sizes], -1))


def decode_detections(encoded: Floats, logits: Floats, anchors_yxhw: Floats, options: DecoderOptions) -> Detections:
    """What was found in one image. Boxes are clipped to the image first, then their overlaps are measured.

    Args:
      encoded: float32 [anchors, 4], as `encode_boxes` gives them.
      logits: float32 [anchors, labels - 1]; column 0 is label 1.
      anchors_yxhw: float32 [anchors, 4].
      options: which anchors become detections.
    """
    boxes = np.clip(decode_boxes(encoded, anchors_yxhw), 0, 1)
    scores = sigmoid(logits)
    anchors, columns = select(
        scores,
        scores >= options.min_score,
        lambda best: iou_yxyx(boxes[best], boxes[best]) > options.max_iou,
        options,
    )
    return Detections(boxes[anchors], scores[anchors, columns], columns.astype(np.int64) + 1)


def iou_yxyx(some: Floats, others: Floats) -> Floats:
    """Intersection over union of each of some boxes with each of others, float32 [n, m]; 0 where the union is empty."""
    low = np.maximum(some[:, np.newaxis, :2], others[:, :2])
    high = np.minimum(some[:, np.newaxis, 2:], others[:, 2:])
    intersections = _area(np.maximum(high - low, 0))
    unions: Floats = (
        _area(some[:, np.newaxis, 2:] - some[:, np.newaxis, :2]) + _area(others[:, 2:] - others[:, :2]) - intersections
    )
    return np.divide(intersections, unions, out=np.zeros_like(unions), where=unions > 0)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logit)), without an overflow where it is near 0."""
    small: Floats = np.exp(-np.abs(logits))
    return np.asarray(np.exp(np.minimum(logits, 0)) / (1 + small), np.float32)


def _area(sizes: Floats) -> Floats:
    """Of heights and widths, float32 [..., 2] to [...]."""
    return sizes[..., 0] * sizes[..., 1]
