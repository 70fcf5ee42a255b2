"""Composes one image of the sample set: a place, the objects in it, and the light on it all.

What an image tells (`Story`) decides only who stands in its main slots. Place, light, number of objects
and their sizes are drawn the same way for every story, so that none of them gives the label away.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from components.sample_data.backgrounds import Background, draw_background
from components.sample_data.brush import SUPERSAMPLE, Brush, pick_colour
from components.sample_data.figures import draw_look, draw_pose, paint_figure
from components.sample_data.masks import Mask
from components.sample_data.objects import KINDS, ObjectKind, Setting

PERSON = "person"
CHAIR, BENCH = (next(kind for kind in KINDS if kind.category == name) for name in ("chair", "bench"))

# Visible share of the image that the largest person has: above the limit of every label rule that goes
# by mask area, or (in SMALL_PEOPLE) below it.
MIN_PERSON_FRACTION = 0.009
MAX_SMALL_PERSON_FRACTION = 0.0042
MIN_VISIBLE_PX = 12
MAX_ATTEMPTS = 40

SIZES = ((320, 240), (240, 320), (320, 213), (213, 320), (320, 320), (300, 225), (280, 210))
SIZE_SHARES = (0.5, 0.05, 0.08, 0.03, 0.04, 0.16, 0.14)

# A figure covers about this share of a box one height high and FIGURE_WIDTH heights wide: measured, like `cover` of
# the other kinds, because a figure that outgrows its slot gives the label away by the area that is covered.
FIGURE_WIDTH = 0.4
FIGURE_COVER = 0.6


class Story(enum.Enum):
    """Whether there are people in the image, and how large the largest one is."""

    PEOPLE = enum.auto()
    NO_PEOPLE = enum.auto()
    SMALL_PEOPLE = enum.auto()


STORY_SHARES = {Story.PEOPLE: 0.5, Story.NO_PEOPLE: 0.45, Story.SMALL_PEOPLE: 0.05}


@dataclass(frozen=True)
class SceneObject:
    """One annotated object: COCO's name of its category, its visible pixels, whether it is a crowd."""

    category: str
    mask: Mask
    is_crowd: bool


@dataclass(frozen=True)
class Scene:
    """One finished image (RGB) and the objects that are still visible in it."""

    image: Image.Image
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Slot:
    """Room for one object.

    Attributes:
      x: of the object's middle, in pixels.
      area_px: square pixels it should cover.
      close_up: whether it is so close that the frame cuts it.
      lift: share of its height by which it stands below the frame's usual ground (cut by the lower edge).
    """

    x: float
    area_px: float
    close_up: bool = False
    lift: float = 0.0


@dataclass(frozen=True)
class Stand:
    """Where an object is put: its origin and its height in pixels, and which way it faces."""

    x: float
    ground: float
    height: float
    mirror: bool


@dataclass(frozen=True)
class Actor:
    """An object that waits to be painted: `reach` is how far it extends (left and right, up) in heights."""

    category: str
    stand: Stand
    reach: tuple[float, float]
    paint: Callable[[Brush, np.random.Generator, float], None]
    throws_shadow: bool = True
    is_crowd: bool = False
    depth: float = 0.0


@dataclass
class Stage:
    """The picture while it is being painted, and which object every pixel shows (0: the background)."""

    image: Image.Image
    owner: NDArray[np.uint8]
    cast: list[tuple[str, bool]] = field(default_factory=list)

    def enter(self, category: str, *, is_crowd: bool = False) -> int:
        """Announces an object; its number is what `owner` says where it is visible."""
        self.cast.append((category, is_crowd))
        return len(self.cast)

    def objects(self) -> tuple[SceneObject, ...]:
        """What is left to see of everything that was painted."""
        masks = ((name, self.owner == number, crowd) for number, (name, crowd) in enumerate(self.cast, start=1))
        return tuple(SceneObject(*entry) for entry in masks if np.count_nonzero(entry[1]) >= MIN_VISIBLE_PX)


