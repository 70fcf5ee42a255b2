"""How a classifier did on a split, as a release records it: with intervals, by label and by slice.

The float model and the int8 file are measured by the same code on the same images, and then against each other.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.intervals import auc_interval, drop_interval, wilson_interval
from components.quantization.metrics import classifier_metrics
from components.quantization.operating_point import rate
from components.quantization.records import LabelQuality, Quality, QuantizationLoss


def measure_quality(
    probabilities: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    label_names: Sequence[str],
    slices: Sequence[str],
) -> Quality:
    """Measures a classifier on labelled images.

    Args:
      probabilities: float [n, labels]; of equal ones the lowest label wins.
      labels: int [n].
      label_names: one for each column.
      slices: the slice of each image.

    Raises:
      ModelError: as `classifier_metrics` does.
    """
    found = classifier_metrics(probabilities, labels)
    decisions = probabilities.argmax(axis=1)
    is_right = decisions == labels
    counts = np.bincount(labels, minlength=len(label_names)).tolist()
    names = np.asarray(slices)
    return Quality(
        examples=found.images,
        accuracy=found.accuracy,
        accuracy_interval=wilson_interval(found.accuracy, found.images),
        auc=found.auc,
        auc_interval=None if found.auc is None else auc_interval(found.auc, counts),
        confusion=found.confusion,
        labels={
            name: LabelQuality(recall=rate(is_right[labels == index]), precision=rate(is_right[decisions == index]))
            for index, name in enumerate(label_names)
        },
        slices={str(name): known for name in np.unique(names) if (known := rate(is_right[names == name])) is not None},
    )


def measure_loss(
    float_probabilities: npt.NDArray[np.floating[Any]],
    int8_probabilities: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
) -> QuantizationLoss:
    """Holds two classifiers' decisions on the same images against each other; [n, labels] each, n at least 1."""
    before, after = float_probabilities.argmax(axis=1), int8_probabilities.argmax(axis=1)
    lost = int(np.count_nonzero((before == labels) & (after != labels)))
    won = int(np.count_nonzero((before != labels) & (after == labels)))
    agreement = rate(before == after)
    assert agreement is not None
    return QuantizationLoss(
        lost=lost,
        won=won,
        drop=(lost - won) / len(labels),
        drop_interval=drop_interval(lost, won, len(labels)),
        agreement=agreement,
    )
