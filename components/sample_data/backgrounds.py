"""What stands behind the objects of the sample set: places indoors and outdoors, drawn without objects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from components.sample_data.brush import Colour, any_colour, clouds, mix, shade
from components.sample_data.objects import Setting

Size = tuple[int, int]
Place = Callable[[np.random.Generator, Size], "Background"]

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 150, 214), (196, 218, 236)),
    ((150, 160, 172), (206, 208, 208)),
    ((60, 76, 120), (236, 170, 120)),
    ((24, 30, 56), (70, 76, 108)),
    ((190, 206, 220), (240, 238, 230)),
)
GRASSES: tuple[Colour, ...] = ((86, 130, 62), (122, 140, 70), (70, 96, 58), (168, 150, 90), (222, 226, 232))


@dataclass(frozen=True)
class Background:
    """An RGB image, the row of its horizon (or of the floor's edge) in pixels, and which setting it is."""

    image: Image.Image
    horizon: int
    setting: Setting


def draw_background(rng: np.random.Generator, size: Size) -> Background:
    """A random place of this size (width, height)."""
    return PLACES[int(rng.integers(len(PLACES)))](rng, size)


def gradient(size: Size, top: Colour, bottom: Colour) -> Image.Image:
    """A vertical gradient."""
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), top)
    column.putpixel((0, 1), bottom)
    return column.resize(size, Image.Resampling.BILINEAR)


def grain(rng: np.random.Generator, image: Image.Image, cells: int, share: float) -> None:
    """Blends smooth noise of about `cells` cells across into an image, in place."""
    noise = Image.merge("RGB", [clouds(rng, image.size, cells)] * 3)
    image.paste(Image.blend(image, noise, share))


def _field(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.3, 0.62))
    image = Image.new("RGB", size)
    image.paste(_sky(rng, (width, horizon)), (0, 0))
    grass = GRASSES[int(rng.integers(len(GRASSES)))]
    ground = gradient((width, height - horizon), shade(grass, 0.85), shade(grass, 1.1))
    grain(rng, ground, width // 3, 0.09)
    image.paste(ground, (0, horizon))
    draw = ImageDraw.Draw(image)
    _hills(rng, draw, width, horizon)
    for _ in range(int(rng.integers(0, 5))):
        _tree(rng, draw, float(rng.uniform(0, width)), horizon + float(rng.uniform(2, height * 0.12)), height)
    return Background(image, horizon, Setting.OUTDOORS)


def _street(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.45, 0.65))
    image = Image.new("RGB", size)
    image.paste(_sky(rng, (width, horizon)), (0, 0))
    asphalt = shade((120, 120, 124), float(rng.uniform(0.5, 1.3)))
    road = gradient((width, height - horizon), shade(asphalt, 1.15), asphalt)
    grain(rng, road, width // 2, 0.06)
    image.paste(road, (0, horizon))
    draw = ImageDraw.Draw(image)
    left = -float(rng.uniform(0, 40))
    while left < width:
        right = left + float(rng.uniform(0.15, 0.4)) * width
        _house(rng, draw, (left, horizon * float(rng.uniform(0.02, 0.5)), right, float(horizon)))
        left = right + float(rng.choice([0.0, 0.0, 12.0]))
    kerb = horizon + (height - horizon) * float(rng.uniform(0.15, 0.4))
    draw.rectangle((0, horizon, width, kerb), fill=mix(asphalt, (190, 186, 178), 0.7))
    draw.rectangle((0, kerb, width, kerb + 2), fill=shade(asphalt, 0.6))
    lane = (kerb + height) / 2
    for i in range(-1, 6):
        x = i * width / 5 + float(rng.uniform(0, 8))
        draw.rectangle((x, lane, x + width / 10, lane + 3), fill=mix(asphalt, (240, 240, 230), 0.7))
    for _ in range(int(rng.integers(0, 4))):
        x, top = float(rng.uniform(0, width)), float(rng.uniform(0.05, 0.4)) * height
        draw.rectangle((x, top, x + 3, horizon + 6), fill=(60, 62, 66))
        draw.ellipse((x - 4, top - 5, x + 7, top + 4), fill=(230, 226, 190))
    return Background(image, horizon, Setting.OUTDOORS)


def _shore(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.25, 0.5))
    shore = horizon + round((height - horizon) * rng.uniform(0.25, 0.5))
    image = Image.new("RGB", size)
    image.paste(_sky(rng, (width, horizon)), (0, 0))
    sea = shade((70, 120, 150), float(rng.uniform(0.6, 1.3)))
    image.paste(gradient((width, shore - horizon), shade(sea, 0.8), shade(sea, 1.2)), (0, horizon))
    draw = ImageDraw.Draw(image)
    for _ in range(26):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(horizon, shore))
        draw.line((x, y, x + float(rng.uniform(8, 40)), y), fill=shade(sea, 1.45))
    sand = gradient((width, height - shore), (196, 172, 134), (222, 200, 160))
    grain(rng, sand, width // 2, 0.07)
    image.paste(sand, (0, shore))
    return Background(image, shore, Setting.OUTDOORS)


def _forest(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.5, 0.7))
    leaf = shade((74, 110, 66), float(rng.uniform(0.6, 1.5)))
    image = gradient(size, shade(leaf, 1.2), shade(leaf, 0.6))
    grain(rng, image, 22, 0.2)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 11))):
        x, half = float(rng.uniform(0, width)), float(rng.uniform(2, 9))
        bark = shade((96, 76, 58), float(rng.uniform(0.5, 1.6)))
        foot = horizon + float(rng.uniform(-4, 16))
        draw.polygon([(x - half, foot), (x - half * 0.7, 0), (x + half * 0.7, 0), (x + half, foot)], fill=bark)
    soil = gradient((width, height - horizon - 8), shade(leaf, 0.8), (120, 100, 70))
    grain(rng, soil, width // 3, 0.09)
    image.paste(soil, (0, horizon + 8))
    return Background(image, horizon, Setting.OUTDOORS)


def _room(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.5, 0.78))
    wall = mix(any_colour(rng), (214, 208, 198), float(rng.uniform(0.2, 0.8)))
    image = gradient(size, wall, shade(wall, 0.86))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.35:
        step = float(rng.uniform(9, 26))
        for i in range(int(width / step) + 1):
            draw.rectangle((i * step, 0, i * step + step / 2, horizon), fill=shade(wall, 0.9))
    for _ in range(int(rng.integers(0, 4))):
        _wall_hanging(rng, draw, width, horizon)
    floor = mix(any_colour(rng), (140, 104, 72), 0.6)
    draw.rectangle((0, horizon, width, height), fill=floor)
    for i in range(1, 7):
        y = horizon + (height - horizon) * (i / 7) ** 1.5
        draw.line((0, y, width, y), fill=shade(floor, 0.82))
    for i in range(-4, 9):
        x = width * i / 4
        draw.line((width / 2 + (x - width / 2) * 0.55, horizon, x, height), fill=shade(floor, 0.82))
    draw.rectangle((0, horizon - 5, width, horizon), fill=shade(wall, 1.25))
    return Background(image, horizon, Setting.INDOORS)


