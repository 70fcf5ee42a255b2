"""95 % intervals of AP by bootstrap: the images are drawn again with replacement, and AP is measured on each draw.

The middle 95 % of the draws, mirrored at what was measured: a draw repeats images, which raises AP a little, and would
raise the lower end with it. An interval says what other images of the same kind would have given; it does not know what
no image shows, so that a detector without a mistake has an interval of no width.

Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 5.2 (basic bootstrap limits).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.detection.matches import Matches
from components.intervals import Interval

RESAMPLES = 1000
_SEED = 1
_RECALLS = np.linspace(0, 1, 101)
_AT_ONCE = 4_000_000  # detections times draws, which bounds the memory

Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.int32]


def draw_images(images: int, resamples: int = RESAMPLES) -> Draws:
    """How often each image is in each draw, int32 [resamples, images], the same for the same arguments."""
    generator = np.random.default_rng(_SEED)
    chosen = generator.integers(0, images, (resamples, images))
    rows = np.arange(resamples)[:, np.newaxis] * images
    return (
        np.bincount((chosen + rows).ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.int32)
    )


def resample_ap(matches: Matches, draws: Draws) -> Floats:
    """AP of one label on each draw, float64 [draws, ious]; NaN where the draw has no box of it."""
    if len(matches.scores) == 0:
        nothing = np.where(draws @ matches.boxes > 0, 0.0, np.nan)
        return np.repeat(nothing[:, np.newaxis], len(matches.is_right), axis=1)
    step = max(_AT_ONCE // len(matches.scores), 1)
    return np.concatenate([_resample(matches, draws[start : start + step]) for start in range(0, len(draws), step)])


def _resample(matches: Matches, draws: Draws) -> Floats:
    counts = draws[:, matches.images]  # of each detection
    total, boxes = np.cumsum(counts, axis=1, dtype=np.int32), draws @ matches.boxes
    return np.stack(
        [
            _average_precision(counts, total, right, ignored, boxes)
            for right, ignored in zip(matches.is_right, matches.is_ignored, strict=True)
        ],
        axis=1,
    )


def _average_precision(
    counts: Draws, total: Draws, is_right: npt.NDArray[np.bool_], is_ignored: npt.NDArray[np.bool_], boxes: Draws
) -> Floats:
    """Of each draw, float64 [draws], at one IoU: the mean of the best precision from 101 recalls on.

    Precision only rises at a detection that is right, so that no other has to be looked at.
    """
    places, ignored = np.flatnonzero(is_right), np.flatnonzero(is_ignored)
    if len(places) == 0:
        return np.where(boxes > 0, 0.0, np.nan)
    right = np.cumsum(counts[:, places], axis=1)
    judged = total[:, places]
    if len(ignored):
        without = np.pad(np.cumsum(counts[:, ignored], axis=1), ((0, 0), (1, 0)))
        judged = judged - without[:, np.searchsorted(ignored, places)]
    precision = right / np.maximum(judged, 1)
    # A last column of 0: the precision of a recall that is never reached.
    best = np.pad(np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1], ((0, 0), (0, 1)))
    needed = _needed(boxes)
    # One search for all draws: each draw's counts lie above the ones of the draw before.
    rows = np.arange(len(boxes))[:, np.newaxis]
    offset = rows * (int(boxes.max()) + 2)
    first = np.searchsorted((right + offset).ravel(), (needed + offset).ravel()).reshape(needed.shape)
    reached = np.minimum(first - rows * len(places), len(places))
    return np.where(boxes > 0, best[rows, reached].mean(axis=1), np.nan)


def _needed(boxes: Draws) -> npt.NDArray[np.int64]:
    """The fewest boxes that reach each recall, int64 [draws, recalls], by the same division as pycocotools."""
    found = np.ceil(_RECALLS * boxes[:, np.newaxis]).astype(np.int64)
    some = np.maximum(boxes, 1)[:, np.newaxis]
    found = np.where((found - 1) / some >= _RECALLS, found - 1, found)
    return np.maximum(np.where(found / some < _RECALLS, found + 1, found), 0)


def mean_of_labels(by_label: Sequence[Floats]) -> Floats:
    """The mean over the labels that a draw has boxes of, float64 as each of them; NaN where it has none."""
    stacked = np.stack(by_label)
    known = np.count_nonzero(~np.isnan(stacked), axis=0)
    total: Floats = np.nansum(stacked, axis=0)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def interval(measured: float | None, values: Floats, lowest: float = 0.0) -> Interval | None:
    """95 % of a figure, from `lowest` to 1; None where it is undefined.

    Args:
      measured: the figure on the images themselves.
      values: on every draw; NaN where it has no value.
      lowest: that the figure can be.
    """
    known = values[~np.isnan(values)]
    if measured is None or len(known) == 0:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return max(float(2 * measured - high), lowest), min(float(2 * measured - low), 1.0)
