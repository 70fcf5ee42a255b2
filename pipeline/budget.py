"""`vww budget`: what a config's model would ask of a device, measured before anything is trained."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from components.errors import ModelError, VwwError
from components.example_gen.image_folder import read_image_folder
from components.trainer.budget import Budget, BudgetJob
from components.trainer.job import Architecture
from pipeline.config import RunConfig
from pipeline.console import RunView, print_table
from pipeline.events import BUDGET_EVENT, BudgetEvent, Failed, Measured, NodeProgress, Ready
from pipeline.show import print_ops

_LINES_OF_LOG = 5


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
    """Measures in a process of its own, which is gone when this returns.

    Raises:
      ModelError: if the model cannot be measured, or the process dies.
      StorageError: if the temporary folder has no room.
    """
    view.start("TensorFlow")
    with tempfile.TemporaryFile() as log, _worker(job, log) as (process, events):
        for event in events:
            match event:
                case Ready():
                    view.finish("imported")
                    view.start("model     ")
                case NodeProgress():
                    view.advance(event.done, event.total, event.unit, event.detail)
                case Measured():
                    view.finish(str(event.budget.architecture))
                    return event.budget
                case Failed():
                    raise VwwError.from_json(event.error)
        code = process.wait()
        log.seek(0)
        last = log.read().decode(errors="replace").splitlines()[-_LINES_OF_LOG:]
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ModelError(
            f"the measuring process ended without a word ({end}): {'; '.join(last) or 'its log is empty'}",
            hint="was the machine out of memory?",
        )


@contextmanager
def _worker(job: BudgetJob, log: IO[bytes]) -> Iterator[tuple["subprocess.Popen[bytes]", Iterator[BudgetEvent]]]:
    read_end, write_end = os.pipe()
    # A session of its own: Ctrl-C reaches the command, which then ends the worker.
    process = subprocess.Popen(
        # -P: nothing that lies in the working directory is taken for a module.
        [sys.executable, "-P", "-m", "pipeline.budget_worker", str(write_end)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[write_end],
        start_new_session=True,
    )
    os.close(write_end)
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(job.to_json().encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; its exit code and its log tell
        with os.fdopen(read_end, encoding="utf-8") as lines:
            yield process, map(BUDGET_EVENT.validate_json, lines)
    finally:
        process.kill()  # what it started itself ends with it
        process.wait()


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
