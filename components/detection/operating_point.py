"""The operating point of a detector: from which score on a detection is reported, and what that comes to.

A detection is right that is matched to a box of its label at IoU 0.5, by COCO's rule. The score is chosen on the eval
split, on the detections of the int8 file itself.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.detection.detections import Detections, GroundTruth
from components.detection.matches import Matches, box_ious, match_image, match_label, match_label_in_image
from components.detection.records import DetectionCounts, DetectorRates

BACKGROUND = 0

_IOU = np.asarray([0.5])


def choose_score(
    truths: Sequence[GroundTruth], found: Sequence[Detections], labels: Sequence[int], max_false: float | None
) -> float | None:
    """The score with the best F1 over all labels, or the lowest one that keeps to a number of false detections.

    Args:
      truths: one for each image.
      found: likewise.
      labels: that are counted.
      max_false: false detections for each image that are allowed; None asks for the best F1.

    Returns:
      One of the scores, the higher of equally good ones; None where there is no detection, or none keeps to it.
    """
    matches = [match_label(truths, found, label, _IOU) for label in labels]
    judged = np.concatenate([~each.is_ignored[0] for each in matches])
    scores = np.concatenate([each.scores for each in matches])[judged]
    right = np.concatenate([each.is_right[0] for each in matches])[judged]
    levels = np.unique(scores)[::-1]
    order = np.argsort(-scores, kind="stable")
    last = np.searchsorted(-scores[order], -levels, side="right")  # how many detections have at least this score
    hits = np.concatenate([[0], np.cumsum(right[order])])[last]
    false = last - hits
    if max_false is not None:
        allowed = levels[false <= max_false * len(truths) + 1e-9]
        return float(allowed[-1]) if len(allowed) else None
    boxes = sum(int(each.boxes.sum()) for each in matches)
    f1 = 2 * hits / np.maximum(last + boxes, 1)
    return float(levels[int(f1.argmax())]) if len(levels) else None


def measure_rates(
    truths: Sequence[GroundTruth], found: Sequence[Detections], label_names: Sequence[str], score: float
) -> DetectorRates:
    """What a score comes to; `label_names` has the background first."""
    reported = [each.from_score(score) for each in found]
    labels = {
        name: _count(match_label(truths, reported, label, _IOU)) for label, name in enumerate(label_names) if label > 0
    }
    confusion = np.zeros((len(label_names),) * 2, np.int64)
    for truth, detections in zip(truths, reported, strict=True):
        _confuse(truth, detections, confusion)
    return DetectorRates(
        images=len(truths),
        counts=DetectionCounts(
            **{key: sum(getattr(each, key) for each in labels.values()) for key in DetectionCounts.model_fields}
        ),
        labels=labels,
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def _count(matches: Matches) -> DetectionCounts:
    right, ignored = (int(np.count_nonzero(each[0])) for each in (matches.is_right, matches.is_ignored))
    return DetectionCounts(
        right=right, false=len(matches.scores) - right - ignored, missed=int(matches.boxes.sum()) - right
    )


def _confuse(truth: GroundTruth, found: Detections, confusion: npt.NDArray[np.int64]) -> None:
    """Adds one image: matches within a label first, then what is left across labels, the best detection first."""
    is_left, is_free = np.zeros(len(found.labels), bool), ~truth.crowds
    for label in np.unique(found.labels):
        mine, boxes, taken, ignored = match_label_in_image(truth, found, label, _IOU)
        is_right = taken[0] >= 0
        is_left[mine] = ~(is_right | ignored[0])
        is_free[boxes[taken[0][is_right]]] = False
        confusion[label, label] += np.count_nonzero(is_right)
    left, free = np.flatnonzero(is_left), np.flatnonzero(is_free)
    no_crowds = np.zeros(len(free), bool)
    taken, _ = match_image(box_ious(found.boxes_yxyx[left], truth.boxes_yxyx[free], no_crowds), no_crowds, _IOU)
    is_taken = taken[0] >= 0
    np.add.at(confusion, (truth.labels[free[taken[0][is_taken]]], found.labels[left[is_taken]]), 1)
    np.add.at(confusion[BACKGROUND], found.labels[left[~is_taken]], 1)
    np.add.at(confusion[:, BACKGROUND], truth.labels[np.delete(free, taken[0][is_taken])], 1)
