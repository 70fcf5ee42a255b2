"""Which of several points are not beaten by another."""

from collections.abc import Sequence

Costs = Sequence[float]


def dominates(one: Costs, other: Costs) -> bool:
    """Whether `one` is nowhere worse than `other`, and somewhere better; every cost is better when lower."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def pareto_front(points: Sequence[Costs]) -> list[bool]:
    """Whether each point is on the front, that is, dominated by none. Of equal points, all are or none is.

    Args:
      points: the costs of each, finite, as many for every point.
    """
    return [not any(dominates(other, point) for other in points) for point in points]