def draw_scene(rng: np.random.Generator) -> Scene:
    """A random scene."""
    story = list(STORY_SHARES)[int(rng.choice(len(STORY_SHARES), p=list(STORY_SHARES.values())))]
    for _ in range(MAX_ATTEMPTS):
        size = SIZES[int(rng.choice(len(SIZES), p=SIZE_SHARES))]
        background = draw_background(rng, size)
        if rng.random() < 0.9:  # out of focus
            background = replace(
                background, image=background.image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.5, 3.5))))
            )
        stage = Stage(background.image, np.zeros((size[1], size[0]), dtype=np.uint8))
        cast = _cast(rng, story, background)
        for actor in sorted(cast, key=lambda a: a.stand.ground + a.depth):
            _perform(rng, stage, actor)
        objects = stage.objects()
        if _tells(story, objects, size[0] * size[1]):
            return Scene(grade(rng, stage.image), objects)
    raise AssertionError(f"{MAX_ATTEMPTS} scenes in a row did not tell {story}")


def _tells(story: Story, objects: tuple[SceneObject, ...], image_px: int) -> bool:
    people = [np.count_nonzero(o.mask) / image_px for o in objects if o.category == PERSON]
    match story:
        case Story.PEOPLE:
            return max(people, default=0.0) >= MIN_PERSON_FRACTION
        case Story.NO_PEOPLE:
            return not people
        case Story.SMALL_PEOPLE:
            return 0.0 < max(people, default=0.0) <= MAX_SMALL_PERSON_FRACTION


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return low * math.pow(high / low, float(rng.random()))


def _cast(rng: np.random.Generator, story: Story, background: Background) -> list[Actor]:
    width, height = background.image.size
    image_px = width * height
    mains = _main_slots(rng, width, image_px)
    extras = [
        Slot(float(rng.uniform(0.02, 0.98)) * width, image_px * log_uniform(rng, 0.003, 0.012))
        for _ in range(int(rng.integers(0, 3)))
    ]
    actors: list[Actor] = []
    for i, slot in enumerate(mains):
        if story is Story.PEOPLE and (i == 0 or rng.random() < 0.9):
            actors += _person(rng, slot, background)
        else:
            actors.append(_thing(rng, slot, background))
    actors += [_thing(rng, slot, background) for slot in extras]
    if rng.random() < 0.1:
        actors.append(_occluder(rng, actors[0], background))
    if rng.random() < 0.07:
        actors += _row(rng, background, of_people=story is Story.PEOPLE)
    if story is Story.SMALL_PEOPLE:
        for _ in range(int(rng.integers(1, 4))):
            slot = Slot(float(rng.uniform(0.05, 0.95)) * width, image_px * float(rng.uniform(0.0012, 0.0038)))
            actors += _person(rng, slot, background, seated=False)
    return actors


def _main_slots(rng: np.random.Generator, width: int, image_px: int) -> list[Slot]:
    count = 1 + int(rng.choice(3, p=(0.22, 0.4, 0.38)))
    if count == 1 and rng.random() < 0.1:
        return [Slot(float(rng.uniform(0.25, 0.75)) * width, image_px * float(rng.uniform(0.16, 0.4)), close_up=True)]
    smallest, largest = ((0.11, 0.2), (0.095, 0.15), (0.08, 0.12))[count - 1]
    if rng.random() < 0.03:
        smallest, largest = 0.022, 0.04
    order = rng.permutation(count).tolist()
    return [
        Slot(
            x=(column + float(rng.uniform(0.15, 0.85))) / count * width,
            area_px=image_px * log_uniform(rng, smallest, largest),
            lift=float(rng.uniform(0.05, 0.4)) if rng.random() < 0.15 else 0.0,
        )
        for column in order
    ]


def _stand(rng: np.random.Generator, slot: Slot, background: Background, tall: float) -> Stand:
    """Puts something `tall` pixels high on the ground: the larger, the nearer; very large things are cut."""
    height = background.image.size[1]
    depth = background.image.size[1] - background.horizon
    if tall > 0.86 * height:
        ground = height * float(rng.uniform(0.03, 0.2)) + tall
    else:
        near = min(1.0, tall / (0.75 * height))
        ground = background.horizon + depth * min(0.98, 0.08 + near * float(rng.uniform(0.55, 1.0)))
        ground = max(ground, tall * 1.04) + slot.lift * tall
    return Stand(slot.x, ground, tall, bool(rng.random() < 0.5))


