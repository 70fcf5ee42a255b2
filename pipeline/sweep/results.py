"""What a sweep measured: a file for each finished point, and one row for each point in the report.

    <run.root>/sweep/
        .lock                          held by the one sweep that writes here
        data/                          root of the nodes that points share
        <point>-<start of its key>/    run.root of one point; its releases stay in it
            result.json                a PointResult, once the point is finished
        sweep.html                     the report, unless --output says otherwise

A change of config, data or code gives a point another key, and so another folder; the old one may be deleted.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components import features
from components.errors import StorageError
from components.options import Options
from components.pusher.durable_files import replace_durably, storage_errors
from components.pusher.outcome import Outcome
from components.quantization.records import Metrics
from components.verdicts import Verdict
from pipeline.headline import headline
from pipeline.sweep.pareto import pareto_front

_RESULT_FILE = "result.json"


class PointResult(Options):
    """A finished point.

    Attributes:
      key: digest of all that decides the result: config, data, initial weights and code.
      outcome: what the MicroPusher measured and decided; None where a gate stopped the run before.
      refusal: what that gate said.
      seconds: how long the point took, of the run that finished it.
    """

    key: str
    outcome: Outcome | None
    refusal: str | None
    seconds: float

    def write(self, folder: Path) -> None:
        """Writes the file at once or not at all.

        Raises:
          StorageError: if the disk refuses.
        """
        content = (self.model_dump_json(indent=2, by_alias=True) + "\n").encode()
        with storage_errors(folder / _RESULT_FILE, len(content)):
            replace_durably(folder / _RESULT_FILE, content)


def read_result(folder: Path, key: str) -> PointResult | None:
    """The result of a point that was finished with this key, or None.

    Raises:
      StorageError: if the file is damaged.
    """
    path = folder / _RESULT_FILE
    if not path.exists():
        return None
    try:
        result = PointResult.from_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} is damaged", hint="delete it to run the point again") from error
    return result if result.key == key else None


class Status(StrEnum):
    """What became of a point."""

    PASSED = "passed"
    REFUSED = "refused"
    FAILED = "failed"
    WAITING = "waiting"


class PointRow(Options):
    """One point in the report; what was not measured is None.

    Attributes:
      label: the swept keys and their values.
      values: the same by config path.
      status: what became of it.
      reasons: why it was refused or failed, a sentence each.
      refused_by: the gates that refused it.
      images: of the eval split.
      float_accuracy, int8_accuracy: on it.
      int8_auc: area under the ROC curve of the int8 flatbuffer.
      float_ap, int8_ap, int8_ap50: of a detector, instead of these.
      int8_interval: 95 % interval of `int8_accuracy` or `int8_ap`.
      flatbuffer_bytes, arena_bytes, macs: what it asks of a device.
      on_front: whether no other point is as good in int8 accuracy or AP, arena and flash, and better in one.
      seconds: how long it took.
      folder: its run.root.
      command: runs it by itself.
    """

    label: str
    values: dict[str, Any]
    status: Status
    reasons: tuple[str, ...] = ()
    refused_by: tuple[str, ...] = ()
    images: int | None = None
    float_accuracy: float | None = None
    int8_accuracy: float | None = None
    int8_auc: float | None = None
    float_ap: float | None = None
    int8_ap: float | None = None
    int8_ap50: float | None = None
    int8_interval: tuple[float, float] | None = None
    flatbuffer_bytes: int | None = None
    arena_bytes: int | None = None
    macs: int | None = None
    on_front: bool = False
    seconds: float | None = None
    folder: str
    command: str

    @property
    def int8_score(self) -> float | None:
        """What points are compared by: accuracy, or a detector's AP."""
        return self.int8_accuracy if self.int8_ap is None else self.int8_ap

    @property
    def costs(self) -> tuple[float, float, float] | None:
        """What the front weighs, lower is better: int8 error, arena, flash; None where one is missing."""
        if self.int8_score is None or self.arena_bytes is None or self.flatbuffer_bytes is None:
            return None
        return -self.int8_score, self.arena_bytes, self.flatbuffer_bytes


class SweepReport(Options):
    """All points of a sweep, in the grid's order.

    Attributes:
      name: of the model.
      config_file: that all points share.
      rows: the points.
      chosen: label of the most accurate int8 model that passed every gate, the smallest of equal ones.
    """

    name: str
    config_file: str
    rows: tuple[PointRow, ...]
    chosen: str | None


def refusing(verdict: Verdict) -> tuple[str, ...]:
    """Names of the gates that refused, and what refused beside them."""
    return tuple(gate.name for gate in verdict.gates if not gate.passed) + verdict.refusals


def measured(row: PointRow, result: PointResult) -> PointRow:
    """The row with what a result says."""
    outcome = result.outcome
    if outcome is None:
        reasons = () if result.refusal is None else (result.refusal,)
        return row.model_copy(update={"status": Status.REFUSED, "reasons": reasons, "seconds": result.seconds})
    verdict, footprint = outcome.verdict, outcome.footprint
    return row.model_copy(
        update={
            "status": Status.PASSED if verdict.passed else Status.REFUSED,
            "reasons": tuple(verdict.reasons()),
            "refused_by": refusing(verdict),
            **_quality(outcome),
            "flatbuffer_bytes": None if footprint is None else footprint.flatbuffer_bytes,
            "arena_bytes": None if footprint is None else footprint.arena_total_bytes,
            "macs": None if footprint is None else footprint.macs,
            "seconds": result.seconds,
        }
    )


def _quality(outcome: Outcome) -> dict[str, Any]:
    """The row's fields of either task."""
    int8 = None if outcome.figures is None else outcome.figures.int8_metrics.get(features.EVAL)
    found = None if int8 is None else headline(int8)
    int8_fields: dict[str, Any] = {}
    if found is not None:
        int8_fields = {
            f"int8_{found.name.lower()}": found.value,
            f"int8_{found.second_name.lower()}": found.second,
            "int8_interval": found.interval,
        }
    metrics = outcome.evaluation.metrics
    if isinstance(metrics, Metrics):
        return int8_fields | {"images": metrics.examples, "float_accuracy": metrics.accuracy}
    return int8_fields | {"images": metrics.images, "float_ap": metrics.ap}


def compare(name: str, config_file: str, rows: list[PointRow]) -> SweepReport:
    """The report of all points: who is on the front, and which one to take."""
    weighed = [(place, row.costs) for place, row in enumerate(rows) if row.costs is not None]
    flags = dict(zip((place for place, _ in weighed), pareto_front([c for _, c in weighed if c]), strict=True))
    compared = [row.model_copy(update={"on_front": flags.get(place, False)}) for place, row in enumerate(rows)]
    passed = [(row.costs, row.label) for row in compared if row.status is Status.PASSED and row.costs is not None]
    return SweepReport(
        name=name, config_file=config_file, rows=tuple(compared), chosen=min(passed)[1] if passed else None
    )
