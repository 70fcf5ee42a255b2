"""95 % confidence intervals of shares, AUCs and drops, and how many images it takes for their ends to reach a limit.

All three are score intervals: they ask which true values would make the figure that was measured a plausible one, and
so do not shrink to a point at 0 or 1, where a few lucky images would otherwise look like certainty. A gate that decides
on a bound takes one end of the interval, and so errs in one case of 40.

Sources: Wilson 1927 (shares); Tango 1998, Statistics in Medicine 17:891 (difference of paired shares); Newcombe 2006,
Statistics in Medicine 25:559, method 5 (AUC, with Hanley and McNeil's variance of 1982).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

Z_95 = 1.959964  # standard deviations around the middle of a normal distribution that hold 95 % of it
_HALVINGS = 60  # of a stretch of 2 at most: below the last bit of a float

Interval = tuple[float, float]


def wilson_interval(share: float, images: int) -> Interval:
    """Of a share, 0 to 1, that was measured on so many images, at least 1."""
    z2 = Z_95**2
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = Z_95 * math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def auc_interval(auc: float, images_of_labels: Sequence[int]) -> Interval:
    """Of an area under the ROC curve.

    For more than two labels, whose AUC is the mean over each against all others, the standard error is taken for the
    mean of theirs: at least as large as it is, whatever they have to do with each other.

    Args:
      auc: 0 to 1.
      images_of_labels: at least two labels of at least one image each.
    """
    total = sum(images_of_labels)
    # Of two labels, the AUC of one is that of the other.
    positives = images_of_labels[1:] if len(images_of_labels) == 2 else images_of_labels

    def standard_error(area: float) -> float:
        spread = (1 - area) / (2 - area) + area / (1 + area)
        shape = area * (1 - area) * (1 + (total / 2 - 1) * spread)
        return sum(math.sqrt(shape / (count * (total - count))) for count in positives) / len(positives)

    low = _root(lambda area: auc - area - Z_95 * standard_error(area), 0.0, auc)
    high = _root(lambda area: auc - area + Z_95 * standard_error(area), auc, 1.0)
    return low, high


def drop_interval(lost: int, won: int, images: int) -> Interval:
    """Of the drop (lost - won) / images from one model to another on the same images.

    Args:
      lost: images that only the first model labels right.
      won: images that only the second one does.
      images: of both models, at least 1 and at least `lost + won`.
    """

    def score(drop: float) -> float:
        """Standard deviations between what was measured and a true drop; falls as that rises."""
        # The share of `won` if the drop were so, by maximum likelihood: the larger root of a quadratic.
        b = -lost - won + (2 * images - lost + won) * drop
        c = -won * drop * (1 - drop)
        share = (math.sqrt(max(b * b - 8 * images * c, 0.0)) - b) / (4 * images)
        variance = images * (2 * share + drop * (1 - drop))
        distance = lost - won - images * drop
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    measured = (lost - won) / images
    low = _root(lambda drop: score(drop) - Z_95, -1.0, measured) if measured > -1 else -1.0
    high = _root(lambda drop: score(drop) + Z_95, measured, 1.0) if measured < 1 else 1.0
    return low, high


def allowed_false_alarms(max_false_alarm_rate: float, negatives: int) -> int:
    """How many of these images may be reported; a rate that is a whole number of them is used up."""
    return math.floor(max_false_alarm_rate * negatives + 1e-9)


def images_for_share(limit: float) -> int | None:
    """The fewest images on which a share of 1 has a lower bound of at least `limit`; None where no number has."""
    return None if limit >= 1 else _fewest(limit, 1 - limit)


def images_for_drop(limit: float) -> int | None:
    """The fewest images on which no drop at all has an upper bound of at most `limit`; None where no number has."""
    return None if limit <= 0 else _fewest(1 - limit, limit)


def reachable_auc(images_by_label: Mapping[str, int]) -> float:
    """The lower bound of an AUC of 1 on so many images, at least one of each label."""
    return auc_interval(1.0, list(images_by_label.values()))[0]


def _fewest(kept: float, given: float) -> int:
    # n / (n + z**2) >= kept. As fractions: 0.9 of a float is a little more, and one image must not hang on that.
    exact = Fraction(Z_95).limit_denominator(10**6) ** 2 * Fraction(kept).limit_denominator(10**9)
    return max(math.ceil(exact / Fraction(given).limit_denominator(10**9)), 1)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls from `low` to `high` passes 0."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
