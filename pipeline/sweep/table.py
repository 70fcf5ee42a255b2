"""The report of a sweep in a terminal, and how its figures read."""

from pipeline.console import print_table
from pipeline.sweep.results import PointRow, Status, SweepReport

NOT_MEASURED = "-"


def print_sweep(report: SweepReport) -> None:
    """The table on stdout."""
    print_table(f"Sweep of {report.name}, quality on the eval split", columns(), [cells(row) for row in report.rows])


def columns() -> list[str]:
    """Headings of the table."""
    return [
        "point",
        "float accuracy",
        "int8 accuracy",
        "95 % interval",
        "int8 AUC",
        "flatbuffer",
        "arena",
        "MACs",
        "front",
        "verdict",
    ]


def cells(row: PointRow) -> list[str]:
    """One row of it."""
    return [
        row.label,
        _share(row.float_accuracy),
        _share(row.int8_accuracy),
        NOT_MEASURED if row.int8_interval is None else "{:.3f} to {:.3f}".format(*row.int8_interval),
        _share(row.int8_auc),
        _count(row.flatbuffer_bytes),
        _count(row.arena_bytes),
        _count(row.macs),
        "front" if row.on_front else "",
        describe_verdict(row),
    ]


def describe_verdict(row: PointRow) -> str:
    """Passed, or refused by what."""
    if row.status is not Status.REFUSED:
        return row.status.value
    return f"refused by {', '.join(row.refused_by or row.reasons)}"


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,}"
