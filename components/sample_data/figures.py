"""The people-like figures of the sample set: a skeleton, a look, and how the one is drawn in the other.

A figure is one unit high when it stands upright (`sample_brush` has the space). Its pose is a set of
joint angles in degrees: 0 hangs straight down, positive swings towards +x, 180 points up.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.sample_data.brush import BLACK, LIGHT, Brush, Colour, Point, mix, pick_colour, shade

SKINS: tuple[Colour, ...] = (
    (246, 214, 190),
    (232, 190, 158),
    (214, 164, 126),
    (188, 134, 96),
    (150, 102, 70),
    (112, 74, 52),
    (78, 52, 40),
)
HAIRS: tuple[Colour, ...] = (
    (28, 22, 22),
    (58, 38, 28),
    (96, 62, 38),
    (150, 104, 58),
    (206, 170, 104),
    (170, 84, 44),
    (176, 174, 172),
)
NECK = 0.035
TORSO_SHARE = 0.38  # of what is left below the neck; the legs are the rest


class View(enum.Enum):
    """Which side of a figure is seen."""

    FRONT = enum.auto()
    SIDE = enum.auto()
    BACK = enum.auto()


class HairStyle(enum.Enum):
    """What is on top."""

    SHORT = enum.auto()
    LONG = enum.auto()
    BUN = enum.auto()
    CURLY = enum.auto()
    BALD = enum.auto()
    CAP = enum.auto()
    BEANIE = enum.auto()


class Bottoms(enum.Enum):
    """What is worn below the waist."""

    TROUSERS = enum.auto()
    SHORTS = enum.auto()
    SKIRT = enum.auto()


class Pattern(enum.Enum):
    """What is on the shirt."""

    PLAIN = enum.auto()
    STRIPES = enum.auto()
    JACKET = enum.auto()
    DOTS = enum.auto()


@dataclass(frozen=True)
class Pose:
    """Joint angles: (upper, lower) for each limb, the far one first (in front view: the one at -x).

    Attributes:
      view: which side is seen.
      arms: upper arm and forearm.
      legs: thigh and shin.
      lean: of the torso, from upright.
      thigh_length: 1, or less where the thighs point at the viewer.
      seated: whether something has to be under it.
    """

    view: View
    arms: tuple[Point, Point]
    legs: tuple[Point, Point]
    lean: float = 0.0
    thigh_length: float = 1.0
    seated: bool = False


@dataclass(frozen=True)
class Look:
    """Body and clothes. `head` is the head's height, `build` scales every width."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trim: Colour
    trousers: Colour
    shoes: Colour
    hair_style: HairStyle
    bottoms: Bottoms
    pattern: Pattern
    long_sleeves: bool
    head: float
    build: float


@dataclass(frozen=True)
class _Body:
    """The joints of one figure, in its own space."""

    pelvis: Point
    chest: Point
    head: Point
    legs: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]
    arms: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]


def draw_pose(rng: np.random.Generator) -> Pose:
    """A random pose: standing, arms raised, walking, running or sitting, from any side."""
    sway = [float(rng.uniform(-1, 1)) for _ in range(6)]
    facing = View.BACK if rng.random() < 0.06 else View.FRONT
    chosen = float(rng.random())
    for share, pose in _POSE_SHARES:
        if chosen < share:
            return pose(sway, facing)
        chosen -= share
    return _sitting_ahead(sway, facing)


def _standing(sway: list[float], facing: View, left: Point | None = None, right: Point | None = None) -> Pose:
    arms = (
        (-14 + 8 * sway[2], -6 + 8 * sway[3]) if left is None else left,
        (14 + 8 * sway[4], 6 + 8 * sway[5]) if right is None else right,
    )
    return Pose(facing, arms, ((-5 + 4 * sway[0], -2.0), (5 + 4 * sway[1], 2.0)))


def _hand_on_hip(sway: list[float], facing: View) -> Pose:
    return _standing(sway, facing, left=(-42 + 6 * sway[2], 38.0), right=(14 + 8 * sway[4], 8.0))


def _waving(sway: list[float], facing: View) -> Pose:
    return _standing(sway, facing, left=(-14 + 8 * sway[2], -4.0), right=(105 + 25 * sway[3], 160 + 15 * sway[4]))


def _arms_raised(sway: list[float], facing: View) -> Pose:
    return _standing(sway, facing, left=(-130 + 25 * sway[2], -165.0), right=(130 + 25 * sway[3], 165.0))


def _walking(sway: list[float], _facing: View) -> Pose:
    stride = 20 + 7 * sway[0]
    return Pose(
        View.SIDE,
        ((stride, stride + 18), (-stride, -stride + 16)),
        ((-stride, -stride - 12), (stride, stride - 6)),
        lean=3.0,
    )


