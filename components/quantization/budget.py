"""Holds what a flatbuffer asks of a device against what the device has."""

from typing import TYPE_CHECKING

from components.gate_options import DeviceBudget
from components.verdicts import Comparison, Gate

if TYPE_CHECKING:  # NumPy is not needed to hold one number against another
    from components.quantization.inspect import FlatbufferReport
    from components.quantization.tflm import ArenaUse

ALLOWED_OPS = "gates.int8.allowed_ops"


def budget_gates(report: "FlatbufferReport", arena: "ArenaUse | None", budget: DeviceBudget) -> tuple[Gate, ...]:
    """The gates on a flatbuffer's footprint, without those that ask nothing.

    Args:
      report: its bytes and MACs.
      arena: what it took under TFLite Micro; None where it did not load, which passes no limit.
      budget: the limits.
    """
    found: tuple[tuple[str, int | None, int | None], ...] = (
        ("max_flatbuffer_bytes", budget.max_flatbuffer_bytes, report.flatbuffer_bytes),
        ("max_arena_bytes", budget.max_arena_bytes, None if arena is None else arena.total_bytes),
        ("max_macs", budget.max_macs, report.macs),
    )
    gates = [
        Gate(
            name=f"gates.int8.{key}",
            comparison=Comparison.AT_MOST,
            limit=limit,
            value=value,
            note="TFLite Micro gave none" if value is None else None,
        )
        for key, limit, value in found
        if limit is not None
    ]
    if budget.allowed_ops is not None:
        other = [op.name for op in report.ops if op.name not in budget.allowed_ops]
        gates.append(
            Gate(
                name=ALLOWED_OPS,
                comparison=Comparison.AT_MOST,
                limit=0,
                value=len(other),
                note=f"not registered: {', '.join(other)}" if other else None,
            )
        )
    return tuple(gates)
