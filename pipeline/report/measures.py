"""Histograms, spreads and separations of one number per image."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.report.findings import Separation, Spread
from pipeline.report.histograms import Histogram, Series

Values = npt.NDArray[np.float64]

BRIGHTNESS_EDGES = tuple(step / 20 for step in range(21))
CONTRAST_EDGES = tuple(step / 40 for step in range(21))
# Quarters of an octave, with 1:1 in the middle of a bin.
ASPECT_EDGES = tuple(2 ** ((step - 0.5) / 4) for step in range(-8, 10))
IOU_EDGES = tuple(step / 20 for step in range(21))
SIDE_EDGES = tuple(2 ** (step / 2) for step in range(8, 25))  # 16 to 4,096 pixels in half octaves

_SMALLEST_FRACTION = 1e-4
_PER_DECADE = 4
_CHANCE_ERRORS = 3.0


def fraction_edges(threshold: float) -> tuple[float, ...]:
    """Edges for area fractions from 0.01 % to 100 %, four bins a decade; the threshold is exactly one of them."""
    anchor = threshold if threshold > 0 else _SMALLEST_FRACTION
    first = math.ceil(_PER_DECADE * math.log10(_SMALLEST_FRACTION / anchor))
    last = math.ceil(_PER_DECADE * math.log10(1 / anchor))
    return tuple(anchor * 10 ** (step / _PER_DECADE) for step in range(min(first, -1), max(last, 1) + 1))


def make_histogram(edges: Sequence[float], by_label: Mapping[str, Sequence[float] | Values]) -> Histogram:
    """Counts the values of each label."""
    inner = np.asarray(edges[1:-1], np.float64)
    series = []
    for label, values in by_label.items():
        places = np.searchsorted(inner, np.asarray(values, np.float64), side="right")
        counts = np.bincount(places, minlength=len(edges) - 1)
        series.append(Series(label, tuple(int(count) for count in counts)))
    return Histogram(tuple(edges), tuple(series))


def describe_spread(values: Values) -> Spread:
    """Mean, standard deviation and quartiles of at least one value."""
    low, middle, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return Spread(len(values), float(values.mean()), float(values.std()), (low, middle, high))


def find_separation(by_label: Mapping[str, Values]) -> Separation | None:
    """The label that the values tell best from all others; None where there are no two labels to tell apart."""
    found = []
    for label, values in by_label.items():
        others = np.concatenate([np.zeros(0), *(other for name, other in by_label.items() if name != label)])
        if len(values) and len(others):
            auc = _auc(values, others)
            error = math.sqrt((len(values) + len(others) + 1) / (12 * len(values) * len(others)))
            found.append(Separation(label, max(auc, 1 - auc), min(1.0, 0.5 + _CHANCE_ERRORS * error)))
    return max(found, key=lambda separation: separation.auc - separation.chance, default=None)


def _auc(values: Values, others: Values) -> float:
    """The chance that one of the values is above one of the others; ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    return float((below + up_to).mean() / (2 * len(others)))
