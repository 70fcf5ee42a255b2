"""How fast a training goes, and what the rest of it will cost."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

WARM_UP_STEPS = 3  # the first ones trace the graph and fill the pipeline
MEASURED_STEPS = 10
_WINDOW_STEPS = 50


class Pace:
    """Times steps, and nothing between them: no evaluation, no checkpoint.

    Args:
      batch_size: images in a step.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._seen = 0
        self._seconds: deque[float] = deque(maxlen=_WINDOW_STEPS)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Times the block, which is one step with the wait for its batch."""
        start = time.perf_counter()
        yield
        self._seen += 1
        if self._seen > WARM_UP_STEPS:
            self._seconds.append(time.perf_counter() - start)

    @property
    def images_per_second(self) -> float | None:
        """Over the latest steps; None before there are enough of them."""
        return None if not self._seconds else len(self._seconds) * self._batch_size / sum(self._seconds)

    @property
    def is_known(self) -> bool:
        """Whether the latest step was the one after which the pace is first known well enough."""
        return self._seen == WARM_UP_STEPS + MEASURED_STEPS


def describe_duration(seconds: float) -> str:
    """Seconds as a person would say them: 40 s, 12 min 30 s, 3 h 05 min, 2 d 4 h."""
    whole = round(seconds)
    for large, small, size, unit in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // unit
            return f"{whole // size} {large} {rest:02d} {small}" if small != "h" else f"{whole // size} d {rest} h"
    return f"{whole} s"