def _running(sway: list[float], _facing: View) -> Pose:
    return Pose(
        View.SIDE,
        ((45 + 8 * sway[0], 125.0), (-50 + 8 * sway[1], 35.0)),
        ((-28 + 6 * sway[2], -80.0), (48 + 8 * sway[3], -2.0)),
        lean=12.0,
    )


def _sitting_sideways(sway: list[float], _facing: View) -> Pose:
    return Pose(
        View.SIDE,
        ((28 + 10 * sway[0], 70.0), (22 + 10 * sway[1], 62 + 10 * sway[2])),
        ((84.0, 6 + 8 * sway[3]), (86.0, -4 + 8 * sway[4])),
        lean=-4.0,
        seated=True,
    )


def _sitting_ahead(sway: list[float], _facing: View) -> Pose:
    return Pose(
        View.FRONT,
        ((-16.0, 14 + 8 * sway[0]), (16.0, -14 + 8 * sway[1])),
        ((-24.0, -3.0), (24.0, 3.0)),
        thigh_length=0.4,
        seated=True,
    )


# The rest sits and looks ahead.
_POSE_SHARES: tuple[tuple[float, Callable[[list[float], View], Pose]], ...] = (
    (0.44, _standing),
    (0.18, _hand_on_hip),
    (0.13, _waving),
    (0.12, _arms_raised),
    (0.05, _walking),
    (0.03, _running),
    (0.02, _sitting_sideways),
)


def draw_look(rng: np.random.Generator, against: float) -> Look:
    """A random look whose clothes stand out from a background of brightness `against`."""
    child = rng.random() < 0.2
    shirt = pick_colour(rng, against)
    return Look(
        skin=SKINS[int(rng.integers(len(SKINS)))],
        hair=HAIRS[int(rng.integers(len(HAIRS)))],
        shirt=shirt,
        trim=LIGHT if sum(shirt) < 380 else shade(shirt, 0.55),
        trousers=pick_colour(rng, against, contrast=45.0),
        shoes=(BLACK, LIGHT, (110, 70, 46))[int(rng.integers(3))],
        hair_style=list(HairStyle)[int(rng.integers(len(HairStyle)))],
        bottoms=(Bottoms.TROUSERS, Bottoms.TROUSERS, Bottoms.SHORTS, Bottoms.SKIRT)[int(rng.integers(4))],
        pattern=list(Pattern)[int(rng.choice(len(Pattern), p=(0.3, 0.38, 0.1, 0.22)))],
        long_sleeves=bool(rng.random() < 0.55),
        head=float(rng.uniform(0.23, 0.26) if child else rng.uniform(0.19, 0.22)),
        build=float(rng.uniform(1.1, 1.4)),
    )


def paint_figure(brush: Brush, look: Look, pose: Pose) -> None:
    """Draws the figure from back to front."""
    body = _joints(look, pose)
    _paint_back_hair(brush, look, pose, body)
    far, near = 0.85 if pose.view is View.SIDE else 1.0, 1.0
    _paint_arm(brush, look, body.arms[0], far)
    _paint_leg(brush, look, body.legs[0], far)
    _paint_leg(brush, look, body.legs[1], near)
    _paint_torso(brush, look, pose, body)
    _paint_head(brush, look, pose, body)
    _paint_arm(brush, look, body.arms[1], near)


def _swing(start: Point, length: float, degrees: float) -> Point:
    angle = math.radians(degrees)
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)


def _joints(look: Look, pose: Pose) -> _Body:
    below_neck = 1.0 - look.head - NECK
    torso, leg = below_neck * TORSO_SHARE, below_neck * (1 - TORSO_SHARE)
    hip, shoulder = ((0.045, 0.105), (0.012, 0.02))[pose.view is View.SIDE]
    hip, shoulder = hip * look.build, shoulder * look.build

    legs = []
    for side, (thigh, shin) in zip((-1, 1), pose.legs, strict=True):
        top = (side * hip, 0.0)
        knee = _swing(top, leg * 0.5 * pose.thigh_length, thigh)
        legs.append((top, knee, _swing(knee, leg * 0.46, shin)))
    lift = leg * 0.04 - min(ankle[1] for _, _, ankle in legs)
    pelvis = (0.0, lift)
    chest = _swing(pelvis, torso, 180 - pose.lean)
    head = _swing(chest, NECK + look.head * 0.5, 180 - pose.lean * 0.5)

    arms = []
    for side, (upper, fore) in zip((-1, 1), pose.arms, strict=True):
        top = (chest[0] + side * shoulder, chest[1] - 0.035)
        elbow = _swing(top, torso * 0.56, upper)
        arms.append((top, elbow, _swing(elbow, torso * 0.5, fore)))

    lifted = [tuple((x, y + lift) for x, y in joints) for joints in legs]
    return _Body(pelvis, chest, head, (lifted[0], lifted[1]), (arms[0], arms[1]))  # type: ignore[arg-type]


