"""Accuracy, AUC and confusion of a classifier's outputs, exact and in NumPy alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.options import Options
from components.quantization.contracts import TensorContract


class ClassifierMetrics(Options):
    """How a classifier did on a set of images.

    Attributes:
      images: how many there were.
      accuracy: share of images whose most probable label is the right one, 0 to 1.
      auc: area under the ROC curve, ties counted half. Of two labels it is that of label 1; of more, the mean over
        every label against all others. None when all images, or none, have one of these labels.
      confusion: images by true label (row) and predicted label (column).
    """

    images: int
    accuracy: float
    auc: float | None
    confusion: tuple[tuple[int, ...], ...]


def classifier_metrics(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]
) -> ClassifierMetrics:
    """Measures a classifier on labelled images.

    Args:
      probabilities: float [n, labels], n at least 1, labels at least 2; of equal ones the lowest label wins.
      labels: int [n], each 0 to labels - 1.

    Raises:
      ModelError: when shapes do not match, a label has no column, or a probability is not finite.
    """
    _check(probabilities, labels)
    confusion = confusion_matrix(probabilities, labels)
    return ClassifierMetrics(
        images=len(labels),
        accuracy=float(np.trace(confusion) / len(labels)),
        auc=_mean_auc(probabilities, labels),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def confusion_matrix(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.int64]:
    """Images by true label (row) and predicted label (column), int64 [labels, labels].

    Args:
      probabilities: float [n, labels]; of equal ones the lowest label wins.
      labels: int [n], each 0 to labels - 1.
    """
    confusion = np.zeros((probabilities.shape[1],) * 2, np.int64)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    return confusion


def _mean_auc(probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float | None:
    columns = probabilities.shape[1]
    areas = [roc_auc(probabilities[:, label], labels == label) for label in ((1,) if columns == 2 else range(columns))]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if len(known) == len(areas) else None


def roc_auc(scores: npt.NDArray[np.floating[Any]], is_positive: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a positive scores above a negative, ties counted half (Mann-Whitney U).

    Args:
      scores: float [n], finite.
      is_positive: bool [n].

    Returns:
      0 to 1; None when there are no positives or no negatives.
    """
    positives = int(np.count_nonzero(is_positive))
    negatives = len(is_positive) - positives
    if positives == 0 or negatives == 0:
        return None
    # Equal scores share the mean of their ranks. Ranks are doubled to stay whole, so the sum is exact.
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    doubled_rank_sum = int((2 * last_rank - sizes + 1)[group][is_positive].sum())
    return (doubled_rank_sum - positives * (positives + 1)) / (2 * positives * negatives)


def dequantize(codes: npt.NDArray[Any], contract: TensorContract) -> npt.NDArray[np.float32]:
    """Real values of an output: (code - zero point) * scale, or the values themselves if it is not quantized.

    Args:
      codes: the output's own dtype, any shape.
      contract: of that output.
    """
    if contract.scale is None or contract.zero_point is None:
        return codes.astype(np.float32)
    return (codes.astype(np.float32) - np.float32(contract.zero_point)) * np.float32(contract.scale)


def _check(probabilities: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ModelError(
            f"nothing to measure: received probabilities {probabilities.shape} and labels {labels.shape}.",
            expected="probabilities [n, labels] and labels [n] of at least one image",
            hint="look at the number of examples in the split, and at the model's output shape",
        )
    columns = probabilities.shape[1]
    if columns < 2 or labels.min() < 0 or labels.max() >= columns:
        raise ModelError(
            f"the model has {columns} labels: received labels {labels.min()} ... {labels.max()}.",
            expected=f"at least two labels, and label ids from 0 to {columns - 1}",
            hint="train the model with as many labels as the examples have",
        )
    if not np.isfinite(probabilities).all():
        raise ModelError(
            f"{np.count_nonzero(~np.isfinite(probabilities).all(axis=1))} images have a probability that is no number.",
            expected="finite probabilities",
            hint="training diverged; lower the learning rate",
        )
