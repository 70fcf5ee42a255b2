"""Precision-recall curves as drawings: numbers in, coordinates out. The page's template turns them into SVG."""

from dataclasses import dataclass

from components.pusher.pictures import Curve
from pipeline.report.charts import WIDTH, Tick

HEIGHT = 300.0
_LEFT, _RIGHT, _TOP, _FLOOR = 52.0, WIDTH - 14.0, 10.0, HEIGHT - 40.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class CurveChart:
    """A drawing of WIDTH by HEIGHT: one label's precision against its recall, both from 0 to 1."""

    title: str
    summary: str
    left: float
    right: float
    top: float
    floor: float
    height: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    path: str


def draw_curve(curve: Curve) -> CurveChart:
    """A chart of one label that something right was found of."""
    places = [(_x(recall), _y(precision)) for recall, precision in curve.points]
    return CurveChart(
        title=curve.label,
        summary=f"{curve.label}: recall reaches {curve.points[-1][0]:.2f}",
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        floor=_FLOOR,
        height=HEIGHT,
        x_ticks=tuple(Tick(_x(value), f"{value:g}") for value in _TICKS),
        y_ticks=tuple(Tick(_y(value), f"{value:g}") for value in _TICKS),
        # Twice at the first point: a line without length is a dot, where there is no other.
        path="".join(f"{'L' if number else 'M'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(places[:1] + places)),
    )


def _x(recall: float) -> float:
    return _LEFT + recall * (_RIGHT - _LEFT)


def _y(precision: float) -> float:
    return _FLOOR - precision * (_FLOOR - _TOP)
