"""Quality against cost: places, steps, names and ticks."""

import pytest

from pipeline.report.charts import WIDTH
from pipeline.report.scatter import Measurement, draw_scatter, nice_ticks
from pipeline.sweep.pareto import pareto_front


def measure(name, cost, quality, is_filled=True):
    return Measurement(name, cost, quality, (quality - 0.05, quality + 0.05), is_filled)


def draw(*measurements):
    return draw_scatter(
        "chart",
        "Title",
        measurements,
        pareto_front([(-m.quality, m.cost) for m in measurements]),
        x_label="bytes",
        y_label="accuracy",
        show_cost="{:g}".format,
        show_quality="{:.2g}".format,
    )


def test_scatter_places_cheaper_points_left_and_better_ones_higher():
    chart = draw(measure("a", 10, 0.7), measure("b", 20, 0.9), measure("c", 20, 0.6))
    a, b, c = chart.dots
    assert chart.left < a.x < b.x == c.x < chart.right
    assert chart.top < b.y < a.y < c.y < chart.floor
    assert b.high < b.y < b.low  # downwards, as SVG counts
    assert [dot.is_on_front for dot in chart.dots] == [True, True, False]
    assert a.says == "a: 0.7 (0.65 to 0.75), 10"
    assert chart.summary.endswith("on the front: a, b")


def test_scatter_front_is_level_up_to_the_next_better_point():
    chart = draw(measure("b", 20, 0.9), measure("a", 10, 0.7))
    b, a = chart.dots
    assert chart.front == f"M{a.x:.1f} {a.y:.1f}H{b.x:.1f}V{b.y:.1f}H{chart.right:.1f}"


def test_scatter_of_one_point_or_of_equal_ones_is_drawn():
    for chart in (draw(measure("a", 10, 0.7)), draw(measure("a", 10, 0.7), measure("b", 10, 0.7))):
        assert all(chart.left < dot.x < chart.right for dot in chart.dots)
        assert len(chart.names) >= 1


def test_scatter_names_of_close_points_do_not_overlap_and_those_of_the_front_come_first():
    close = [measure(f"alpha=0.{n} side=96", 100 + n / 50, 0.7 + n / 1000) for n in range(12)]
    chart = draw(*close, measure("far", 200, 0.8))
    boxes = []
    for name in chart.names:
        width = 6 * len(name.text)
        left = name.x if name.anchor == "start" else name.x - width
        assert left >= chart.left
        assert left + width <= WIDTH
        for x, y, w in boxes:
            assert abs(y - name.y) >= 13 or left + width <= x or x + w <= left
        boxes.append((left, name.y, width))
    assert {"far", "alpha=0.0 side=96"} <= {name.text for name in chart.names}
    assert len(chart.names) < len(chart.dots)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.53, 0.61), (30_000, 1_000_000), (-5, 5), (99.9, 100.1)])
def test_nice_ticks_are_few_round_and_inside(low, high):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= high + 1e-9 for tick in ticks)
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    assert f"{step:.1e}"[:3] in {"1.0", "2.0", "5.0"}
    assert ticks[0] / step == pytest.approx(round(ticks[0] / step))
