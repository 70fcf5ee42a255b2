"""The report of a sweep in a terminal, and how its figures read."""

from pipeline.console import print_table
from pipeline.sweep.results import PointRow, Status, SweepReport

NOT_MEASURED = "-"


def print_sweep(report: SweepReport) -> None:
    """The table on stdout."""
    title = f"Sweep of {report.name}, quality on the eval split{describe_images(report)}"
    print_table(title, columns(), [cells(row) for row in report.rows])


def describe_images(report: SweepReport) -> str:
    """How many images the eval split has, where it is the same for all points."""
    counts = {row.images for row in report.rows if row.images is not None}
    return f" of {counts.pop():,} images" if len(counts) == 1 else ""


def columns() -> list[str]:
    """Headings of the table."""
    return [
        "point",
        "verdict",
        "front",
        "int8 accuracy",
        "95 % interval",
        "float accuracy",
        "int8 AUC",
        "flatbuffer",
        "arena",
        "MACs",
    ]


def cells(row: PointRow) -> list[str]:
    """One row of it."""
    return [
        row.label,
        describe_verdict(row),
        "yes" if row.on_front else "",
        _share(row.int8_accuracy),
        NOT_MEASURED if row.int8_interval is None else "{:.3f} to {:.3f}".format(*row.int8_interval),
        _share(row.float_accuracy),
        _share(row.int8_auc),
        _count(row.flatbuffer_bytes),
        _count(row.arena_bytes),
        _count(row.macs),
    ]


def describe_verdict(row: PointRow) -> str:
    """Passed, or refused by what: gates by their path below `gates`."""
    if row.status is not Status.REFUSED:
        return row.status.value
    return f"refused: {', '.join(name.removeprefix('gates.') for name in row.refused_by or row.reasons)}"


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,}"
