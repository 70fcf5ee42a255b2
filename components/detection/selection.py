"""Which anchors become detections: greedy non-maximum suppression, label by label."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.detection.options import DecoderOptions

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def select(
    keys: npt.NDArray[Any], is_candidate: Mask, overlap: Callable[[Indices], Mask], options: DecoderOptions
) -> tuple[Indices, Indices]:
    """The best anchors of each label, less those that overlap better ones; of equal keys, the lower anchor is better.

    Args:
      keys: [anchors, columns], float32 or a signed integer; the higher the better.
      is_candidate: bool [anchors, columns].
      overlap: from n anchors to bool [n, n], whether two of them are too close for both to be detections.
      options: how many are looked at and kept.

    Returns:
      Anchors and their columns, the best first; of equal keys, the lower column and then the lower anchor.
    """
    chosen: list[Indices] = [np.empty((2, 0), np.intp)]
    for column in np.flatnonzero(is_candidate.any(0)):
        anchors = np.flatnonzero(is_candidate[:, column])
        best = anchors[np.argsort(-keys[anchors, column], kind="stable")[: options.max_candidates]]
        kept = best[_survives(overlap(best))]
        chosen.append(np.stack([kept, np.full_like(kept, column)]))
    anchors, columns = np.concatenate(chosen, 1)
    order = np.argsort(-keys[anchors, columns], kind="stable")[: options.max_detections]
    return anchors[order], columns[order]


def _survives(is_close: Mask) -> Mask:
    """Greedily: bool [n], whether each is far from all that survive before it."""
    survives = np.ones(len(is_close), np.bool_)
    for index, row in enumerate(is_close):
        if survives[index]:
            survives[index + 1 :] &= ~row[index + 1 :]
    return survives
