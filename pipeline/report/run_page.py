"""The report of one run as one HTML file: verdict, gates, figures of the float model beside the int8 file, pictures."""

from pathlib import Path

from components.errors import ConfigError
from components.pusher.outcome import OUTCOME_FILE, Outcome
from components.pusher.pictures import PictureBook
from pipeline.numerals import show_figure
from pipeline.report.charts import WIDTH
from pipeline.report.curves import draw_curve
from pipeline.report.page import load_template, write_html
from pipeline.report.run_tables import confusion_matrices, dataset_tables, drift_table, footprint_table, quality_tables
from pipeline.show_judgement import show_limit

REPORT_FILE = "report.html"
_TEMPLATE = "run_report.html.jinja"


def find_outcome(root: Path) -> Path:
    """The folder of the newest outcome of the runs below `run.root`.

    Raises:
      ConfigError: if none of them has come to one.
    """
    folders = (root / "artifacts" / "MicroPusher" / "pushed_model").glob(f"*/{OUTCOME_FILE}")
    found = sorted((path.parent for path in folders if path.parent.name.isdigit()), key=lambda path: int(path.name))
    if not found:
        raise ConfigError(
            f"{root} holds no outcome of a run",
            expected="run.root of a run that came to its end, such as runs/demo",
            hint="vww run CONFIG makes one; a run that stopped goes on where it was",
        )
    return found[-1]


def write_run_page(name: str, artifact: Path, path: Path) -> None:
    """Writes the page; a reader sees the old file or the new one.

    Args:
      name: of the run, for a person.
      artifact: of the MicroPusher, with its outcome.
      path: of the page.

    Raises:
      ConfigError: if the outcome is one of another version of vww.
      StorageError: if the page cannot be written.
    """
    write_html(render_run_page(name, read_outcome(artifact), PictureBook.read(artifact)), path)


def read_outcome(artifact: Path) -> Outcome:
    """What became of a run; raises ConfigError as `write_run_page`."""
    text = (artifact / OUTCOME_FILE).read_text(encoding="utf-8")
    try:
        return Outcome.from_json(text)
    except ValueError as error:
        raise ConfigError(
            f"{artifact / OUTCOME_FILE} is of another version of vww",
            expected="an outcome that this version has written",
            hint="use the version that ran it, or run it again",
        ) from error


def render_run_page(name: str, outcome: Outcome, pictures: PictureBook | None = None) -> str:
    """The page's HTML; pictures and curves where there are some."""
    curves = () if pictures is None else pictures.curves
    page = load_template(_TEMPLATE, {"limit": show_limit, "figure": show_figure}).render(
        name=name,
        outcome=outcome,
        reasons=outcome.verdict.reasons(),
        failed=sum(not gate.passed for gate in outcome.verdict.gates),
        quality=quality_tables(outcome),
        matrices=confusion_matrices(outcome),
        footprint=None if outcome.footprint is None else footprint_table(outcome.footprint),
        dataset=dataset_tables(outcome.dataset),
        drift=drift_table(outcome),
        groups={} if pictures is None else {title: shown for title, shown in pictures.groups.items() if shown},
        curves=[draw_curve(curve) for curve in curves if curve.points],
        never_found=[curve.label for curve in curves if not curve.points],
        chart_width=WIDTH,
        task=outcome.evaluation.task,
    )
    return page.strip() + "\n"