def _person(rng: np.random.Generator, slot: Slot, background: Background, *, seated: bool | None = None) -> list[Actor]:
    pose = draw_pose(rng)
    while seated is False and pose.seated:
        pose = draw_pose(rng)
    # The frame cuts off the lower part of a close-up, so that the figure is larger than what shows of it.
    zoom = 1.6 if slot.close_up else 1.0
    tall = math.sqrt(zoom * slot.area_px / (FIGURE_WIDTH * FIGURE_COVER))
    stand = _stand(rng, slot, background, tall)

    def paint(brush: Brush, rng: np.random.Generator, against: float) -> None:
        paint_figure(brush, draw_look(rng, against), pose)

    figure = Actor(PERSON, stand, (0.62, 1.3), paint)
    if not pose.seated:
        return [figure]
    support = CHAIR if rng.random() < 0.6 else BENCH
    seat = Stand(stand.x, stand.ground, tall * 0.5, stand.mirror)
    return [_as_actor(support, seat, depth=-0.01), figure]


def _thing(rng: np.random.Generator, slot: Slot, background: Background) -> Actor:
    kind = _any_kind(rng, background.setting)
    tall = math.sqrt(slot.area_px * (1.5 if slot.close_up else 1.0) / (kind.width * kind.cover))
    stand = _stand(rng, slot, background, tall)
    if kind.floats:
        height = background.image.size[1]
        stand = Stand(stand.x, float(rng.uniform(0.2, 0.85)) * height + tall * 0.5, tall, stand.mirror)
    return _as_actor(kind, stand)


def _occluder(rng: np.random.Generator, behind: Actor, background: Background) -> Actor:
    """Something in front of the lower part of another object."""
    kind = _any_kind(rng, background.setting)
    tall = behind.stand.height * float(rng.uniform(0.22, 0.42)) / math.sqrt(kind.width)
    x = behind.stand.x + behind.stand.height * float(rng.uniform(-0.25, 0.25))
    ground = min(behind.stand.ground, background.image.size[1]) + 0.05 * tall
    return _as_actor(kind, Stand(x, ground, tall, bool(rng.random() < 0.5)), depth=behind.stand.height)


def _row(rng: np.random.Generator, background: Background, *, of_people: bool) -> list[Actor]:
    """A crowd far away, as one annotation; in images without people, as many small upright things."""
    width, height = background.image.size
    count, tall = int(rng.integers(7, 14)), height * float(rng.uniform(0.12, 0.24))
    left = float(rng.uniform(0.0, 0.5)) * width
    stands = [
        Stand(
            x=left + i * tall * float(rng.uniform(0.25, 0.36)),
            ground=background.horizon + tall * float(rng.uniform(0.4, 0.7)),
            height=tall * float(rng.uniform(0.85, 1.1)),
            mirror=bool(rng.random() < 0.5),
        )
        for i in range(count)
    ]
    if not of_people:
        kind = _any_kind(rng, background.setting, upright=True)
        return [_as_actor(kind, stand) for stand in stands]

    def paint(brush: Brush, rng: np.random.Generator, against: float) -> None:
        pose = draw_pose(rng)
        while pose.seated:
            pose = draw_pose(rng)
        paint_figure(brush, draw_look(rng, against), pose)

    return [Actor(PERSON, stand, (0.62, 1.3), paint, is_crowd=True) for stand in stands]


def _any_kind(rng: np.random.Generator, setting: Setting, *, upright: bool = False) -> ObjectKind:
    kinds = [k for k in KINDS if k.setting in (setting, Setting.ANYWHERE) and not (upright and k.width > 0.7)]
    # Upright things are drawn more often: they are what a person is confused with.
    weights = [1 for kind in kinds]
    return kinds[int(rng.choice(len(kinds), p=[w / sum(weights) for w in weights]))]


def _as_actor(kind: ObjectKind, stand: Stand, *, depth: float = 0.0) -> Actor:
    def paint(brush: Brush, rng: np.random.Generator, against: float) -> None:
        kind.paint(brush, rng, pick_colour(rng, against))

    reach = (kind.width / 2 + 0.06, 1.04)
    return Actor(kind.category, stand, reach, paint, throws_shadow=not kind.floats, depth=depth)


