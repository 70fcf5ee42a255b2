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
    UNKNOWN = "unknown"  # in a word of the cluster's that is not among these

    @property
    def is_end(self) -> bool:
        """Whether nothing more will happen."""
        return self in {State.SUCCEEDED, State.SKIPPED, State.FAILED, State.CANCELED}


def parse_state(word: str) -> State:
    """The state that a cluster tells."""
    try:
        return State(word.lower())
    except ValueError:
        return State.UNKNOWN


@dataclass(frozen=True)
class StepStatus:
    """How one step stands.

    Attributes:
      name: of the step.
      state: as its cluster tells it.
      started: None before it is.
      ended: None before it is.
      error: what the cluster says about it; None where it says nothing.
      word: the state as the cluster writes it.
    """

    name: str
    state: State
    started: datetime | None = None
    ended: datetime | None = None
    error: str | None = None
    word: str | None = None

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
      pipeline_root: what its artifacts lie below; None where the cluster chose it.
      outcome_prefix: what the MicroPusher's outcome lies below; None where the run does not tell.
      error: what the cluster says about it; None where it says nothing.
      word: the state as the cluster writes it.
    """

    run_id: str
    name: str
    state: State
    steps: tuple[StepStatus, ...]
    created: datetime | None = None
    ended: datetime | None = None
    pipeline_root: str | None = None
    outcome_prefix: str | None = None
    error: str | None = None
    word: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state.is_end or (self.state is State.UNKNOWN and self.ended is not None)


def describe_state(status: RunStatus | StepStatus) -> str:
    """The state for people, with the cluster's word where it is none of ours."""
    return f"{status.state} ({status.word})" if status.state is State.UNKNOWN else str(status.state)
