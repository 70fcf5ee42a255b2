"""How a run on a cluster stands, whichever cluster it is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

PUSHER = "MicroPusher"  # the step that judges the int8 flatbuffer and releases it


class State(StrEnum):
    """Of a run or a step; the names are those of Kubeflow Pipelines."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELING = "canceling"
    CANCELED = "canceled"
    PAUSED = "paused"

    @property
    def is_end(self) -> bool:
        """Whether nothing more will happen."""
        return self in {State.SUCCEEDED, State.SKIPPED, State.FAILED, State.CANCELED}


@dataclass(frozen=True)
class StepStatus:
    """How one step stands.

    Attributes:
      name: of the step.
      state: as its cluster tells it.
      started: None before it is.
      ended: None before it is.
      error: what the cluster says about it; None where it says nothing.
    """

    name: str
    state: State
    started: datetime | None = None
    ended: datetime | None = None
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs, and where it never did."""
        if self.started is None or self.ended is None or not self.state.is_end or self.state is State.SKIPPED:
            return None
        return (self.ended - self.started).total_seconds()


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    Attributes:
      run_id: its id in the cluster.
      name: for people.
      state: of the whole.
      steps: those that have begun, and those that were passed over.
      created: when it was submitted.
      ended: None before it is.
      outcome_prefix: what the MicroPusher's outcome lies below; None where the cluster chose the pipeline root.
      error: what the cluster says about it; None where it says nothing.
    """

    run_id: str
    name: str
    state: State
    steps: tuple[StepStatus, ...]
    created: datetime | None = None
    ended: datetime | None = None
    outcome_prefix: str | None = None
    error: str | None = None
