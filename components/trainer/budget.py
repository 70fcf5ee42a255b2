"""The device budget before training: what is asked, what was found, and what would fit instead.

<footprint artifact>/
  budget.json               a Budget
"""

from components.errors import GateError
from components.gate_options import DeviceBudget
from components.options import Options
from components.quantization.budget import ALLOWED_OPS
from components.quantization.compare import Parity
from components.quantization.inspect import FlatbufferReport
from components.quantization.tflm import ArenaUse
from components.trainer.job import Architecture
from components.verdicts import Gate, Verdict

BUDGET_FILE = "budget.json"


class BudgetJob(Options):
    """Everything that decides the answer, as one JSON exec property.

    Attributes:
      architecture: of the model.
      limits: what the device has for it.
      tflm_time_limit_s: after which a run under TFLite Micro counts as hung.
    """

    architecture: Architecture
    limits: DeviceBudget
    tflm_time_limit_s: float


class Estimate(Options):
    """What an architecture that was not measured should ask of a device; see `components.trainer.estimate`."""

    alpha: float
    side: int
    flatbuffer_bytes: int
    arena_bytes: int
    macs: int

    def __str__(self) -> str:
        return f"flatbuffer {self.flatbuffer_bytes:,} bytes, arena {self.arena_bytes:,} bytes, {self.macs:,} MACs"


class Budget(Options):
    """What a model of random weights asks of a device, and the verdict on it.

    Attributes:
      architecture: that was built.
      report: its int8 flatbuffer's operators, contracts, MACs and bytes.
      arena: under TFLite Micro's 64-bit host interpreter; None where it did not load.
      parity: TFLite Micro against the reference kernels on random images; None where it did not run.
      verdict: the footprint against the limits.
      alternatives: architectures that should fit, where this one does not.
      smallest: the least that this backbone can do with, where no architecture should fit.
    """

    architecture: Architecture
    report: FlatbufferReport
    arena: ArenaUse | None
    parity: Parity | None
    verdict: Verdict
    alternatives: tuple[Estimate, ...] = ()
    smallest: Estimate | None = None

    @property
    def has_other_ops(self) -> bool:
        """Whether the firmware lacks an operator; no other width or size would change that."""
        return any(gate.name == ALLOWED_OPS and not gate.passed for gate in self.verdict.gates)

    def describe(self) -> str:
        """One line for a person, with what there is against what it may be."""
        values = {gate.name.rpartition(".")[2]: gate.limit for gate in self.verdict.gates}

        def of(found: int, key: str) -> str:
            return f"{found:,}" + (f" of {values[key]:,.0f}" if key in values else "")

        arena = "did not load" if self.arena is None else f"{of(self.arena.total_bytes, 'max_arena_bytes')} bytes"
        return (
            f"flatbuffer {of(self.report.flatbuffer_bytes, 'max_flatbuffer_bytes')} bytes, arena {arena},"
            f" {of(self.report.macs, 'max_macs')} MACs"
        )

    def check(self) -> None:
        """Lets pass what keeps to every limit.

        Raises:
          GateError: naming each limit that does not hold, by how much, and what would fit.
        """
        if self.verdict.passed:
            return
        reasons = [_excess(gate) for gate in self.verdict.gates if not gate.passed] + list(self.verdict.refusals)
        limits = [
            f"{gate.name} {gate.comparison.value} {gate.limit:,.0f}"
            for gate in self.verdict.gates
            if gate.name != ALLOWED_OPS
        ]
        raise GateError(
            f"refused before any training: {self.architecture} does not fit the device: {'; '.join(reasons)}",
            expected=", ".join(limits) if limits else "a model that TFLite Micro loads",
            hint=self._advice(),
        )

    def _advice(self) -> str:
        if self.has_other_ops:
            return (
                "another backbone, activation or border may do without them; or register them in the firmware, and"
                " say so with --set gates.int8.allowed_ops=[…]"
            )
        if self.arena is None or self.verdict.refusals:
            return (
                "TFLite Micro said so itself; another backbone, activation or border may do without what it lacks, and"
                " a slow machine with a higher release.tflm_time_limit_s"
            )
        raise_limit = "or raise the limit, if the device has more, with --set gates.int8.KEY=VALUE"
        if self.smallest is not None:
            other = (
                "; mobilenet_v1 needs less: --set trainer.backbone=mobilenet_v1 --set trainer.alpha=0.25"
                if self.architecture.backbone == "mobilenet_v2"
                else ""
            )
            return (
                f"the smallest {self.architecture.backbone}, alpha {self.smallest.alpha} at side"
                f" {self.smallest.side}, does not fit either (estimated): {self.smallest}{other}; {raise_limit}"
            )
        ways = [f"{self._setting(estimate)} (estimated: {estimate})" for estimate in self.alternatives]
        raster = (
            "; with another side, a transform.training_raster needs a side from that to twice it"
            if any(estimate.side != self.architecture.side for estimate in self.alternatives)
            else ""
        )
        return f"{'; or '.join(ways)}{raster}; {raise_limit}"

    def _setting(self, estimate: Estimate) -> str:
        changes = {"trainer.alpha": estimate.alpha, "transform.side": estimate.side}
        now = {"trainer.alpha": self.architecture.alpha, "transform.side": self.architecture.side}
        return " ".join(f"--set {key}={value:g}" for key, value in changes.items() if value != now[key])


def _excess(gate: Gate) -> str:
    if gate.value is None or gate.name == ALLOWED_OPS:
        return f"{gate.name}: {gate.note}"
    over = gate.value - gate.limit
    return f"{gate.name}: {gate.value:,.0f} is {over:,.0f} ({over / gate.limit:.1%}) more than {gate.limit:,.0f}"
