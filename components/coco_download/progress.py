"""Progress of a download: bytes, speed, time left."""

import time
from collections import deque
from typing import Protocol

_SPEED_WINDOW_S = 30.0
_REDRAW_S = 0.1


class View(Protocol):
    """What a person watches; `pipeline.console.RunView` is one."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def start(self, title: str) -> None:
        """A step begins."""

    def advance(self, done: int, total: int, unit: str) -> None:
        """The step is at `done` of `total`."""

    def finish(self, note: str) -> None:
        """The step is done."""


class Meter:
    """Shows bytes with the speed of the last half minute and the time left at it."""

    def __init__(self, view: View, total_bytes: int) -> None:
        self._view, self._total_bytes = view, total_bytes
        self._seen: deque[tuple[float, int]] = deque()
        self._start_s, self._received = time.monotonic(), 0

    def __call__(self, done_bytes: int) -> None:
        """The step is at `done_bytes`; fewer than before if it had to start again."""
        now = time.monotonic()
        if self._seen and done_bytes < self._seen[-1][1]:
            self._seen.clear()  # the server made us start again
        if self._seen and now - self._seen[-1][0] < _REDRAW_S and done_bytes < self._total_bytes:
            return
        if self._seen:
            self._received += done_bytes - self._seen[-1][1]
        self._seen.append((now, done_bytes))
        while now - self._seen[0][0] > _SPEED_WINDOW_S:
            self._seen.popleft()
        (first_s, first_bytes), unit = self._seen[0], "MB"
        if now > first_s and done_bytes > first_bytes:
            speed = (done_bytes - first_bytes) / (now - first_s)
            left_s = (self._total_bytes - done_bytes) / speed
            unit = f"MB, {speed / 1e6:,.1f} MB/s, {duration(left_s)} left"
        self._view.advance(done_bytes // 10**6, self._total_bytes // 10**6, unit)

    def summary(self) -> str:
        """What was received since the first call, for the line that stays."""
        seconds = time.monotonic() - self._start_s
        speed = self._received / max(seconds, 1e-3) / 1e6
        return f"{self._received / 1e6:,.0f} MB in {duration(seconds)}, {speed:,.1f} MB/s"


def duration(seconds: float) -> str:
    """As a person says it: 40 s, 5 min, 1 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
