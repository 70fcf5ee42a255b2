"""A sweep from its grid to its report."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from components.errors import VwwError
from components.pusher.durable_files import check_replaceable
from pipeline.console import RunView
from pipeline.report.sweep_page import write_sweep_page
from pipeline.run import locked, look_at_data
from pipeline.sweep.grid import Axis, build_grid
from pipeline.sweep.plan import METADATA_FILE, PlannedPoint, plan_points
from pipeline.sweep.results import PointResult, PointRow, Status, SweepReport, compare, measured
from pipeline.sweep.run import run_points

FOLDER = "sweep"
PAGE_FILE = "sweep.html"


class Sweep:
    """One sweep: what was asked for, and the report as far as it is.

    Args:
      config_file: the YAML file that all points share.
      overrides: `--set`, for all points alike.
      axes: what to sweep.
      output: folder of the page; None for the sweep's own.
      command: how the person calls `vww`.

    Raises:
      ConfigError: naming every point that cannot be built.
      StorageError: if the page cannot be written.
    """

    def __init__(
        self, config_file: str, overrides: Sequence[str], axes: Sequence[Axis], output: Path | None, command: str
    ) -> None:
        self._points, self.duplicates = build_grid(config_file, overrides, axes)
        self._config_file, self._overrides, self._command = config_file, overrides, command
        self._root = Path(self._points[0].config.run.root)
        self._folder = self._root / FOLDER
        self.page = (self._folder if output is None else output) / PAGE_FILE
        check_replaceable(self.page)
        self._rows: list[PointRow] = []

    def run(self, parallel: int) -> SweepReport:
        """Runs what has no result yet; the page is there from the start, and grows with every point.

        Raises:
          VwwError: if data, initial weights, the folders or a shared node stop the sweep.
        """
        with locked(self._folder, "sweep"):
            with RunView() as view:
                planned = plan_points(self._points, self._folder, lambda config: look_at_data(config, view))
            self._rows = [self._waiting_row(one) for one in planned]
            places = {one.key: place for place, one in enumerate(planned)}
            write_sweep_page(self._report(), self.page)

            def note(one: PlannedPoint, answer: PointResult | VwwError) -> None:
                place = places[one.key]
                self._rows[place] = _noted(self._rows[place], answer)
                write_sweep_page(self._report(), self.page)

            run_points(
                planned,
                self._folder,
                parallel=parallel,
                first_metadata=self._root / METADATA_FILE,
                on_answer=note,
            )
            return self._report()

    def _report(self) -> SweepReport:
        return compare(self._points[0].config.name, self._config_file, self._rows)

    def _waiting_row(self, one: PlannedPoint) -> PointRow:
        settings = [word for setting in (*self._overrides, *one.point.settings) for word in ("--set", setting)]
        return PointRow(
            label=one.point.label,
            values=one.point.values,
            status=Status.WAITING,
            folder=str(one.folder),
            command=shlex.join([self._command, "run", self._config_file, *settings]),
        )


def _noted(row: PointRow, answer: PointResult | VwwError) -> PointRow:
    if isinstance(answer, PointResult):
        return measured(row, answer)
    return row.model_copy(update={"status": Status.FAILED, "reasons": (str(answer),)})
