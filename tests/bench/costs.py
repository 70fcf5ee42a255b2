"""CPU-seconds of a piece of work, split into what it costs to start and what it costs per image."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """What a piece of work costs to start, and per image, in seconds."""

    start: float
    per_image: float


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU-seconds that `work` takes, in this process and its children."""

    def spent() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    start = spent()
    work()
    return spent() - start


def wall_seconds(work: Callable[[], Any]) -> float:
    """Seconds on the clock that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def split_cost(seconds: dict[int, float]) -> Cost:
    """The cost from the seconds of two sizes."""
    (small, of_small), (large, of_large) = sorted(seconds.items())
    per_image = (of_large - of_small) / (large - small)
    return Cost(of_small - per_image * small, per_image)


def cost(work: Callable[[int], Any], sizes: tuple[int, int]) -> Cost:
    """The cost of `work(size)`, from its fastest of three rounds at either size."""
    return split_cost({size: min(cpu_seconds(lambda size=size: work(size)) for _ in range(ROUNDS)) for size in sizes})
