"""What a person sees: progress on stderr, tables on stdout."""

import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.events import NodeFinished, NodeProgress, NodeSaid, NodeStarted

_LINE_INTERVAL_S = 10.0  # where there is no terminal to redraw


def make_console() -> Console:
    """Where progress goes."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def make_progress(console: Console) -> Progress:
    """Lines that are redrawn, one for each task, with a `detail`; they leave nothing behind."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class RunView(AbstractContextManager["RunView"]):
    """Node-by-node progress on stderr: bars on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = make_console()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._title = ""
        self._node_start = 0.0
        self._next_line = 0.0
        self._first: tuple[int, float] | None = None  # of the running step: done, and when

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress = make_progress(self._console)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, markup=False)

    def start(self, title: str) -> None:
        """A step begins whose length is not known."""
        self._title, self._node_start = title, time.monotonic()
        self._next_line = self._node_start + _LINE_INTERVAL_S
        self._first = None
        if self._progress is not None:
            self._task = self._progress.add_task(title, total=None, detail="")

    def advance(self, done: int, total: int, unit: str, detail: str = "") -> None:
        """The running step is at `done` of `total`."""
        if self._first is None:
            self._first = done, time.monotonic()
        detail = f"{done:,}/{total:,} {unit}" + (f"  {detail}" if detail else "")
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, detail=detail)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_INTERVAL_S
            self.say(f"{self._title}  {detail}  {time.monotonic() - self._node_start:.0f} s{self._left(done, total)}")

    def _left(self, done: int, total: int) -> str:
        """How long the rest will take, judged by how long it took since the first report, for a line of text."""
        begun, since = self._first or (done, 0.0)
        if done <= begun:
            return ""
        return f", {(time.monotonic() - since) / (done - begun) * (total - done):.0f} s left"

    def finish(self, note: str) -> None:
        """The running step is done."""
        self._end_step()
        self.say(f"{self._title}  {note}")

    def _end_step(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def show(self, event: NodeStarted | NodeProgress | NodeSaid | NodeFinished) -> None:
        """Draws what the worker told."""
        if isinstance(event, NodeStarted):
            self.start(f"[{event.index:>{len(str(event.total))}}/{event.total}] {event.node:<16}")
        elif isinstance(event, NodeProgress):
            self.advance(event.done, event.total, event.unit, event.detail)
        elif isinstance(event, NodeSaid):
            self.say(f"{self._title}  {event.text}")
        else:
            self.finish("reused from an earlier run" if event.cached else f"{event.seconds:.1f} s")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table on stdout: drawn on a terminal, aligned plain text elsewhere."""
    # Names of labels and files are text, whatever brackets they have.
    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)
    console.print(title, style="bold", soft_wrap=True)  # a table's own title is broken at the table's width
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
