"""`vww budget`: what a config's model would ask of a device, measured before anything is trained."""

import sys

from pydantic import ValidationError

from components.devices import DEVICES
from components.errors import ConfigError, VwwError
from components.example_gen.image_folder import read_image_folder
from components.gate_options import DeviceBudget
from components.quantization.budget import ALLOWED_OPS
from components.trainer.budget import Budget, BudgetJob
from components.trainer.job import Architecture
from pipeline.child import ask_child
from pipeline.config import RunConfig
from pipeline.console import RunView, print_table
from pipeline.show import print_ops
from pipeline.show_judgement import show_verdict


def budget_job(config: RunConfig, label_count: int, limits: DeviceBudget) -> BudgetJob:
    """What to measure for a config, and what to hold it against."""
    return BudgetJob(
        architecture=Architecture.of(
            config.trainer, side=config.transform.side, channels=config.transform.channels, label_count=label_count
        ),
        limits=limits,
        tflm_time_limit_s=config.release.tflm_time_limit_s,
    )


def device_limits(name: str) -> DeviceBudget:
    """What a preset has for the model, and nothing that a config states.

    Raises:
      ConfigError: if there is no such preset.
    """
    try:
        return DeviceBudget(device=name)
    except ValidationError as error:
        said = str(error.errors()[0]["ctx"]["error"]).removeprefix("device: ")
        raise ConfigError(said, hint="vww budget --devices lists them") from error


def print_devices() -> None:
    """The table of `vww budget --devices` on stdout."""
    print_table(
        "Device presets: what is left for the model",
        ["--device", "flash", "arena", "MACs", "operators", "board", "source"],
        [
            [
                device.name,
                f"{device.max_flatbuffer_bytes:,}",
                f"{device.max_arena_bytes:,}",
                "-" if device.max_macs is None else f"{device.max_macs:,}",
                "any" if device.allowed_ops is None else ", ".join(device.allowed_ops),
                device.title,
                device.source,
            ]
            for device in DEVICES.values()
        ],
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
        cells.append([title, found, f"{gate.limit:,.0f}", margin, show_verdict(gate)])
    if ALLOWED_OPS in limits:
        gate = limits[ALLOWED_OPS]
        cells.append(["operators", gate.note or "all registered", "those of the firmware", "-", show_verdict(gate)])
    print_table(f"Footprint of {budget.architecture}", ["", "measured", "limit", "left", "verdict"], cells)
    print_ops(report.ops)
    if budget.parity is not None:
        parity = budget.parity
        sys.stdout.write(
            f"TFLite Micro runs it; on {parity.images} random images it differs from the reference kernels"
            f" by {parity.max_difference_lsb} LSB at most.\n"
        )
