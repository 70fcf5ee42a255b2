"""Which detection is matched to which box, by COCO's rule: what AP is made of, and what can be drawn from again.

The library that gives the figures keeps its matches to itself. The rule is pycocotools' `COCOeval.evaluateImg` over all
areas: detections of a label, the best first, each take the free box with the highest IoU, or else a crowd.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.detection.detections import Detections, GroundTruth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100  # of one label and image, as COCO counts them

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matches:
    """All detections of one label, the best first, of equal scores in the images' order.

    Attributes:
      scores: float32 [n], falling.
      images: int64 [n], index of each one's image.
      is_right: bool [ious, n], whether it is matched to a box.
      is_ignored: bool [ious, n], whether it is matched to a crowd, and so neither right nor false.
      boxes: int64 [images], boxes of ground truth, crowds left out.
    """

    scores: npt.NDArray[np.float32]
    images: npt.NDArray[np.int64]
    is_right: Bools
    is_ignored: Bools
    boxes: npt.NDArray[np.int64]


def match_label(
    truths: Sequence[GroundTruth], found: Sequence[Detections], label: int, ious: Floats = IOU_THRESHOLDS
) -> Matches:
    """Matches the detections of one label, at several thresholds of IoU [ious] at once."""
    scores, images, right, ignored = [], [], [], []
    for index, (truth, detections) in enumerate(zip(truths, found, strict=True)):
        if label not in detections.labels:
            continue
        mine, _, boxes_taken, is_ignored = match_label_in_image(truth, detections, label, ious)
        scores.append(detections.scores[mine])
        images.append(np.full(len(mine), index))
        right.append(boxes_taken >= 0)
        ignored.append(is_ignored)
    boxes = np.asarray([np.count_nonzero((t.labels == label) & ~t.crowds) for t in truths], np.int64)
    if not scores:
        none = np.zeros((len(ious), 0), bool)
        return Matches(np.zeros(0, np.float32), np.zeros(0, np.int64), none, none, boxes)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Matches(
        np.concatenate(scores)[order],
        np.concatenate(images)[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        boxes,
    )


def match_label_in_image(
    truth: GroundTruth, found: Detections, label: int, ious: Floats
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int64], Bools]:
    """Matches the detections of one label in one image.

    Returns:
      Indices of the label's detections, as many as COCO counts, and of its boxes; then as `match_image` of these.
    """
    mine, boxes = np.flatnonzero(found.labels == label)[:MAX_DETECTIONS], np.flatnonzero(truth.labels == label)
    overlaps = box_ious(found.boxes_yxyx[mine], truth.boxes_yxyx[boxes], truth.crowds[boxes])
    return mine, boxes, *match_image(overlaps, truth.crowds[boxes], ious)


def match_image(overlaps: Floats, crowds: Bools, ious: Floats) -> tuple[npt.NDArray[np.int64], Bools]:
    """Matches the detections of one label in one image.

    Args:
      overlaps: float64 [detections, boxes], the best detection first.
      crowds: bool [boxes].
      ious: float64 [ious].

    Returns:
      int64 [ious, detections], the box that it took, -1 for none; and bool likewise, whether it took a crowd.
    """
    taken = np.full((len(ious), len(overlaps)), -1)
    ignored = np.zeros(taken.shape, bool)
    is_free = np.repeat(~crowds[np.newaxis], len(ious), axis=0)
    every = np.arange(len(ious))
    # The others reach no threshold with any box, and take none from those that do.
    for index in np.flatnonzero(overlaps.max(axis=1, initial=0) >= ious[0]):
        reached = overlaps[index] >= ious[:, np.newaxis]
        free = np.where(is_free & reached, overlaps[index], -1.0)
        best = free.shape[1] - 1 - free[:, ::-1].argmax(axis=1)  # of equal ones, the last
        is_right = free[every, best] >= 0
        taken[is_right, index] = best[is_right]
        is_free[every[is_right], best[is_right]] = False
        ignored[:, index] = ~is_right & (reached & crowds).any(axis=1)
    return taken, ignored


def box_ious(first_yxyx: npt.NDArray[Any], second_yxyx: npt.NDArray[Any], crowds: Bools) -> Floats:
    """Intersection over union, float64 [first, second]; with a crowd, over the first box's area.

    Any unit will do that is the same along an axis: shares of the image give what pixels give.
    """
    first, second = first_yxyx.astype(np.float64)[:, np.newaxis], second_yxyx.astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    both = sides.clip(0).prod(axis=-1)
    area = (first[..., 2:] - first[..., :2]).prod(axis=-1)
    union = np.where(crowds, area, area + (second[..., 2:] - second[..., :2]).prod(axis=-1) - both)
    shares: Floats = both / np.where(union > 0, union, 1.0)
    return shares
