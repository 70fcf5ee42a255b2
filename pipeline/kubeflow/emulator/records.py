"""What an emulated run came to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.pusher.outcome import Outcome


@dataclass(frozen=True)
class StepRecord:
    """One step that ended well.

    Attributes:
      task: its name.
      seconds: how long its container ran, the last attempt only.
      peak_memory_bytes: the most that its process, but none that it started, held at a time.
      attempts: how often it was started.
      pod: what the driver asked Kubernetes for, see `pipeline.kubeflow.emulator.pod`.
    """

    task: str
    seconds: float
    peak_memory_bytes: int
    attempts: int
    pod: dict[str, Any]


@dataclass(frozen=True)
class Emulation:
    """A run whose steps all ended well.

    Attributes:
      run_id: of the run.
      folder: logs, and what each step was given.
      steps: in the order in which they ran.
      artifacts: folder, or file, of each output by task and key; it is not there where a step wrote nothing.
      outcome: what the MicroPusher decided; None where the pipeline has none.
    """

    run_id: str
    folder: Path
    steps: tuple[StepRecord, ...]
    artifacts: dict[str, dict[str, Path]]
    outcome: Outcome | None