def _paint_arm(brush: Brush, look: Look, joints: tuple[Point, Point, Point], tone: float) -> None:
    shoulder, elbow, wrist = joints
    cloth = shade(look.shirt, 0.88 * tone)
    lower = cloth if look.long_sleeves else shade(look.skin, tone)
    width = look.build
    brush.limb(elbow, 0.026 * width, wrist, 0.02 * width, lower)
    brush.limb(shoulder, 0.036 * width, elbow, 0.029 * width, cloth)
    brush.dot(*wrist, 0.026 * width, shade(look.skin, tone))


def _paint_leg(brush: Brush, look: Look, joints: tuple[Point, Point, Point], tone: float) -> None:
    hip, knee, ankle = joints
    cloth, skin = shade(look.trousers, tone), shade(look.skin, tone)
    upper = skin if look.bottoms is Bottoms.SKIRT else cloth
    lower = cloth if look.bottoms is Bottoms.TROUSERS else skin
    width = look.build
    brush.limb(knee, 0.036 * width, ankle, 0.025 * width, lower)
    brush.limb(hip, 0.055 * width, knee, 0.04 * width, upper)
    brush.oval(ankle[0] + 0.018, ankle[1] - 0.004, 0.042 * width, 0.021, shade(look.shoes, tone))


def _paint_torso(brush: Brush, look: Look, pose: Pose, body: _Body) -> None:
    top, waist, hem = ((0.112, 0.082, 0.09), (0.07, 0.068, 0.078))[pose.view is View.SIDE]
    top, waist, hem = top * look.build, waist * look.build, hem * look.build
    (low_x, low_y), (high_x, high_y) = body.pelvis, body.chest
    middle = (low_x + (high_x - low_x) * 0.4, low_y + (high_y - low_y) * 0.4)

    if look.bottoms is Bottoms.SKIRT:
        knees = [knee for _, knee, _ in body.legs]
        left, right = min(x for x, _ in knees) - 0.07, max(x for x, _ in knees) + 0.07
        bottom = min(y for _, y in knees) + 0.02
        brush.polygon([(low_x - hem, low_y + 0.03), (low_x + hem, low_y + 0.03), (right, bottom), (left, bottom)],
                      look.trousers)  # fmt: skip
    else:
        brush.limb((low_x - hem * 0.4, low_y), 0.055 * look.build, (low_x + hem * 0.4, low_y), 0.055 * look.build,
                   look.trousers)  # fmt: skip

    brush.limb((high_x, high_y - 0.01), 0.034, (high_x, high_y + NECK), 0.032, shade(look.skin, 0.88))
    left_edge = [(low_x - hem, low_y - 0.01), (middle[0] - waist, middle[1]), (high_x - top, high_y - 0.05)]
    right_edge = [(low_x + hem, low_y - 0.01), (middle[0] + waist, middle[1]), (high_x + top, high_y - 0.05)]
    collar = [(high_x - top * 0.75, high_y - 0.012), (high_x - 0.035, high_y + 0.012)]
    collar += [(high_x + 0.035, high_y + 0.012), (high_x + top * 0.75, high_y - 0.012)]
    brush.polygon([*left_edge, *collar, *reversed(right_edge)], look.shirt)
    _paint_pattern(brush, look, pose, (left_edge, right_edge))


def _paint_pattern(brush: Brush, look: Look, pose: Pose, edges: tuple[list[Point], list[Point]]) -> None:
    left, right = edges

    def across(height: float, share: float) -> Point:
        """The point at `height` of the torso (0 hem, 1 shoulders), `share` of the way from left to right."""
        piece, along = (0, height / 0.4) if height < 0.4 else (1, (height - 0.4) / 0.6)
        ends = [
            (
                e[piece][0] + (e[piece + 1][0] - e[piece][0]) * along,
                e[piece][1] + (e[piece + 1][1] - e[piece][1]) * along,
            )
            for e in (left, right)
        ]
        return ends[0][0] + (ends[1][0] - ends[0][0]) * share, ends[0][1] + (ends[1][1] - ends[0][1]) * share

    if look.pattern is Pattern.STRIPES and brush.shows(0.03):
        for height in (0.1, 0.28, 0.46, 0.64, 0.82):
            brush.polygon(
                [across(height, 0), across(height, 1), across(height + 0.08, 1), across(height + 0.08, 0)], look.trim
            )
    elif look.pattern is Pattern.DOTS and brush.shows(0.03):
        for height in (0.15, 0.4, 0.65, 0.9):
            for share in (0.2, 0.5, 0.8):
                brush.dot(*across(height, share), 0.011, look.trim)
    elif look.pattern is Pattern.JACKET and pose.view is View.FRONT:
        brush.polygon([across(0, 0.4), across(0, 0.6), across(1, 0.62), across(1, 0.38)], look.trim)


