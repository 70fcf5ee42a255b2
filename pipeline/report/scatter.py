"""Quality against cost as a drawing: numbers in, coordinates out. The page's template turns them into SVG.

Every point has its interval as a bar and, where there is room, its name; the front is a line of steps: for so much
cost, the best quality there is. Points that were refused are hollow, so that nothing hangs on colours alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.report.charts import WIDTH, Tick

HEIGHT = 340.0
_LEFT, _RIGHT, _TOP, _FLOOR = 58.0, WIDTH - 16.0, 10.0, HEIGHT - 42.0
_MARGIN = 0.08  # of the range of an axis, beyond its outermost values
_TEXT_HEIGHT, _CHARACTER = 13.0, 6.0  # of a label, about
_RADIUS = 4.5


@dataclass(frozen=True)
class Measurement:
    """One point to be drawn.

    Attributes:
      name: what it is called.
      cost: what it asks, lower is better.
      quality: what it gives, higher is better.
      interval: of the quality.
      is_filled: whether it may be taken.
    """

    name: str
    cost: float
    quality: float
    interval: tuple[float, float]
    is_filled: bool


@dataclass(frozen=True)
class Dot:
    """A point, its bar from `low` to `high`, and what it stands for."""

    x: float
    y: float
    low: float
    high: float
    is_filled: bool
    is_on_front: bool
    says: str


@dataclass(frozen=True)
class Name:
    """A text beside a dot."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "end"]


@dataclass(frozen=True)
class Scatter:
    """A drawing of WIDTH by HEIGHT."""

    id: str
    title: str
    summary: str
    left: float
    right: float
    top: float
    floor: float
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    names: tuple[Name, ...]
    front: str


def draw_scatter(
    chart_id: str,
    title: str,
    measurements: Sequence[Measurement],
    on_front: Sequence[bool],
    *,
    x_label: str,
    y_label: str,
    show_cost: Callable[[float], str],
    show_quality: Callable[[float], str],
) -> Scatter:
    """A chart of at least one measurement.

    Args:
      chart_id: unique on the page.
      title: of the chart.
      measurements: the points.
      on_front: whether each is on the front of this chart.
      x_label: what the cost is, with its unit.
      y_label: what the quality is.
      show_cost: a cost as text.
      show_quality: a quality as text.
    """
    x_low, x_high = _range([m.cost for m in measurements])
    y_low, y_high = _range([bound for m in measurements for bound in m.interval])

    def at_x(value: float) -> float:
        return _LEFT + (value - x_low) / (x_high - x_low) * (_RIGHT - _LEFT)

    def at_y(value: float) -> float:
        return _FLOOR - (value - y_low) / (y_high - y_low) * (_FLOOR - _TOP)

    dots = [
        Dot(
            at_x(m.cost),
            at_y(m.quality),
            at_y(m.interval[0]),
            at_y(m.interval[1]),
            m.is_filled,
            is_on_front,
            f"{m.name}: {show_quality(m.quality)} ({show_quality(m.interval[0])} to {show_quality(m.interval[1])}),"
            f" {show_cost(m.cost)}",
        )
        for m, is_on_front in zip(measurements, on_front, strict=True)
    ]
    best = [m.name for m, is_on_front in zip(measurements, on_front, strict=True) if is_on_front]
    return Scatter(
        id=chart_id,
        title=title,
        summary="; ".join(dot.says for dot in dots) + f"; on the front: {', '.join(best)}",
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        floor=_FLOOR,
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple(Tick(at_x(value), show_cost(value)) for value in nice_ticks(x_low, x_high)),
        y_ticks=tuple(Tick(at_y(value), show_quality(value)) for value in nice_ticks(y_low, y_high)),
        dots=tuple(dots),
        names=tuple(_place_names(dots, [m.name for m in measurements])),
        front=_steps([dot for dot in dots if dot.is_on_front]),
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between two different ones."""
    rough = (high - low) / 5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The values' range with a margin; around a single value a range of its own size."""
    low, high = min(values), max(values)
    margin = (high - low) * _MARGIN or abs(high) * 0.5 or 1.0
    return low - margin, high + margin


def _steps(front: Sequence[Dot]) -> str:
    """A path from the cheapest of the front to the right border: level, then up at each better one."""
    ordered = sorted(front, key=lambda dot: (dot.x, dot.y))
    first, *later = ordered
    return f"M{first.x:.1f} {first.y:.1f}" + "".join(f"H{dot.x:.1f}V{dot.y:.1f}" for dot in later) + f"H{_RIGHT:.1f}"


def _place_names(dots: Sequence[Dot], names: Sequence[str]) -> list[Name]:
    """Names beside their dots, those of the front first; one that would lie on another is left to the table."""
    taken = [(dot.x - _RADIUS, dot.y - _RADIUS, dot.x + _RADIUS, dot.y + _RADIUS) for dot in dots]
    placed = []
    for dot, text in sorted(zip(dots, names, strict=True), key=lambda pair: not pair[0].is_on_front):
        width = _CHARACTER * len(text)
        gap = _RADIUS + 3
        for x, y, anchor in (
            (dot.x + gap, dot.y - gap, "start"),
            (dot.x - gap, dot.y - gap, "end"),
            (dot.x + gap, dot.y + gap + 8, "start"),
            (dot.x - gap, dot.y + gap + 8, "end"),
        ):
            left = x if anchor == "start" else x - width
            box = (left, y - _TEXT_HEIGHT + 3, left + width, y + 3)
            is_inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= _FLOOR
            if is_inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                placed.append(Name(x, y, text, "start" if anchor == "start" else "end"))
                break
    return placed


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
