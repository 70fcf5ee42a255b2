"""Traffic signs of the sample set, as they are seen from the front: five of Europe's commonest.

A painter draws into a square canvas of `side` pixels in coordinates from 0 to 1, x to the right, y down. Writing is
made of strokes rather than of a font, whose outlines another version of it may change.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from components.sample_data.brush import Colour, Point

RED: Colour = (190, 24, 30)
WHITE: Colour = (240, 240, 236)
BLUE: Colour = (20, 74, 156)
INK: Colour = (22, 22, 26)

# Each letter's strokes on a grid of 4 columns and 6 rows, y down.
_LETTERS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "S": (((4, 1), (3, 0), (1, 0), (0, 1), (0, 2), (1, 3), (3, 3), (4, 4), (4, 5), (3, 6), (1, 6), (0, 5)),),
    "T": (((0, 0), (4, 0)), ((2, 0), (2, 6))),
    "O": (((1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)),),
    "P": (((0, 6), (0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)),),
    "5": (((4, 0), (0, 0), (0, 3), (3, 3), (4, 4), (4, 5), (3, 6), (1, 6), (0, 5)),),
    "0": (((1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)),),
}


class Canvas:
    """A transparent square to paint a sign on."""

    def __init__(self, side: int) -> None:
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        self._side = side

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self._side, y * self._side) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled circle."""
        corners = [value * self._side for value in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.ellipse(corners, fill=fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line with round joints."""
        pixels = max(1, round(width * self._side))
        self._draw.line([(x * self._side, y * self._side) for x, y in points], fill, pixels, joint="curve")

    def write(self, text: str, centre: Point, height: float, fill: Colour) -> None:
        """Letters of `_LETTERS`, side by side."""
        cell = height / 6
        left = centre[0] - cell * (5.6 * len(text) - 1.6) / 2
        for place, letter in enumerate(text):
            x0, y0 = left + 5.6 * cell * place, centre[1] - height / 2
            for stroke in _LETTERS[letter]:
                self.stroke([(x0 + x * cell, y0 + y * cell) for x, y in stroke], 1.25 * cell, fill)


@dataclass(frozen=True)
class SignKind:
    """A category, and how its sign is painted."""

    category: str
    paint: Callable[[Canvas], None]


def _around(radius: float, corners: int, first_degrees: float) -> list[Point]:
    """A regular polygon about the canvas's middle."""
    angles = [math.radians(first_degrees + 360 / corners * number) for number in range(corners)]
    return [(0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)) for angle in angles]


def _stop(canvas: Canvas) -> None:
    canvas.polygon(_around(0.5, 8, 22.5), WHITE)
    canvas.polygon(_around(0.46, 8, 22.5), RED)
    canvas.write("STOP", (0.5, 0.5), 0.22, WHITE)


def _triangle(top: float, half: float, foot: float) -> list[Point]:
    return [(0.5 - half, top), (0.5 + half, top), (0.5, foot)]


def _yield(canvas: Canvas) -> None:
    canvas.polygon(_triangle(0.06, 0.49, 0.94), RED)
    canvas.polygon(_triangle(0.17, 0.31, 0.72), WHITE)


def _speed_limit(canvas: Canvas) -> None:
    canvas.disc(0.5, 0.5, 0.49, RED)
    canvas.disc(0.5, 0.5, 0.37, WHITE)
    canvas.write("50", (0.5, 0.5), 0.34, INK)


def _no_entry(canvas: Canvas) -> None:
    canvas.disc(0.5, 0.5, 0.49, WHITE)
    canvas.disc(0.5, 0.5, 0.465, RED)
    canvas.polygon([(0.14, 0.41), (0.86, 0.41), (0.86, 0.59), (0.14, 0.59)], WHITE)


def _crossing(canvas: Canvas) -> None:
    canvas.polygon([(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)], WHITE)
    canvas.polygon([(0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95)], BLUE)
    canvas.polygon([(0.5, 0.12), (0.9, 0.84), (0.1, 0.84)], WHITE)
    canvas.disc(0.5, 0.36, 0.055, INK)
    canvas.stroke([(0.5, 0.42), (0.49, 0.58)], 0.08, INK)
    canvas.stroke([(0.38, 0.74), (0.49, 0.58), (0.58, 0.74)], 0.055, INK)
    canvas.stroke([(0.41, 0.56), (0.5, 0.46), (0.6, 0.55)], 0.04, INK)


SIGN_KINDS = (
    SignKind("stop", _stop),
    SignKind("yield", _yield),
    SignKind("speed limit 50", _speed_limit),
    SignKind("no entry", _no_entry),
    SignKind("pedestrian crossing", _crossing),
)
