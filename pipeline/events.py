"""What the worker processes tell the command: one JSON object a line."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from components.options import Options


class Ready(Options):
    """The worker has imported what it needs and waits for its request."""

    kind: Literal["ready"] = "ready"


class NodeStarted(Options):
    """A node begins; `index` counts from 1."""

    kind: Literal["node_started"] = "node_started"
    node: str
    index: int
    total: int


class NodeProgress(Options):
    """`done` of `total` units (a plural noun) of the running node are finished; `detail` says how it goes."""

    kind: Literal["node_progress"] = "node_progress"
    done: int
    total: int
    unit: str
    detail: str


class NodeSaid(Options):
    """Something about the running node that should stay on the screen."""

    kind: Literal["node_said"] = "node_said"
    text: str


class NodeFinished(Options):
    """A node ended well; `cached` if an earlier run's result still held."""

    kind: Literal["node_finished"] = "node_finished"
    node: str
    cached: bool
    seconds: float


class Finished(Options):
    """The run ended well; the MicroPusher's outcome lies at `outcome_path`, if that node was asked for."""

    kind: Literal["finished"] = "finished"
    outcome_path: str | None


class Answered(Options):
    """A child process has done its task; `answer` is JSON."""

    kind: Literal["answered"] = "answered"
    answer: str


class Failed(Options):
    """The run stopped; `error` is a `VwwError` as JSON."""

    kind: Literal["failed"] = "failed"
    node: str | None
    error: str


Event = Annotated[
    Ready | NodeStarted | NodeProgress | NodeSaid | NodeFinished | Finished | Failed, Field(discriminator="kind")
]
ChildEvent = Annotated[NodeProgress | NodeSaid | Answered | Failed, Field(discriminator="kind")]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
CHILD_EVENT: TypeAdapter[ChildEvent] = TypeAdapter(ChildEvent)
