"""Gates and the verdict they add up to: data, not exceptions."""

from collections.abc import Callable
from enum import StrEnum

from components.options import Options


class Comparison(StrEnum):
    """How a gate's value is held against its limit."""

    AT_LEAST = ">="
    AT_MOST = "<="


# As floats, 0.93 - 0.90 is more than 0.03: a difference that keeps to the limit may miss it in its last bits.
ROUNDING = 1e-9

_HOLDS: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.AT_LEAST: lambda value, limit: value >= limit - ROUNDING,
    Comparison.AT_MOST: lambda value, limit: value <= limit + ROUNDING,
}


class Gate(Options):
    """One threshold and what was measured against it.

    Attributes:
      name: the config path that sets the limit, such as `gates.int8.min_accuracy`.
      comparison: how value and limit are compared.
      limit: the threshold.
      value: what was measured, or a confidence bound of it; None where there is none, which never passes.
      measured: what was measured, where `value` is a bound of it.
      note: why there is no value, or what the reader should know about it.
    """

    name: str
    comparison: Comparison
    limit: float
    value: float | None
    measured: float | None = None
    note: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the measured value keeps to the limit."""
        return self.value is not None and _HOLDS[self.comparison](self.value, self.limit)


class Verdict(Options):
    """What the gates decided about one candidate.

    Attributes:
      gates: every gate that was applied, in the order of the table that a person sees.
      refusals: reasons to refuse that are no threshold, such as an abort() of the interpreter.
    """

    gates: tuple[Gate, ...]
    refusals: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the candidate may be released."""
        return not self.refusals and all(gate.passed for gate in self.gates)

    def reasons(self) -> list[str]:
        """One sentence for every gate or finding that refused the candidate."""
        failed = [
            f"{gate.name}: {_compared(gate)}" + (f" ({gate.note})" if gate.note is not None else "")
            for gate in self.gates
            if not gate.passed
        ]
        return failed + list(self.refusals)


def _compared(gate: Gate) -> str:
    """What failed, with as many digits as it takes to see it."""
    limit = _figure(gate.limit)
    value = "no value" if gate.value is None else _figure(gate.value)
    if gate.value is not None and value == limit:
        value = _figure(gate.value, digits=12)
    if gate.measured is not None:
        value += f", the bound of {_figure(gate.measured)} at 95 %,"
    return f"{value} is not {gate.comparison.value} {limit}"


def _figure(number: float, digits: int = 6) -> str:
    return str(int(number)) if number.is_integer() else f"{number:.{digits}g}"