def _perform(rng: np.random.Generator, stage: Stage, actor: Actor) -> None:
    """Paints one object on the stage, at double size in its own layer, and takes over its pixels."""
    width, height = stage.image.size
    stand = actor.stand
    side, up = (reach * stand.height for reach in actor.reach)
    box = (
        max(0, math.floor(stand.x - side)),
        max(0, math.floor(stand.ground - up)),
        min(width, math.ceil(stand.x + side)),
        min(height, math.ceil(stand.ground + 0.04 * stand.height)),
    )
    if box[2] - box[0] < 2 or box[3] - box[1] < 2:
        return
    against = float(stage.image.crop(box).convert("L").resize((1, 1), Image.Resampling.BOX).tobytes()[0])
    size = (box[2] - box[0], box[3] - box[1])
    layer = Image.new("RGBA", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE))
    brush = Brush(
        ImageDraw.Draw(layer),
        left=(stand.x - box[0]) * SUPERSAMPLE,
        ground=(stand.ground - box[1]) * SUPERSAMPLE,
        scale=stand.height * SUPERSAMPLE,
        mirror=stand.mirror,
    )
    actor.paint(brush, rng, against)
    if actor.throws_shadow:
        _shadow(stage.image, stand)
    painted = layer.reduce(SUPERSAMPLE)
    alpha = painted.getchannel("A")
    stage.image.paste(_lit(rng, painted), box[:2], alpha)
    number = _number(stage, actor)
    stage.owner[box[1] : box[3], box[0] : box[2]][np.asarray(alpha) >= 128] = number


def _number(stage: Stage, actor: Actor) -> int:
    entry = (actor.category, actor.is_crowd)
    if actor.is_crowd and entry in stage.cast:
        return stage.cast.index(entry) + 1
    return stage.enter(actor.category, is_crowd=actor.is_crowd)


def _shadow(image: Image.Image, stand: Stand) -> None:
    reach, thick = 0.24 * stand.height, 0.045 * stand.height
    box = (stand.x - reach, stand.ground - thick, stand.x + reach, stand.ground + thick)
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(image.width, math.ceil(box[2])), min(image.height, math.ceil(box[3]))
    if right - left < 2 or bottom - top < 2:
        return
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).ellipse((box[0] - left, box[1] - top, box[2] - left, box[3] - top), fill=90)
    image.paste((18, 18, 24), (left, top, right, bottom), mask)


def _lit(rng: np.random.Generator, painted: Image.Image) -> Image.Image:
    """Light from one side, and a little texture."""
    pixels = np.asarray(painted.convert("RGB")).astype(np.uint16)
    ramp = np.linspace(246, 196, pixels.shape[1]).astype(np.uint16)
    if rng.random() < 0.5:
        ramp = ramp[::-1]
    texture = rng.integers(-10, 11, pixels.shape[:2], dtype=np.int16).astype(np.uint16)
    factor = (ramp[None, :] + texture)[:, :, None]
    # No factor exceeds 256, so that 16 bits suffice.
    return Image.fromarray((pixels * factor >> 8).astype(np.uint8))


def grade(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The camera: exposure, contrast, cast, saturation, vignette, blur, noise."""
    exposure, contrast = float(rng.uniform(0.85, 1.35)), float(rng.uniform(0.8, 1.2))
    table: list[int] = []
    for cast in rng.uniform(0.92, 1.08, 3).tolist():
        table += [max(0, min(255, round(((v - 122) * contrast + 122) * exposure * cast))) for v in range(256)]
    image = image.point(table)
    if rng.random() < 0.25:
        gray = image.convert("L").convert("RGB")
        image = Image.blend(image, gray, float(rng.uniform(0.4, 1.0)))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.0))))
    pixels = np.asarray(image).astype(np.int16)
    if rng.random() < 0.3:
        pixels = _vignette(pixels, int(rng.integers(40, 110)))
    strength = int(rng.choice([0, 2, 5, 9]))
    if strength:
        pixels = pixels + rng.integers(-strength, strength + 1, pixels.shape[:2], dtype=np.int16)[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _vignette(pixels: NDArray[np.int16], depth: int) -> NDArray[np.int16]:
    """Darkens towards the corners, by up to depth / 256."""
    height, width = pixels.shape[:2]
    rows = (np.arange(height, dtype=np.int32) * 2 - height) ** 2 * 128 // height**2
    columns = (np.arange(width, dtype=np.int32) * 2 - width) ** 2 * 128 // width**2
    keep = 256 - depth * (rows[:, None] + columns[None, :]) // 256
    darker: NDArray[np.int16] = (pixels.astype(np.int32) * keep[:, :, None] >> 8).astype(np.int16)
    return darker
