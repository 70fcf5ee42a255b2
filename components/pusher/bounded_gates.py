"""Gates on what was measured on a number of images: the figure decides, or the worse end of its 95 % interval."""

from components.gate_options import DecideOn
from components.intervals import Interval
from components.verdicts import Comparison, Gate

# A measured figure and its 95 % interval; None where there is nothing, or no interval.
Found = tuple[float | None, Interval | None]
NOTHING: Found = (None, None)


def bounded_gate(
    name: str,
    comparison: Comparison,
    limit: float,
    found: Found,
    on: DecideOn,
) -> Gate:
    """One gate.

    Args:
      name: the config path that sets the limit.
      comparison: AT_LEAST takes the interval's lower end for its bound, AT_MOST the upper one.
      limit: the threshold.
      found: what was measured; without a figure the gate does not pass.
      on: whether the figure decides or its bound.
    """
    measured, interval = found
    if on is DecideOn.POINT or interval is None:
        note = "there is nothing to measure it on" if measured is None else None
        return Gate(name=name, comparison=comparison, limit=limit, value=measured, note=note)
    bound = interval[0] if comparison is Comparison.AT_LEAST else interval[1]
    return Gate(name=name, comparison=comparison, limit=limit, value=bound, measured=measured)
