"""Composes one image of the traffic signs: a road or a field, posts with signs on it, what stands about, and light.

What has a sign's shape or colours without being one (the gray back of a sign, a plain disc, an advertisement) stands in
images with and without signs alike.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.sample_data.backgrounds import ROADSIDES
from components.sample_data.brush import Colour, any_colour, shade
from components.sample_data.scenes import SIZE_SHARES, SIZES, Scene, Stage, grade, log_uniform
from components.sample_data.signs import SIGN_KINDS, Canvas

SIGNS_SHARES = (0.15, 0.4, 0.27, 0.13, 0.05)  # of images with none, one, two ... signs
# Of a sign's height in the image's shorter side: from what 10 pixels of a 160-pixel model can hold up to a close one.
MIN_SIDE, MAX_SIDE = 0.08, 0.5
MIN_VISIBLE_PART = 0.4  # of a sign that is partly hidden or cut; with less of it, the scene is drawn anew
MAX_ATTEMPTS = 40
_SUPERSAMPLE = 3

Paint = Callable[[Canvas], None]


def draw_sign_scene(rng: np.random.Generator) -> Scene:
    """A random scene."""
    count = int(rng.choice(len(SIGNS_SHARES), p=SIGNS_SHARES))
    for _ in range(MAX_ATTEMPTS):
        size = SIZES[int(rng.choice(len(SIZES), p=SIZE_SHARES))]
        background = ROADSIDES[int(rng.integers(len(ROADSIDES)))](rng, size).image
        if rng.random() < 0.5:
            background = background.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 2.5))))
        stage = Stage(background, np.zeros((size[1], size[0]), dtype=np.uint8))
        for _ in range(int(rng.integers(0, 3))):
            _put(rng, stage, _decoy(rng), None)
        whole = [
            _put(rng, stage, kind.paint, kind.category)
            for kind in (SIGN_KINDS[int(rng.integers(len(SIGN_KINDS)))] for _ in range(count))
        ]
        if rng.random() < 0.25:
            _hide(rng, stage)
        objects = stage.objects()
        shown = [int(np.count_nonzero(stage.owner == number)) for number in range(1, count + 1)]
        if all(part >= MIN_VISIBLE_PART * all_px for part, all_px in zip(shown, whole, strict=True)):
            return Scene(grade(rng, stage.image), objects)
    raise AssertionError(f"{MAX_ATTEMPTS} scenes in a row hid a sign")


def _put(rng: np.random.Generator, stage: Stage, paint: Paint, category: str | None) -> int:
    """A sign on its post, or a decoy (of no category); returns its pixels, were nothing in front of it."""
    width, height = stage.image.size
    tall = max(10.0, min(width, height) * log_uniform(rng, MIN_SIDE, MAX_SIDE))
    x, y = float(rng.uniform(0.04, 0.96)) * width, float(rng.uniform(0.1, 0.72)) * height
    if rng.random() < 0.85:
        _post(rng, stage, x, y, tall)
    face = _turned(rng, _painted(paint, tall))
    left, top = round(x - face.width / 2), round(y - face.height / 2)
    mask = face.getchannel("A")
    stage.image.paste(_weathered(rng, face), (left, top), mask)
    visible = np.asarray(mask) >= 128
    low = max(0, -left), max(0, -top)
    inside = visible[low[1] : height - top, low[0] : width - left]
    number = 0 if category is None else stage.enter(category)
    rows, columns = max(0, top), max(0, left)
    stage.owner[rows : rows + inside.shape[0], columns : columns + inside.shape[1]][inside] = number
    return int(np.count_nonzero(visible))


def _painted(paint: Paint, tall: float) -> Image.Image:
    canvas = Canvas(round(tall * _SUPERSAMPLE))
    paint(canvas)
    return canvas.image


def _turned(rng: np.random.Generator, face: Image.Image) -> Image.Image:
    """Seen from the side, bent on its post, and brought to the image's pixels."""
    seen = face.resize((max(4, round(face.width * float(rng.uniform(0.65, 1.0)))), face.height))
    degrees = float(rng.normal(0, 5)) if rng.random() < 0.9 else float(rng.uniform(-25, 25))
    turned = seen.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return turned.resize((-(-turned.width // _SUPERSAMPLE), -(-turned.height // _SUPERSAMPLE)), Image.Resampling.BOX)


def _weathered(rng: np.random.Generator, face: Image.Image) -> Image.Image:
    """Faded or dark, under light from one side."""
    pixels = np.asarray(face.convert("RGB")).astype(np.int32)
    gray = np.full_like(pixels, int(rng.integers(110, 190)))
    fading, light = int(rng.integers(0, 90)), int(rng.integers(120, 290))
    ramp = np.linspace(light, light - int(rng.integers(0, 60)), pixels.shape[1]).astype(np.int32)[None, :, None]
    mixed = (pixels * (256 - fading) + gray * fading) * ramp >> 16
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _post(rng: np.random.Generator, stage: Stage, x: float, y: float, tall: float) -> None:
    half = max(1.0, tall * 0.035)
    gray = int(rng.integers(70, 190))
    box = (round(x - half), round(y), round(x + half), stage.image.height)
    ImageDraw.Draw(stage.image).rectangle(box, fill=(gray, gray, gray + 4))
    stage.owner[max(0, box[1]) : box[3], max(0, box[0]) : max(0, box[2] + 1)] = 0


def _decoy(rng: np.random.Generator) -> Paint:
    colour = any_colour(rng)
    kind = int(rng.integers(4))
    if kind == 0:
        gray = int(rng.integers(90, 180))
        return lambda canvas: canvas.disc(0.5, 0.5, 0.49, (gray, gray, gray))
    if kind == 1:
        return lambda canvas: canvas.disc(0.5, 0.5, 0.49, colour)
    if kind == 2:
        return lambda canvas: canvas.polygon([(0.5, 0.06), (0.98, 0.92), (0.02, 0.92)], colour)
    other = any_colour(rng)
    return lambda canvas: _advertisement(canvas, colour, other)


def _advertisement(canvas: Canvas, colour: Colour, other: Colour) -> None:
    canvas.polygon([(0, 0.15), (1, 0.15), (1, 0.85), (0, 0.85)], colour)
    canvas.disc(0.28, 0.5, 0.2, other)
    for row in (0.32, 0.5, 0.68):
        canvas.stroke([(0.55, row), (0.92, row)], 0.07, shade(colour, 0.5))


def _hide(rng: np.random.Generator, stage: Stage) -> None:
    """Leaves, or a pole, in front of whatever is there."""
    width, height = stage.image.size
    layer = Image.new("L", stage.image.size)
    draw = ImageDraw.Draw(layer)
    x, y = float(rng.uniform(0, width)), float(rng.uniform(0.1, 0.7)) * height
    if rng.random() < 0.5:
        half = float(rng.uniform(0.008, 0.025)) * width
        draw.rectangle((round(x - half), 0, round(x + half), height), fill=255)
        colour = shade((110, 108, 104), float(rng.uniform(0.4, 1.5)))
    else:
        reach = float(rng.uniform(0.06, 0.16)) * height
        for _ in range(14):
            angle, far, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0, reach), rng.uniform(0.15, 0.4) * reach
            at = round(x + float(far) * math.cos(angle)), round(y + float(far) * math.sin(angle))
            draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=255)
        colour = shade((64, 104, 56), float(rng.uniform(0.5, 1.5)))
    stage.image.paste(colour, (0, 0), layer)
    stage.owner[np.asarray(layer) >= 128] = 0
