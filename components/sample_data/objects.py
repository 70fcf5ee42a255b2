"""What the sample set draws besides people: a closed registry of painters under COCO's names.

Every painter draws its object standing on the ground line, one unit high, facing right, in the
paint it is given (`sample_brush` has the space and the brush). Several are upright and about as wide
as a person, because those are what a person is confused with.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.sample_data.brush import (
    BLACK,
    GLASS,
    LIGHT,
    METAL,
    RUBBER,
    WOOD,
    Brush,
    Colour,
    any_colour,
    arc,
    mix,
    shade,
)

Painter = Callable[[Brush, np.random.Generator, Colour], None]


class Setting(enum.Enum):
    """Where an object is at home; ANYWHERE is both."""

    INDOORS = enum.auto()
    OUTDOORS = enum.auto()
    ANYWHERE = enum.auto()


@dataclass(frozen=True)
class ObjectKind:
    """One category that can be drawn.

    Attributes:
      category: COCO's name.
      width: extent in x, in heights.
      cover: share of the box of width by height that is covered, about.
      setting: where it is at home.
      floats: hangs or flies, so that it needs no ground and throws no shadow.
      paint: draws it.
    """

    category: str
    width: float
    cover: float
    setting: Setting
    paint: Painter
    floats: bool = False


def _wheel(brush: Brush, x: float, radius: float) -> None:
    brush.dot(x, radius, radius, RUBBER)
    brush.dot(x, radius, radius * 0.55, METAL)
    brush.dot(x, radius, radius * 0.2, RUBBER)


def _car(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    roof = rng.uniform(0.3, 0.5)
    brush.polygon([(-0.78, 0.55), (-0.5, 1.0), (roof, 1.0), (0.72, 0.55)], paint)
    brush.box(-1.15, 0.17, 1.15, 0.62, paint, 0.12)
    brush.polygon([(-0.66, 0.58), (-0.45, 0.93), (-0.06, 0.93), (-0.06, 0.58)], GLASS)
    brush.polygon([(0.02, 0.58), (0.02, 0.93), (roof - 0.04, 0.93), (0.6, 0.58)], GLASS)
    brush.box(-1.15, 0.17, 1.15, 0.26, shade(paint, 0.6), 0.04)
    brush.stroke([(-0.02, 0.27), (-0.02, 0.58)], 0.015, shade(paint, 0.65))
    brush.oval(1.08, 0.47, 0.05, 0.06, (250, 240, 190))
    brush.oval(-1.1, 0.47, 0.04, 0.06, (190, 30, 30))
    for x in (-0.68, 0.68):
        brush.dot(x, 0.22, 0.26, shade(paint, 0.45))
        _wheel(brush, x, 0.22)


def _bus(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-1.1, 0.12, 1.1, 1.0, paint, 0.08)
    brush.box(-1.1, 0.34, 1.1, 0.4, mix(paint, LIGHT, 0.6))
    for i in range(5):
        left = -1.0 + i * 0.34
        brush.box(left, 0.5, left + 0.27, 0.86, GLASS, 0.03)
    brush.box(0.72, 0.16, 0.98, 0.86, shade(GLASS, 0.7), 0.03)
    brush.box(1.03, 0.5, 1.1, 0.86, GLASS)
    for x in (-0.65, 0.5):
        _wheel(brush, x, 0.16)


def _truck(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-1.1, 0.2, 0.35, 1.0, any_colour(rng), 0.02)
    brush.box(-1.1, 0.16, 1.1, 0.26, RUBBER)
    brush.polygon([(0.42, 0.2), (0.42, 0.84), (0.8, 0.84), (1.02, 0.5), (1.1, 0.46), (1.1, 0.2)], paint)
    brush.polygon([(0.56, 0.52), (0.56, 0.76), (0.78, 0.76), (0.93, 0.52)], GLASS)
    for x in (-0.85, -0.5, 0.75):
        _wheel(brush, x, 0.17)


def _bicycle(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    for x in (-0.5, 0.5):
        brush.ring(x, 0.34, 0.34, 0.045, RUBBER)
        for turn in range(4):
            dx, dy = 0.31 * math.cos(turn * 0.785), 0.31 * math.sin(turn * 0.785)
            if brush.shows(0.3):
                brush.stroke([(x - dx, 0.34 - dy), (x + dx, 0.34 + dy)], 0.008, METAL)
    tubes = [(-0.5, 0.34), (-0.2, 0.72), (0.34, 0.74), (-0.04, 0.32), (-0.5, 0.34)]
    brush.stroke(tubes, 0.05, paint)
    brush.stroke([(-0.04, 0.32), (-0.22, 0.84)], 0.05, paint)
    brush.stroke([(0.5, 0.34), (0.32, 0.92)], 0.05, paint)
    brush.stroke([(0.3, 0.93), (0.46, 0.97)], 0.05, BLACK)
    brush.box(-0.36, 0.82, -0.1, 0.88, BLACK, 0.03)
    brush.dot(-0.04, 0.32, 0.07, METAL)


def _boat(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.stroke([(0.0, 0.2), (0.0, 1.0)], 0.03, WOOD)
    sail = LIGHT if rng.random() < 0.6 else any_colour(rng)
    brush.polygon([(0.04, 0.28), (0.04, 0.97), (0.55, 0.3)], sail)
    brush.polygon([(-0.04, 0.3), (-0.04, 0.86), (-0.42, 0.32)], shade(sail, 0.88))
    brush.polygon([(-0.7, 0.24), (0.75, 0.24), (0.5, 0.0), (-0.5, 0.0)], paint)
    brush.polygon([(-0.7, 0.24), (0.75, 0.24), (0.7, 0.19), (-0.66, 0.19)], shade(paint, 1.4))


def _traffic_light(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-0.03, 0.0, 0.03, 0.55, METAL)
    brush.box(-0.15, 0.46, 0.15, 1.0, mix(paint, BLACK, 0.6), 0.05)
    lit = int(rng.integers(3))
    for i, lamp in enumerate([(230, 50, 40), (240, 190, 50), (60, 210, 110)]):
        brush.dot(0.0, 0.9 - i * 0.17, 0.068, lamp if i == lit else shade(lamp, 0.35))


def _fire_hydrant(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    dark = shade(paint, 0.65)
    brush.box(-0.26, 0.0, 0.26, 0.09, dark, 0.02)
    brush.box(-0.18, 0.05, 0.18, 0.75, paint)
    for side in (-1, 1):
        brush.box(side * 0.3 - 0.05, 0.42, side * 0.3 + 0.05, 0.62, dark, 0.02)
        brush.box(side * 0.21 - 0.06, 0.46, side * 0.21 + 0.06, 0.58, paint)
    brush.dot(0.0, 0.48, 0.11, dark)
    brush.dot(0.0, 0.48, 0.06, paint)
    brush.box(-0.23, 0.7, 0.23, 0.77, dark, 0.02)
    brush.sector((0.0, 0.76), (0.18, 0.17), (0, 180), paint)
    brush.box(-0.05, 0.9, 0.05, 1.0, dark, 0.01)


def _stop_sign(brush: Brush, _rng: np.random.Generator, _paint: Colour) -> None:
    brush.box(-0.025, 0.0, 0.025, 0.6, METAL)
    for radius, fill in ((0.25, LIGHT), (0.225, (186, 32, 36))):
        brush.polygon(arc((0.0, 0.75), (radius, radius), (22.5, 337.5), 7), fill)
    if brush.shows(0.04):
        s = [(0.05, 1.0), (0.0, 0.9), (0.0, 0.6), (0.05, 0.45), (0.05, 0.1), (0.0, 0.0)]
        o = [(0.0, 0.0), (0.05, 0.0), (0.05, 1.0), (0.0, 1.0), (0.0, 0.0)]
        p = [(0.0, 0.0), (0.0, 1.0), (0.05, 1.0), (0.05, 0.5), (0.0, 0.5)]
        for left, letter in ((-0.165, s), (-0.01, [(0.0, 0.0), (0.0, 1.0)]), (0.045, o), (0.12, p)):
            brush.stroke([(left + x, 0.7 + y * 0.1) for x, y in letter], 0.018, LIGHT)
        brush.stroke([(-0.045, 0.8), (0.025, 0.8)], 0.018, LIGHT)


def _parking_meter(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-0.035, 0.0, 0.035, 0.65, METAL)
    brush.box(-0.1, 0.0, 0.1, 0.04, METAL)
    brush.box(-0.13, 0.6, 0.13, 0.9, paint, 0.04)
    brush.sector((0.0, 0.86), (0.13, 0.14), (0, 180), paint)
    brush.sector((0.0, 0.85), (0.09, 0.1), (0, 180), LIGHT)
    brush.box(-0.07, 0.66, 0.07, 0.76, shade(paint, 0.5), 0.01)


def _bench(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    for x in (-0.85, 0.85):
        brush.box(x - 0.05, 0.0, x + 0.05, 0.95, BLACK)
        brush.box(x - 0.05 + math.copysign(0.12, -x), 0.0, x + 0.02 + math.copysign(0.12, -x), 0.42, BLACK)
    for y in (0.6, 0.75, 0.9):
        brush.box(-1.0, y, 1.0, y + 0.1, paint, 0.02)
    brush.box(-1.02, 0.38, 1.02, 0.5, shade(paint, 1.15), 0.02)
    brush.box(-1.02, 0.34, 1.02, 0.39, shade(paint, 0.6))


def _bird(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    for x in (-0.05, 0.1):
        brush.stroke([(x, 0.35), (x + 0.02, 0.02), (x + 0.12, 0.0)], 0.025, (200, 130, 50))
    brush.polygon([(-0.3, 0.5), (-0.85, 0.3), (-0.8, 0.52)], shade(paint, 0.7))
    brush.oval(0.0, 0.5, 0.42, 0.25, paint)
    brush.oval(0.05, 0.42, 0.3, 0.16, mix(paint, LIGHT, 0.4))
    brush.polygon([(0.15, 0.62), (-0.5, 0.38), (-0.1, 0.4)], shade(paint, 0.6))
    brush.dot(0.36, 0.78, 0.2, paint)
    brush.polygon([(0.53, 0.84), (0.8, 0.76), (0.53, 0.7)], (230, 160, 50))
    brush.dot(0.42, 0.83, 0.035, BLACK)


def _cat(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    dark, pale = shade(paint, 0.6), mix(paint, LIGHT, 0.5)
    brush.stroke(arc((-0.3, 0.22), (0.2, 0.22), (270, 90), 8), 0.08, dark)
    brush.oval(0.0, 0.3, 0.3, 0.31, paint)
    brush.oval(0.06, 0.3, 0.16, 0.22, pale)
    for x in (-0.02, 0.14):
        brush.limb((x, 0.25), 0.06, (x, 0.05), 0.06, paint)
    for x in (-0.1, 0.26):
        brush.polygon([(x - 0.12, 0.8), (x + 0.12, 0.8), (x + (0.03 if x > 0 else -0.03), 1.0)], dark)
    brush.oval(0.08, 0.74, 0.25, 0.2, paint)
    for x in (-0.01, 0.17):
        brush.oval(x, 0.77, 0.045, 0.05, (200, 210, 90))
        brush.oval(x, 0.77, 0.018, 0.045, BLACK)
    brush.oval(0.08, 0.66, 0.09, 0.06, pale)
    brush.polygon([(0.05, 0.7), (0.11, 0.7), (0.08, 0.66)], (220, 130, 130))
    for y in (0.3, 0.42, 0.54):
        brush.stroke([(-0.28, y), (-0.14, y - 0.03)], 0.035, dark)


def _dog(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    dark = shade(paint, 0.7)
    brush.stroke([(-0.5, 0.62), (-0.68, 0.78), (-0.7, 0.92)], 0.07, paint)
    for x, fill in ((-0.36, dark), (0.34, dark), (-0.46, paint), (0.24, paint)):
        brush.limb((x, 0.45), 0.1, (x + 0.02, 0.06), 0.055, fill)
        brush.oval(x + 0.05, 0.04, 0.09, 0.04, fill)
    brush.limb((-0.38, 0.52), 0.17, (0.3, 0.55), 0.2, paint)
    if rng.random() < 0.5:
        brush.oval(-0.1, 0.6, 0.2, 0.11, shade(paint, 0.5))
    brush.limb((0.34, 0.6), 0.16, (0.5, 0.8), 0.13, paint)
    brush.oval(0.54, 0.83, 0.17, 0.15, paint)
    brush.limb((0.6, 0.8), 0.1, (0.8, 0.76), 0.065, mix(paint, LIGHT, 0.3))
    brush.dot(0.86, 0.79, 0.04, BLACK)
    brush.oval(0.44, 0.78, 0.075, 0.16, shade(paint, 0.45))
    brush.dot(0.6, 0.88, 0.028, BLACK)


def _horse(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    dark, mane = shade(paint, 0.72), shade(paint, 0.35)
    brush.stroke([(-0.44, 0.6), (-0.56, 0.5), (-0.55, 0.25)], 0.07, mane)
    for x, fill in ((-0.3, dark), (0.3, dark), (-0.4, paint), (0.2, paint)):
        brush.limb((x, 0.45), 0.075, (x + 0.02, 0.24), 0.04, fill)
        brush.limb((x + 0.02, 0.24), 0.035, (x, 0.04), 0.03, fill)
        brush.box(x - 0.04, 0.0, x + 0.05, 0.05, BLACK)
    brush.limb((-0.3, 0.54), 0.15, (0.24, 0.55), 0.15, paint)
    brush.limb((0.3, 0.6), 0.12, (0.5, 0.88), 0.075, paint)
    brush.stroke([(0.24, 0.72), (0.36, 0.86), (0.44, 0.97)], 0.07, mane)
    brush.limb((0.5, 0.88), 0.08, (0.7, 0.74), 0.05, paint)
    brush.polygon([(0.43, 0.92), (0.52, 0.94), (0.48, 1.02)], paint)
    brush.dot(0.56, 0.88, 0.02, BLACK)


def _umbrella(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.stroke([(0.0, 0.95), (0.0, 0.1), (0.05, 0.04), (0.11, 0.05), (0.12, 0.12)], 0.03, WOOD)
    brush.sector((0.0, 0.52), (0.62, 0.44), (0, 180), paint)
    second = any_colour(rng) if rng.random() < 0.5 else shade(paint, 0.75)
    for left, right in ((-0.62, -0.3), (-0.05, 0.3)):
        brush.polygon([(0.0, 0.96), (left, 0.55), (right, 0.55)], second)
    brush.stroke([(0.0, 0.94), (0.0, 1.0)], 0.02, BLACK)


def _suitcase(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    for x in (-0.14, 0.14):
        brush.box(x - 0.015, 0.7, x + 0.015, 0.98, METAL)
        brush.dot(x * 1.7, 0.05, 0.05, RUBBER)
    brush.box(-0.16, 0.95, 0.16, 1.0, BLACK, 0.02)
    brush.box(-0.32, 0.07, 0.32, 0.78, paint, 0.07)
    for x in (-0.18, 0.0, 0.18):
        brush.box(x - 0.012, 0.12, x + 0.012, 0.73, shade(paint, 0.7))


def _sports_ball(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.dot(0.0, 0.5, 0.5, paint)
    seam = shade(paint, 0.4)
    if rng.random() < 0.5:
        brush.stroke([(0.0, 0.02), (0.0, 0.98)], 0.03, seam)
        brush.stroke([(-0.48, 0.5), (0.48, 0.5)], 0.03, seam)
        for side in (-1, 1):
            brush.stroke(arc((side * 0.62, 0.5), (0.35, 0.45), (90, 270) if side > 0 else (-90, 90)), 0.03, seam)
    else:
        brush.polygon(arc((0.0, 0.52), (0.17, 0.17), (90, 450), 5), BLACK)
        for angle in (18, 90, 162, 234, 306):
            dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            brush.stroke([(dx * 0.17, 0.52 + dy * 0.17), (dx * 0.38, 0.5 + dy * 0.38)], 0.025, seam)
            brush.dot(dx * 0.42, 0.5 + dy * 0.42, 0.07, BLACK)


def _kite(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    top, left, right, low = (0.0, 1.0), (-0.32, 0.68), (0.32, 0.68), (0.0, 0.25)
    brush.stroke([low, (0.08, 0.17), (-0.05, 0.08), (0.04, 0.0)], 0.02, shade(paint, 0.5))
    second = any_colour(rng)
    brush.polygon([top, left, low, right], paint)
    brush.polygon([top, right, (0.0, 0.68)], second)
    brush.polygon([low, left, (0.0, 0.68)], second)


def _bottle(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-0.15, 0.0, 0.15, 0.62, paint, 0.04)
    brush.polygon([(-0.15, 0.57), (-0.055, 0.75), (0.055, 0.75), (0.15, 0.57)], paint)
    brush.box(-0.055, 0.7, 0.055, 0.95, paint)
    brush.box(-0.065, 0.93, 0.065, 1.0, shade(paint, 0.5), 0.01)
    brush.box(-0.15, 0.18, 0.15, 0.46, mix(any_colour(rng), LIGHT, 0.5))
    brush.box(-0.11, 0.06, -0.08, 0.56, mix(paint, LIGHT, 0.5))


def _vase(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    for x, y in ((-0.2, 0.86), (0.0, 0.93), (0.2, 0.84)):
        brush.stroke([(0.0, 0.5), (x, y)], 0.02, (70, 120, 60))
        brush.dot(x, y, 0.07, any_colour(rng))
    brush.oval(0.0, 0.28, 0.22, 0.25, paint)
    brush.box(-0.13, 0.0, 0.13, 0.1, paint, 0.02)
    brush.polygon([(-0.1, 0.45), (-0.14, 0.64), (0.14, 0.64), (0.1, 0.45)], paint)
    brush.oval(0.0, 0.28, 0.22, 0.05, shade(paint, 0.65))


def _chair(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    legs = shade(paint, 0.6)
    brush.stroke([(-0.24, 0.0), (-0.2, 0.45), (-0.26, 1.0)], 0.06, paint)
    brush.stroke([(0.25, 0.0), (0.22, 0.45)], 0.06, paint)
    brush.stroke([(-0.1, 0.04), (-0.1, 0.45)], 0.05, legs)
    brush.stroke([(0.14, 0.04), (0.14, 0.45)], 0.05, legs)
    brush.polygon([(-0.26, 0.52), (0.2, 0.52), (0.3, 0.42), (-0.24, 0.42)], paint)
    brush.polygon([(-0.24, 0.6), (-0.29, 1.0), (0.0, 0.98), (0.02, 0.62)], paint)
    if brush.shows(0.1):
        brush.polygon([(-0.2, 0.7), (-0.23, 0.92), (-0.05, 0.91), (-0.03, 0.7)], legs)


def _couch(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    for x in (-0.85, 0.85):
        brush.box(x - 0.05, 0.0, x + 0.05, 0.15, BLACK)
    brush.box(-0.9, 0.3, 0.9, 1.0, shade(paint, 0.8), 0.12)
    brush.box(-0.98, 0.1, 0.98, 0.4, shade(paint, 0.7), 0.05)
    for left in (-0.74, 0.02):
        brush.box(left, 0.36, left + 0.72, 0.54, paint, 0.06)
        brush.box(left + 0.03, 0.5, left + 0.69, 0.92, shade(paint, 0.92), 0.08)
    for x in (-0.88, 0.88):
        brush.box(x - 0.13, 0.1, x + 0.13, 0.68, paint, 0.1)


def _potted_plant(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    green: Colour = (int(rng.integers(40, 110)), int(rng.integers(90, 160)), int(rng.integers(40, 90)))
    for i in range(9):
        angle = math.radians(15 + i * 19 + rng.uniform(-8, 8))
        reach = rng.uniform(0.4, 0.64)
        tip = (reach * 0.7 * math.cos(angle), 0.36 + reach * math.sin(angle))
        middle = (tip[0] * 0.5, 0.36 + (tip[1] - 0.36) * 0.62)
        leaf = shade(green, rng.uniform(0.65, 1.3))
        brush.limb((0.0, 0.34), 0.015, middle, 0.065, leaf)
        brush.limb(middle, 0.065, tip, 0.01, leaf)
    brush.polygon([(-0.22, 0.34), (0.22, 0.34), (0.16, 0.0), (-0.16, 0.0)], paint)
    brush.box(-0.25, 0.3, 0.25, 0.38, shade(paint, 0.8), 0.01)


def _tv(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.box(-0.35, 0.0, 0.35, 0.05, BLACK, 0.02)
    brush.box(-0.06, 0.02, 0.06, 0.2, BLACK)
    brush.box(-0.8, 0.12, 0.8, 1.0, BLACK, 0.03)
    brush.box(-0.75, 0.18, 0.75, 0.95, paint)
    brush.polygon([(-0.75, 0.18), (-0.75, 0.5), (-0.3, 0.75), (0.2, 0.4), (0.75, 0.6), (0.75, 0.18)], any_colour(rng))
    brush.polygon([(0.3, 0.95), (0.6, 0.95), (0.1, 0.18), (-0.2, 0.18)], mix(paint, LIGHT, 0.35))


def _clock(brush: Brush, rng: np.random.Generator, paint: Colour) -> None:
    brush.dot(0.0, 0.5, 0.5, paint)
    brush.dot(0.0, 0.5, 0.42, LIGHT)
    for i in range(12):
        dx, dy = math.cos(i * math.pi / 6), math.sin(i * math.pi / 6)
        brush.stroke([(dx * 0.34, 0.5 + dy * 0.34), (dx * 0.39, 0.5 + dy * 0.39)], 0.03, BLACK)
    for length, width in ((0.2, 0.05), (0.32, 0.03)):
        angle = rng.uniform(0, 2 * math.pi)
        brush.stroke([(0.0, 0.5), (length * math.cos(angle), 0.5 + length * math.sin(angle))], width, BLACK)


def _teddy_bear(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    pale, dark = mix(paint, LIGHT, 0.45), shade(paint, 0.75)
    for side in (-1, 1):
        brush.limb((side * 0.16, 0.2), 0.13, (side * 0.28, 0.11), 0.11, dark)
        brush.dot(side * 0.31, 0.11, 0.07, pale)
        brush.limb((side * 0.2, 0.48), 0.09, (side * 0.36, 0.34), 0.08, dark)
        brush.dot(side * 0.19, 0.92, 0.09, dark)
        brush.dot(side * 0.19, 0.92, 0.05, pale)
    brush.oval(0.0, 0.32, 0.25, 0.27, paint)
    brush.oval(0.0, 0.31, 0.15, 0.18, pale)
    brush.oval(0.0, 0.75, 0.27, 0.22, paint)
    brush.oval(0.0, 0.68, 0.12, 0.09, pale)
    brush.oval(0.0, 0.72, 0.045, 0.03, BLACK)
    for side in (-1, 1):
        brush.dot(side * 0.1, 0.8, 0.028, BLACK)


def _refrigerator(brush: Brush, _rng: np.random.Generator, paint: Colour) -> None:
    body = mix(paint, LIGHT, 0.5)
    brush.box(-0.25, 0.02, 0.25, 1.0, body, 0.03)
    brush.box(-0.22, 0.0, 0.22, 0.04, BLACK)
    brush.box(-0.25, 0.64, 0.25, 0.655, shade(body, 0.5))
    for y0, y1 in ((0.4, 0.6), (0.7, 0.85)):
        brush.box(0.16, y0, 0.19, y1, shade(body, 0.45), 0.01)


KINDS: tuple[ObjectKind, ...] = (
    ObjectKind("bicycle", 1.7, 0.22, Setting.OUTDOORS, _bicycle),
    ObjectKind("car", 2.3, 0.72, Setting.OUTDOORS, _car),
    ObjectKind("bus", 2.2, 0.9, Setting.OUTDOORS, _bus),
    ObjectKind("truck", 2.2, 0.8, Setting.OUTDOORS, _truck),
    ObjectKind("boat", 1.45, 0.42, Setting.OUTDOORS, _boat),
    ObjectKind("traffic light", 0.32, 0.6, Setting.OUTDOORS, _traffic_light),
    ObjectKind("fire hydrant", 0.7, 0.59, Setting.OUTDOORS, _fire_hydrant),
    ObjectKind("stop sign", 0.5, 0.42, Setting.OUTDOORS, _stop_sign),
    ObjectKind("parking meter", 0.28, 0.52, Setting.OUTDOORS, _parking_meter),
    ObjectKind("bench", 2.05, 0.54, Setting.ANYWHERE, _bench),
    ObjectKind("bird", 1.7, 0.3, Setting.ANYWHERE, _bird, floats=True),
    ObjectKind("cat", 1.0, 0.53, Setting.ANYWHERE, _cat),
    ObjectKind("dog", 1.7, 0.4, Setting.ANYWHERE, _dog),
    ObjectKind("horse", 1.4, 0.4, Setting.OUTDOORS, _horse),
    ObjectKind("umbrella", 1.25, 0.38, Setting.ANYWHERE, _umbrella),
    ObjectKind("suitcase", 0.66, 0.75, Setting.ANYWHERE, _suitcase),
    ObjectKind("sports ball", 1.0, 0.8, Setting.ANYWHERE, _sports_ball, floats=True),
    ObjectKind("kite", 0.66, 0.4, Setting.OUTDOORS, _kite, floats=True),
    ObjectKind("bottle", 0.32, 0.75, Setting.INDOORS, _bottle),
    ObjectKind("vase", 0.55, 0.5, Setting.INDOORS, _vase),
    ObjectKind("chair", 0.62, 0.4, Setting.ANYWHERE, _chair),
    ObjectKind("couch", 2.05, 0.85, Setting.INDOORS, _couch),
    ObjectKind("potted plant", 0.95, 0.38, Setting.ANYWHERE, _potted_plant),
    ObjectKind("tv", 1.6, 0.91, Setting.INDOORS, _tv),
    ObjectKind("clock", 1.0, 0.78, Setting.ANYWHERE, _clock, floats=True),
    ObjectKind("teddy bear", 0.85, 0.71, Setting.INDOORS, _teddy_bear),
    ObjectKind("refrigerator", 0.5, 1.0, Setting.INDOORS, _refrigerator),
)