def _paint_back_hair(brush: Brush, look: Look, pose: Pose, body: _Body) -> None:
    if look.hair_style is not HairStyle.LONG:
        return
    (x, y), size = body.head, look.head
    back = x - (size * 0.14 if pose.view is View.SIDE else 0)
    half = size * (0.34 if pose.view is View.SIDE else 0.5)
    brush.box(back - half, y - size * 0.85, back + half, y + size * 0.35, shade(look.hair, 0.85), size * 0.25)


def _paint_head(brush: Brush, look: Look, pose: Pose, body: _Body) -> None:
    (x, y), size = body.head, look.head
    half_x, half_y = size * 0.41, size * 0.5
    if pose.view is View.SIDE:
        brush.polygon([(x + half_x * 0.85, y + size * 0.1), (x + half_x * 1.25, y - size * 0.06),
                       (x + half_x * 0.8, y - size * 0.12)], look.skin)  # fmt: skip
    else:
        for side in (-1, 1):
            brush.oval(x + side * half_x, y - size * 0.02, size * 0.07, size * 0.1, shade(look.skin, 0.9))
    brush.oval(x, y, half_x, half_y, look.skin)
    if pose.view is not View.BACK and brush.shows(size * 0.12):
        _paint_face(brush, look, pose, (x, y))
    _paint_hair(brush, look, pose, (x, y))


def _paint_face(brush: Brush, look: Look, pose: Pose, centre: Point) -> None:
    (x, y), size = centre, look.head
    dark = shade(look.skin, 0.6)
    eyes = (0.24,) if pose.view is View.SIDE else (-0.17, 0.17)
    for eye in eyes:
        brush.oval(x + eye * size, y + 0.03 * size, 0.09 * size, 0.07 * size, LIGHT)
        brush.dot(x + (eye + 0.01) * size, y + 0.03 * size, 0.052 * size, BLACK)
        brush.stroke([(x + (eye - 0.08) * size, y + 0.15 * size), (x + (eye + 0.08) * size, y + 0.15 * size)],
                     0.03 * size, look.hair)  # fmt: skip
    mouth = 0.24 if pose.view is View.SIDE else 0.0
    brush.stroke([(x + (mouth - 0.09) * size, y - 0.25 * size), (x + mouth * size, y - 0.28 * size),
                  (x + (mouth + 0.09) * size, y - 0.25 * size)], 0.035 * size,
                 mix(dark, (170, 50, 60), 0.5))  # fmt: skip
    if pose.view is View.FRONT:
        brush.stroke([(x, y + 0.02 * size), (x + 0.04 * size, y - 0.12 * size), (x - 0.02 * size, y - 0.13 * size)],
                     0.025 * size, dark)  # fmt: skip


def _paint_hair(brush: Brush, look: Look, pose: Pose, centre: Point) -> None:
    (x, y), size, hair = centre, look.head, look.hair
    half_x, half_y = size * 0.45, size * 0.54
    style = look.hair_style
    if style is HairStyle.BALD:
        return
    if style in (HairStyle.CAP, HairStyle.BEANIE):
        brush.sector((x, y + size * 0.08), (half_x, half_y * 0.92), (0, 180), look.trim)
        if style is HairStyle.CAP and pose.view is not View.BACK:
            reach = (0.35, 0.98) if pose.view is View.SIDE else (-0.5, 0.5)
            brush.box(x + reach[0] * size, y + size * 0.06, x + reach[1] * size, y + size * 0.15,
                      shade(look.trim, 0.7), size * 0.04)  # fmt: skip
        elif style is HairStyle.BEANIE:
            brush.box(x - half_x, y + size * 0.04, x + half_x, y + size * 0.17, shade(look.trim, 0.8), size * 0.05)
        return
    if style is HairStyle.CURLY:
        for angle in range(0, 181, 30):
            turn = math.radians(angle)
            brush.dot(
                x + half_x * 0.9 * math.cos(turn), y + size * 0.1 + half_y * 0.8 * math.sin(turn), size * 0.2, hair
            )
    if style is HairStyle.BUN:
        brush.dot(x - (size * 0.3 if pose.view is View.SIDE else 0), y + size * 0.58, size * 0.19, hair)
    if pose.view is View.BACK:
        brush.oval(x, y + size * 0.04, half_x, half_y * 0.96, hair)
    elif pose.view is View.SIDE:
        brush.sector((x - size * 0.04, y + size * 0.04), (half_x, half_y), (25, 245), hair)
    else:
        brush.sector((x, y + size * 0.05), (half_x, half_y), (12, 168), hair)
