"""The report of a sweep as one HTML file: int8 accuracy against arena and against flash, and the table."""

from pathlib import Path

from pipeline.report.charts import WIDTH
from pipeline.report.page import load_template, write_html
from pipeline.report.scatter import HEIGHT, Measurement, Scatter, draw_scatter
from pipeline.sweep.pareto import pareto_front
from pipeline.sweep.results import PointRow, Status, SweepReport
from pipeline.sweep.table import cells, columns, describe_images, finds_objects

_TEMPLATE = "sweep_report.html.jinja"


def write_sweep_page(report: SweepReport, path: Path) -> None:
    """Writes the page; a reader sees the old file or the new one.

    Raises:
      StorageError: if it cannot be written.
    """
    write_html(render_sweep_page(report), path)


def render_sweep_page(report: SweepReport) -> str:
    """The page's HTML."""
    weighed = [row for row in report.rows if row.costs is not None]
    score = "AP" if finds_objects(report) else "accuracy"
    page = load_template(_TEMPLATE, {}).render(
        report=report,
        score=score,
        charts=[
            _draw(weighed, "arena", "Tensor arena", "tensor arena under TFLite Micro on a 64-bit host, in kB", score),
            _draw(weighed, "flash", "Flash", "flatbuffer, in kB", score),
        ]
        if weighed
        else [],
        images=describe_images(report),
        columns=columns(report),
        rows=[(row, cells(row)) for row in report.rows],
        finished=sum(row.status in {Status.PASSED, Status.REFUSED} for row in report.rows),
        chosen=next((row for row in report.rows if row.label == report.chosen), None),
        chart_width=WIDTH,
        chart_height=HEIGHT,
    )
    return page.strip() + "\n"


def _draw(rows: list[PointRow], cost: str, title: str, x_label: str, score: str) -> Scatter:
    measurements = []
    for row in rows:
        size = row.arena_bytes if cost == "arena" else row.flatbuffer_bytes
        assert size is not None
        assert row.int8_score is not None
        assert row.int8_interval is not None
        passed = row.status is Status.PASSED
        measurements.append(Measurement(row.label, size, row.int8_score, row.int8_interval, passed))
    return draw_scatter(
        f"chart-{cost}",
        f"Int8 {score} against {title[0].lower()}{title[1:]}",
        measurements,
        pareto_front([(-m.quality, m.cost) for m in measurements]),
        x_label=x_label,
        y_label=f"int8 {score}",
        show_cost=lambda size: f"{size / 1000:,.3g}" if size < 1_000_000 else f"{size / 1000:,.0f}",
        show_quality="{:.3g}".format,
    )
