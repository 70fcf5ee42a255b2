"""Counts of one number by bin and label, as records."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """The counts of one label, one for each bin."""

    label: str
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bin and label.

    Attributes:
      edges: one more than there are bins, rising. A bin holds its lower edge and not its upper one; the first and
        the last also hold what lies beyond them, so that nothing is lost.
      series: by label, in the order of the labels.
    """

    edges: tuple[float, ...]
    series: tuple[Series, ...]
