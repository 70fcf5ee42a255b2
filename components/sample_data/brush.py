"""Drawing in an object's own units: what the painters of the sample set draw with.

An object's space has its origin on the ground below the object's middle, x to the right, y up, and
the object's height as its unit, so that a painter never sees a pixel. Colours are 8-bit RGB.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

BLACK: Colour = (24, 24, 28)
GLASS: Colour = (120, 150, 170)
LIGHT: Colour = (232, 230, 222)
METAL: Colour = (140, 144, 150)
RUBBER: Colour = (38, 38, 42)
WOOD: Colour = (134, 92, 58)

EARTHY: tuple[Colour, ...] = (
    (236, 200, 170),
    (210, 160, 122),
    (170, 120, 84),
    (124, 84, 58),
    (84, 56, 42),
    (44, 32, 28),
)

# Canvases are drawn this many times larger than the image and reduced: cheap anti-aliasing.
SUPERSAMPLE = 2


@dataclass(frozen=True)
class Brush:
    """Draws shapes given in an object's space on a canvas that shows a part of it.

    Attributes:
      draw: the canvas.
      left: canvas x of the object's origin, in canvas pixels.
      ground: canvas y of the object's origin, in canvas pixels.
      scale: canvas pixels per unit.
      mirror: whether x points to the left.
    """

    draw: ImageDraw.ImageDraw
    left: float
    ground: float
    scale: float
    mirror: bool = False

    def shows(self, length: float) -> bool:
        """Whether a detail of this length would be at least about two image pixels long."""
        return length * self.scale >= 2 * SUPERSAMPLE

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self._pixel(p) for p in points], fill=fill)

    def oval(self, x: float, y: float, radius_x: float, radius_y: float, fill: Colour) -> None:
        """A filled ellipse, by centre and radii."""
        self.draw.ellipse(self._corners(x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=fill)

    def dot(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled circle."""
        self.oval(x, y, radius, radius, fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Colour) -> None:
        """A circle drawn as a line inside its radius."""
        pixels = max(1, round(width * self.scale))
        self.draw.ellipse(self._corners(x - radius, y - radius, x + radius, y + radius), outline=fill, width=pixels)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, corner: float = 0.0) -> None:  # noqa: PLR0917 - the order of every drawing call
        """A filled rectangle, by two opposite corners; `corner` rounds it."""
        self.draw.rounded_rectangle(self._corners(x0, y0, x1, y1), radius=corner * self.scale, fill=fill)

    def sector(self, centre: Point, radii: Point, degrees: tuple[float, float], fill: Colour) -> None:
        """A filled arc, closed by its chord; degrees run counter-clockwise from +x."""
        self.polygon(arc(centre, radii, degrees), fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line with round joints and ends."""
        pixels = [self._pixel(p) for p in points]
        thickness = max(SUPERSAMPLE, round(width * self.scale))
        self.draw.line(pixels, fill=fill, width=thickness, joint="curve")
        radius = thickness / 2
        if radius > SUPERSAMPLE:
            for x, y in (pixels[0], pixels[-1]):
                self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def limb(self, start: Point, start_radius: float, end: Point, end_radius: float, fill: Colour) -> None:
        """Two discs and the band between them: an arm, a leg, a tail, a trunk."""
        along = math.hypot(end[0] - start[0], end[1] - start[1])
        if along > 0:
            normal_x, normal_y = (start[1] - end[1]) / along, (end[0] - start[0]) / along
            self.polygon(
                [
                    (start[0] + normal_x * start_radius, start[1] + normal_y * start_radius),
                    (end[0] + normal_x * end_radius, end[1] + normal_y * end_radius),
                    (end[0] - normal_x * end_radius, end[1] - normal_y * end_radius),
                    (start[0] - normal_x * start_radius, start[1] - normal_y * start_radius),
                ],
                fill,
            )
        self.dot(*start, start_radius, fill)
        self.dot(*end, end_radius, fill)

    def _pixel(self, point: Point) -> Point:
        x = -point[0] if self.mirror else point[0]
        return self.left + x * self.scale, self.ground - point[1] * self.scale

    def _corners(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        (ax, bottom), (bx, top) = self._pixel((x0, y0)), self._pixel((x1, y1))
        return min(ax, bx), min(top, bottom), max(ax, bx), max(top, bottom)


def arc(centre: Point, radii: Point, degrees: tuple[float, float], steps: int = 14) -> list[Point]:
    """Points on an ellipse from one angle to another, counter-clockwise from +x."""
    angles = [math.radians(degrees[0] + (degrees[1] - degrees[0]) * i / steps) for i in range(steps + 1)]
    return [(centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles]


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, lighter (factor > 1) or darker (factor < 1)."""
    red, green, blue = (min(255, max(0, round(v * factor))) for v in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def luma(colour: Colour) -> float:
    """ITU-R 601 brightness, 0...255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour of paint or cloth: any hue, mostly muted, from near black to near white.

    Every third one is a brown of leather, wood or fur, so that skin and hair are not told by their hue.
    """
    if rng.random() < 0.33:
        return shade(EARTHY[int(rng.integers(len(EARTHY)))], float(rng.uniform(0.5, 1.2)))
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), 0.9 * rng.random() ** 1.5, rng.uniform(0.12, 0.98))
    return round(red * 255), round(green * 255), round(blue * 255)


def pick_colour(rng: np.random.Generator, against: float, contrast: float = 60.0) -> Colour:
    """A colour that stands out from a background of brightness `against`, lighter or darker."""
    colours = [any_colour(rng) for _ in range(6)]
    return next(
        (c for c in colours if abs(luma(c) - against) >= contrast),
        max(colours, key=lambda c: abs(luma(c) - against)),
    )


def clouds(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Image.Image:
    """Smooth noise: a random grid about `cells` wide, resized to `size` (width, height); mode L."""
    rows = max(2, round(cells * size[1] / size[0]))
    grid = rng.integers(0, 256, (rows, max(2, cells)), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
