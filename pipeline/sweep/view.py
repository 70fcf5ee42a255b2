"""What a person sees of a sweep: one line for each running point, and how many are done."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress

from pipeline.console import RunView, make_console, make_progress


class PointView(RunView):
    """The running step of one point, as a line among others; a finished step leaves no line behind."""

    def __init__(self, label: str, console: Console, progress: Progress | None) -> None:
        super().__init__()
        self._label = label
        self._console, self._progress = console, progress

    def start(self, title: str) -> None:
        """A step begins whose length is not known."""
        super().start(f"{self._label}  {title.strip()}")

    def finish(self, note: str) -> None:  # noqa: ARG002  # a sweep tells of points, not of their nodes
        """The running step is done."""
        self._end_step()

    def close(self) -> None:
        """The point is over, however far it came."""
        self._end_step()


class SweepView(AbstractContextManager["SweepView"]):
    """Progress of all points on stderr.

    Args:
      total: how many points there are.
      done: how many of them an earlier sweep has finished.
    """

    def __init__(self, total: int, done: int) -> None:
        self._console = make_console()
        self._progress = make_progress(self._console) if self._console.is_terminal else None
        self._total, self._done = total, done

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._overall = self._progress.add_task(
                "points", total=self._total, completed=self._done, detail=self._count()
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, label: str) -> PointView:
        """The line of a point that starts."""
        return PointView(label, self._console, self._progress)

    def end(self, label: str, note: str) -> None:
        """A point is done, with a result or without."""
        self._done += 1
        if self._progress is not None:
            self._progress.update(self._overall, completed=self._done, detail=self._count())
        self._console.print(f"[{self._count()}] {label}  {note}", markup=False)

    def _count(self) -> str:
        return f"{self._done}/{self._total}"
