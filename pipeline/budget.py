"""`vww budget`: what a config's model would ask of a device, measured before anything is trained."""

import sys

from components.errors import VwwError
from components.example_gen.image_folder import read_image_folder
from components.trainer.budget import Budget, BudgetJob
from components.trainer.job import Architecture
from pipeline.child import ask_child
from pipeline.config import RunConfig
from pipeline.console import RunView, print_table
from pipeline.show import print_ops


def budget_job(config: RunConfig, label_count: int) -> BudgetJob:
    """What to measure for a config."""
    return BudgetJob(
        architecture=Architecture.of(
            config.trainer, side=config.transform.side, channels=config.transform.channels, label_count=label_count
        ),
        limits=config.gates.int8.device_budget,
        tflm_time_limit_s=config.release.tflm_time_limit_s,
    )


def count_labels(config: RunConfig) -> int:
    """How many labels the config's data has; only class folders have to be looked at for that.

    Raises:
      DataError: if the class folders cannot be listed.
    """
    if config.data.format == "coco":
        return len(config.data.categories) + 1
    assert isinstance(config.data.images, str)
    try:
        return len(read_image_folder(config.data.images).label_names)
    except VwwError as error:
        hint = "--labels N measures without the images"
        raise type(error)(
            error.message, expected=error.expected, hint=hint if error.hint is None else f"{error.hint}; {hint}"
        ) from error


def run_budget(job: BudgetJob, view: RunView) -> Budget:
    """Measures, in a process of its own.

    Raises:
      ModelError: if the model cannot be measured.
      PipelineError: if the process dies.
      StorageError: if the temporary folder has no room.
    """
    view.start("model     ")
    budget = Budget.from_json(ask_child("budget", job, view))
    view.finish(str(budget.architecture))
    return budget


def print_budget(budget: Budget) -> None:
    """The tables of `vww budget` on stdout."""
    report, arena = budget.report, budget.arena
    limits = {gate.name: gate for gate in budget.verdict.gates}
    rows = [
        ("flatbuffer", "bytes", report.flatbuffer_bytes, "gates.int8.max_flatbuffer_bytes"),
        (
            "tensor arena (64-bit host)",
            "bytes",
            None if arena is None else arena.total_bytes,
            "gates.int8.max_arena_bytes",
        ),
        ("  head: activations", "bytes", None if arena is None else arena.head_bytes, None),
        ("  tail: structures", "bytes", None if arena is None else arena.tail_bytes, None),
        ("MACs", "", report.macs, "gates.int8.max_macs"),
    ]
    cells = []
    for title, unit, value, key in rows:
        gate = limits.get(key) if key is not None else None
        found = "did not load" if value is None else f"{value:,} {unit}".rstrip()
        if gate is None:
            cells.append([title, found, "-", "-", "-"])
            continue
        margin = "-" if value is None else f"{gate.limit - value:+,.0f} ({(gate.limit - value) / gate.limit:+.1%})"
        cells.append([title, found, f"{gate.limit:,.0f}", margin, "passed" if gate.passed else "REFUSED"])
    print_table(f"Footprint of {budget.architecture}", ["", "measured", "limit", "left", "verdict"], cells)
    print_ops(report.ops)
    if budget.parity is not None:
        parity = budget.parity
        sys.stdout.write(
            f"TFLite Micro runs it; on {parity.images} random images it differs from the reference kernels"
            f" by {parity.max_difference_lsb} LSB at most.\n"
        )