def _bricks(rng: np.random.Generator, size: Size) -> Background:
    width, height = size
    horizon = round(height * rng.uniform(0.7, 0.88))
    brick = mix(any_colour(rng), (158, 100, 80), 0.6)
    image = Image.new("RGB", size, mix(brick, (206, 200, 190), 0.6))
    draw = ImageDraw.Draw(image)
    high, long = (float(v) for v in rng.uniform((7, 16), (15, 36)))
    for row in range(int(horizon / high) + 1):
        tones = rng.uniform(0.82, 1.15, int(width / long) + 2)
        for i, tone in enumerate(tones.tolist()):
            x, y = (i - 0.5 * (row % 2)) * long, row * high
            draw.rectangle((x, y, x + long - 2, min(y + high - 2, horizon)), fill=shade(brick, tone))
    draw.rectangle((0, horizon, width, height), fill=shade(brick, float(rng.uniform(0.5, 1.3))))
    return Background(image, horizon, Setting.INDOORS if rng.random() < 0.5 else Setting.OUTDOORS)


def _backdrop(rng: np.random.Generator, size: Size) -> Background:
    image = gradient(size, any_colour(rng), any_colour(rng))
    grain(rng, image, int(rng.choice([4, 8, 16, 60])), float(rng.uniform(0.08, 0.22)))
    horizon = round(size[1] * rng.uniform(0.4, 0.8))
    return Background(image, horizon, Setting.INDOORS if rng.random() < 0.5 else Setting.OUTDOORS)


def _sky(rng: np.random.Generator, size: Size) -> Image.Image:
    top, bottom = SKIES[int(rng.integers(len(SKIES)))]
    sky = gradient(size, top, bottom)
    if rng.random() < 0.6:
        cover = clouds(rng, size, 7).point([max(0, min(255, (v - 120) * 2)) for v in range(256)])
        sky.paste(mix(bottom, (250, 250, 250), 0.5), (0, 0), cover)
    return sky


