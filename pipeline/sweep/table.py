"""The report of a sweep in a terminal, and how its figures read."""

from pipeline.console import print_table
from pipeline.numerals import DASH, show_count, show_share
from pipeline.sweep.results import PointRow, Status, SweepReport


def print_sweep(report: SweepReport) -> None:
    """The table on stdout."""
    title = f"Sweep of {report.name}, quality on the eval split{describe_images(report)}"
    print_table(title, columns(report), [cells(row) for row in report.rows])


def describe_images(report: SweepReport) -> str:
    """How many images the eval split has, where it is the same for all points."""
    counts = {row.images for row in report.rows if row.images is not None}
    return f" of {counts.pop():,} images" if len(counts) == 1 else ""


def columns(report: SweepReport) -> list[str]:
    """Headings of the table."""
    first, second = ("AP", "AP50") if finds_objects(report) else ("accuracy", "AUC")
    return [
        "point",
        "verdict",
        "front",
        f"int8 {first}",
        "95 % interval",
        f"float {first}",
        f"int8 {second}",
        "flatbuffer",
        "arena",
        "MACs",
    ]


def finds_objects(report: SweepReport) -> bool:
    """Whether the points are detectors."""
    return any(row.float_ap is not None or row.int8_ap is not None for row in report.rows)


def cells(row: PointRow) -> list[str]:
    """One row of it."""
    return [
        row.label,
        describe_verdict(row),
        "yes" if row.on_front else "",
        show_share(row.int8_score),
        DASH if row.int8_interval is None else "{:.3f} to {:.3f}".format(*row.int8_interval),
        show_share(row.float_accuracy if row.float_ap is None else row.float_ap),
        show_share(row.int8_auc if row.int8_ap50 is None else row.int8_ap50),
        show_count(row.flatbuffer_bytes),
        show_count(row.arena_bytes),
        show_count(row.macs),
    ]


def describe_verdict(row: PointRow) -> str:
    """Passed, or refused by what: gates by their path below `gates`."""
    if row.status is not Status.REFUSED:
        return row.status.value
    return f"refused: {', '.join(name.removeprefix('gates.') for name in row.refused_by or row.reasons)}"
