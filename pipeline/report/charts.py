"""Histograms as drawings: numbers in, coordinates out. The page's template turns them into SVG.

One panel per label under each other, on one axis: labels are compared by shape, whatever their number of images, and
nothing hangs on telling colours apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.report.histograms import Histogram, Series

MAX_PANELS = 6  # beyond that, all labels in one

WIDTH = 460.0
_LEFT, _RIGHT = 62.0, 20.0
_TITLE, _PANEL, _GAP = 18.0, 76.0, 8.0
_MARK = 16.0  # above the first panel, where a mark has its text
_AXIS = 40.0  # ticks and the axis's name
_CHARACTER = 6.6  # of the text on it, about
_MAX_NAME = 28  # characters of a label's name above its panel; the table has all of it


@dataclass(frozen=True)
class Bar:
    """A bar from the panel's floor upwards, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True)
class Panel:
    """One label's bars between `top` and `floor`."""

    title: str
    top: float
    floor: float
    colour: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A line across all panels, such as a threshold, and where its text stands."""

    at: float
    text: str
    anchor: Literal["start", "end"]


@dataclass(frozen=True)
class Chart:
    """A drawing of WIDTH by `height`, with its data as a table."""

    id: str
    title: str
    summary: str
    height: float
    left: float
    right: float
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_max: str
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Axis:
    """How a histogram's edges lie on the x axis.

    Attributes:
      label: what is measured, with its unit.
      ticks: where numbers stand.
      show: a value as text.
      is_log: whether equal distances are equal ratios.
    """

    label: str
    ticks: tuple[float, ...]
    show: Callable[[float], str]
    is_log: bool


def draw_histogram(
    chart_id: str,
    title: str,
    histogram: Histogram,
    axis: Axis,
    *,
    as_shares: bool,
    marks: Sequence[tuple[float, str]] = (),
    notes: Sequence[str] = (),
    noun: str = "image",
) -> Chart:
    """A chart of one histogram.

    Args:
      chart_id: unique on the page.
      title: of the chart.
      histogram: of one label or more.
      axis: of the histogram's edges.
      as_shares: whether bars are shares of their label's images rather than numbers of images.
      marks: values to be marked, and their text.
      notes: what stands behind each series' title, if anything.
      noun: what is counted.
    """
    series = _shown_series(histogram)
    scale = _Scale(histogram.edges, axis, _LEFT + 1, WIDTH - _RIGHT)
    edges = histogram.edges
    bins = [(_bin(histogram, at, axis), scale.at(edges[at]), scale.at(edges[at + 1])) for at in range(len(edges) - 1)]
    wholes = [max(1, sum(one.counts)) if as_shares else 1 for one in series]
    heights = [[count / whole for count in one.counts] for one, whole in zip(series, wholes, strict=True)]
    highest = max(map(max, heights)) or 1.0
    noted = notes if notes and len(series) == len(histogram.series) else [""] * len(series)
    top = _MARK if marks else 0.0
    panels = []
    for number, (one, own, note) in enumerate(zip(series, heights, noted, strict=True)):
        floor = top + _TITLE + _PANEL
        heading = f"{_shorten(one.label)}: {_plural(sum(one.counts), noun)}{', ' if note else ''}{note}"
        bars = _draw_bars(one, [height / highest for height in own], bins, floor, noun)
        panels.append(Panel(heading, top + _TITLE, floor, number, bars))
        top = floor + _GAP
    return Chart(
        id=chart_id,
        title=title,
        summary="; ".join(panel.title for panel in panels)
        + ("; marked: " if marks else "")
        + ", ".join(text for _, text in marks),
        height=top - _GAP + _AXIS,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        x_label=axis.label,
        y_label=f"share of {_plural_of(noun)}" if as_shares else _plural_of(noun),
        x_ticks=tuple(Tick(scale.at(value), axis.show(value)) for value in axis.ticks),
        y_max=f"{100 * highest:.0f} %" if as_shares else f"{highest:,.0f}",
        panels=tuple(panels),
        marks=tuple(_draw_mark(scale.at(value), text) for value, text in marks),
        columns=(axis.label, *(one.label for one in series)),
        rows=tuple((words, *(f"{one.counts[place]:,}" for one in series)) for place, (words, _, _) in enumerate(bins)),
    )


def _draw_bars(
    series: Series, heights: Sequence[float], bins: Sequence[tuple[str, float, float]], floor: float, noun: str
) -> tuple[Bar, ...]:
    """The bars of the bins that hold anything.

    Args:
      series: the counts of one label.
      heights: parts of the panel's height.
      bins: each one's words, left and right.
      floor: of the panel.
      noun: what is counted.
    """
    bars = []
    for count, height, (words, left, right) in zip(series.counts, heights, bins, strict=True):
        if count:
            tall = max(1.0, _PANEL * height)
            bars.append(Bar(left + 0.5, floor - tall, right - left - 1, tall, f"{words}: {_plural(count, noun)}"))
    return tuple(bars)


def _draw_mark(at: float, text: str) -> Mark:
    """Its text stands to the right of the line where there is room."""
    return Mark(at, text, "start" if at + _CHARACTER * len(text) < WIDTH else "end")


def _shown_series(histogram: Histogram) -> tuple[Series, ...]:
    if len(histogram.series) <= MAX_PANELS:
        return histogram.series
    totals = tuple(map(sum, zip(*(one.counts for one in histogram.series), strict=True)))
    return (Series(f"all {len(histogram.series)} labels", totals),)


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else _plural_of(noun)}"


def _plural_of(noun: str) -> str:
    return f"{noun}es" if noun.endswith("x") else f"{noun}s"


def _bin(histogram: Histogram, place: int, axis: Axis) -> str:
    """The bin as words; the outermost ones are open."""
    low, high = (axis.show(value) for value in histogram.edges[place : place + 2])
    if place == 0:
        return f"below {high}"
    return f"{low} and more" if place == len(histogram.edges) - 2 else f"{low} to {high}"


class _Scale:
    """Values to x coordinates; what lies beyond the edges is put at the border."""

    def __init__(self, edges: Sequence[float], axis: Axis, left: float, right: float) -> None:
        self._map: Callable[[float], float] = math.log if axis.is_log else float
        self._low, self._high = self._map(edges[0]), self._map(edges[-1])
        self._left, self._right = left, right

    def at(self, value: float) -> float:
        share = (self._map(value) - self._low) / (self._high - self._low)
        return self._left + min(1.0, max(0.0, share)) * (self._right - self._left)