def _hills(rng: np.random.Generator, draw: ImageDraw.ImageDraw, width: int, horizon: int) -> None:
    fill = shade((92, 110, 112), float(rng.uniform(0.6, 1.4)))
    heights = rng.uniform(0.02, 0.4, 9) * horizon
    points = [(width * i / 8, horizon - h) for i, h in enumerate(heights.tolist())]
    draw.polygon([(0, horizon), *points, (width, horizon)], fill=fill)


def _tree(rng: np.random.Generator, draw: ImageDraw.ImageDraw, x: float, foot: float, height: int) -> None:
    tall = height * float(rng.uniform(0.12, 0.42))
    green = shade((64, 104, 56), float(rng.uniform(0.5, 1.5)))
    draw.rectangle((x - tall * 0.05, foot - tall * 0.5, x + tall * 0.05, foot), fill=(84, 64, 48))
    if rng.random() < 0.4:
        draw.polygon([(x - tall * 0.24, foot - tall * 0.25), (x, foot - tall), (x + tall * 0.24, foot - tall * 0.25)],
                     fill=green)  # fmt: skip
        return
    for _ in range(6):
        cx, cy = x + tall * float(rng.uniform(-0.2, 0.2)), foot - tall * float(rng.uniform(0.5, 0.9))
        radius = tall * float(rng.uniform(0.13, 0.22))
        draw.ellipse(
            (cx - radius, cy - radius, cx + radius, cy + radius), fill=shade(green, float(rng.uniform(0.85, 1.15)))
        )


def _house(rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    wall = mix(any_colour(rng), (170, 158, 146), 0.55)
    draw.rectangle(box, fill=wall)
    glass = shade((120, 138, 156), float(rng.uniform(0.4, 1.6)))
    step_x, step_y = (float(v) for v in rng.uniform((12, 14), (24, 28)))
    for row in range(int((bottom - top - 6) / step_y)):
        for column in range(int((right - left - 4) / step_x)):
            x, y = left + 4 + column * step_x, top + 6 + row * step_y
            draw.rectangle((x, y, x + step_x * 0.55, y + step_y * 0.6), fill=glass)
    if rng.random() < 0.5:
        x = float(rng.uniform(left, max(left + 1, right - 12)))
        draw.rectangle((x, bottom - 22, x + 10, bottom), fill=shade(wall, 0.5))


def _wall_hanging(rng: np.random.Generator, draw: ImageDraw.ImageDraw, width: int, horizon: int) -> None:
    x, y = float(rng.uniform(-0.1, 0.9)) * width, float(rng.uniform(0.05, 0.4)) * horizon
    kind = int(rng.integers(3))
    if kind == 0:  # a picture
        w, h = (float(v) for v in rng.uniform(24, 80, 2))
        draw.rectangle((x, y, x + w, y + h), fill=shade(any_colour(rng), 0.5))
        draw.rectangle((x + 3, y + 3, x + w - 3, y + h - 3), fill=any_colour(rng))
    elif kind == 1:  # a window with curtains
        w, h = float(rng.uniform(50, 110)), float(rng.uniform(60, 110))
        draw.rectangle((x, y, x + w, y + h), fill=(236, 234, 228))
        draw.rectangle((x + 4, y + 4, x + w / 2 - 1, y + h - 4), fill=(170, 200, 226))
        draw.rectangle((x + w / 2 + 2, y + 4, x + w - 4, y + h - 4), fill=(160, 192, 220))
        curtain = any_colour(rng)
        for side in (x - 12, x + w - 4):
            draw.rectangle((side, y - 4, side + 16, y + h + 10), fill=curtain)
            draw.line((side + 7, y, side + 7, y + h + 10), fill=shade(curtain, 0.75), width=2)
    else:  # a door
        door = mix(any_colour(rng), (150, 120, 90), 0.5)
        draw.rectangle((x, horizon * 0.15, x + 52, horizon), fill=shade(door, 0.7))
        draw.rectangle((x + 4, horizon * 0.15 + 4, x + 48, horizon), fill=door)
        draw.ellipse((x + 38, horizon * 0.6, x + 43, horizon * 0.6 + 5), fill=(220, 200, 120))


PLACES: tuple[Place, ...] = (_field, _street, _shore, _forest, _room, _room, _bricks, _backdrop)
ROADSIDES: tuple[Place, ...] = (_street, _street, _street, _field, _field, _forest)
