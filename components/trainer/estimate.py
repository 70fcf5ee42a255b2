"""Estimates the footprints of other widths and sizes from the one that was measured, to say what would fit.

From one width and size of a backbone to another, only three things change, and all follow from the layers' shapes:

    flatbuffer      a byte a weight; 8 an output channel of a convolution: its bias, and the scale of its weights
    arena, head     the largest sum of tensors that are alive at once
    arena, tail     8 bytes an output channel: multiplier and shift

The rest, operators, names and structures, is taken over from the measured one. docs/budget.md says how far off that is:
bytes of alignment for MobileNet v1, little for v2, which has a sum more at some widths and tensors that leave gaps, and
the structures of the feature maps that a detector of a smaller side has fewer of.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from components.detection.anchors import AnchorMap
from components.detection.feature_maps import anchor_maps, feature_layers
from components.detection.options import DetectorNetwork
from components.errors import ConfigError
from components.gate_options import DeviceBudget
from components.trainer.budget import Budget, Estimate
from components.trainer.job import Architecture
from components.trainer.models import mobilenet_v1 as v1
from components.trainer.models import mobilenet_v2 as v2
from components.trainer.options import ALPHAS, Backbone

# The published sides, and below them what is left for smaller devices.
SIDES = (224, 192, 160, 128, 96, 80, 64, 48, 32)
_BYTES_PER_CHANNEL = 8
_TAIL_BYTES_PER_CHANNEL = 8
_ALIGNMENT = 16  # of every tensor in the arena


@dataclass(frozen=True)
class _Convolution:
    """One convolution or fully connected layer; `alive` are the bytes of the tensors that exist while it runs."""

    weights: int
    output_channels: int
    macs: int
    alive: int


@dataclass(frozen=True)
class _Block:
    """A block of a backbone, named as in `components.detection.feature_maps`, and the shape of what it gives."""

    name: str
    layers: tuple[_Convolution, ...]
    side: int
    width: int


def _aligned(side: int, channels: int) -> int:
    return math.ceil(side * side * channels / _ALIGNMENT) * _ALIGNMENT


def _convolution(
    side: int, channels: int, filters: int, *, kernel: int, stride: int = 1, depthwise: bool = False, kept: int = 0
) -> tuple[int, _Convolution]:
    """The output's side, and the layer from [side, side, channels]; `kept` bytes wait for a later layer."""
    after = math.ceil(side / stride)
    weights = kernel * kernel * filters * (1 if depthwise else channels)
    alive = _aligned(side, channels) + _aligned(after, filters) + kept
    return after, _Convolution(weights, filters, after * after * weights, alive)


def _mobilenet_v1(shape: Architecture) -> Iterator[_Block]:
    width = v1.scale_filters(v1.FIRST_FILTERS, shape.alpha)
    side, layer = _convolution(shape.side, shape.channels, width, kernel=3, stride=2)
    yield _Block("conv1", (layer,), side, width)
    for number, (wide, stride) in enumerate(v1.BLOCKS, start=1):
        side, depthwise = _convolution(side, width, width, kernel=3, stride=stride, depthwise=True)
        filters = v1.scale_filters(wide, shape.alpha)
        pointwise = _convolution(side, width, filters, kernel=1)[1]
        width = filters
        yield _Block(f"block_{number}", (depthwise, pointwise), side, width)


def _mobilenet_v2(shape: Architecture) -> Iterator[_Block]:
    width = v2.scale_filters(v2.FIRST_FILTERS, shape.alpha)
    side, layer = _convolution(shape.side, shape.channels, width, kernel=3, stride=2)
    yield _Block("Conv1", (layer,), side, width)
    for number, (wide, stride) in enumerate(v2.BLOCKS):
        name = f"block_{number}" if number else "expanded_conv"
        filters = v2.scale_filters(int(wide * shape.alpha), 1.0)
        expanded = v2.EXPANSION * width if number else width
        kept = _aligned(side, width) if number and stride == 1 and filters == width else 0
        if number:
            yield _Block(f"{name}_expand", (_convolution(side, width, expanded, kernel=1)[1],), side, expanded)
        side, depthwise = _convolution(side, expanded, expanded, kernel=3, stride=stride, depthwise=True, kept=kept)
        projection = _convolution(side, expanded, filters, kernel=1, kept=kept)[1]
        width = filters
        yield _Block(name, (depthwise, projection), side, width)
    last = v2.scale_filters(v2.LAST_FILTERS, max(shape.alpha, 1.0))
    yield _Block("Conv_1", (_convolution(side, width, last, kernel=1)[1],), side, last)


_BACKBONES: dict[Backbone, Callable[[Architecture], Iterator[_Block]]] = {
    "mobilenet_v1": _mobilenet_v1,
    "mobilenet_v2": _mobilenet_v2,
}
_SCALES: dict[Backbone, Callable[[int, float], int]] = {
    "mobilenet_v1": v1.scale_filters,
    "mobilenet_v2": v2.scale_filters,
}


def _layers(shape: Architecture) -> list[_Convolution]:
    """The convolutions of a classifier or detector."""
    blocks = list(_BACKBONES[shape.backbone](shape))
    if shape.detector is None:
        head = _convolution(1, blocks[-1].width, shape.label_count, kernel=1)[1]
        return [*(layer for block in blocks for layer in block.layers), head]
    names = feature_layers(shape.backbone, shape.detector)
    blocks = blocks[: [block.name for block in blocks].index(names[-1]) + 1]
    widths = [block.width for block in blocks if block.name in names]
    layers = [layer for block in blocks for layer in block.layers]
    maps = anchor_maps(shape.backbone, shape.side, shape.detector)
    for number, before in enumerate(maps[len(names) - 1 : -1]):
        width = widths[-1]
        if shape.detector.pyramid == "ssd":
            width, extra = _extra(shape, shape.detector, before.rows, width, number)
            layers += extra
        widths.append(width)
    return layers + _heads(shape, shape.detector, maps, widths)


def _extra(
    shape: Architecture, network: DetectorNetwork, side: int, channels: int, number: int
) -> tuple[int, list[_Convolution]]:
    """The width of a further feature map, and the convolutions from the one before it."""
    filters, widen = network.extra_filters[number], _SCALES[shape.backbone]
    narrow, width = widen(filters // 2, shape.alpha), widen(filters, shape.alpha)
    reduce = _convolution(side, channels, narrow, kernel=1)[1]
    if not network.separable_extras:
        return width, [reduce, _convolution(side, narrow, width, kernel=3, stride=2)[1]]
    after, depthwise = _convolution(side, narrow, narrow, kernel=3, stride=2, depthwise=True)
    return width, [reduce, depthwise, _convolution(after, narrow, width, kernel=1)[1]]


def _heads(
    shape: Architecture, network: DetectorNetwork, maps: Sequence[AnchorMap], widths: Sequence[int]
) -> list[_Convolution]:
    """The convolutions from feature maps to boxes and scores; kernels that are shared are counted once."""
    layers: list[_Convolution] = []
    common = max(widths, key=list(widths).count)
    for number, (each, width) in enumerate(zip(maps, widths, strict=True)):
        channels = width
        shared: list[_Convolution] = []
        if network.shares_heads and width != common:
            layers.append(_convolution(each.rows, width, common, kernel=1)[1])
            channels = common
        if network.head_filters is not None:
            filters = _SCALES[shape.backbone](network.head_filters, shape.alpha)
            shared.append(_convolution(each.rows, channels, filters, kernel=network.head_kernel)[1])
            channels = filters
        for values in (4, shape.label_count - 1):
            filters = values * len(each.shapes_hw)
            shared.append(_convolution(each.rows, channels, filters, kernel=network.head_kernel)[1])
        is_counted = network.shares_heads and number > 0
        layers += [replace(layer, weights=0) for layer in shared] if is_counted else shared
    return layers


def estimate(budget: Budget, alpha: float, side: int) -> Estimate:
    """The footprint of another width and size of the backbone that was measured."""
    assert budget.arena is not None
    measured = _layers(budget.architecture)
    layers = _layers(budget.architecture.model_copy(update={"alpha": alpha, "side": side}))
    weights = sum(layer.weights for layer in layers) - sum(layer.weights for layer in measured)
    channels = sum(layer.output_channels for layer in layers) - sum(layer.output_channels for layer in measured)
    head = max(layer.alive for layer in layers) - max(layer.alive for layer in measured)
    return Estimate(
        alpha=alpha,
        side=side,
        flatbuffer_bytes=budget.report.flatbuffer_bytes + weights + _BYTES_PER_CHANNEL * channels,
        arena_bytes=budget.arena.total_bytes + head + _TAIL_BYTES_PER_CHANNEL * channels,
        macs=sum(layer.macs for layer in layers),
    )


def find_alternatives(budget: Budget, limits: DeviceBudget) -> tuple[Estimate, ...]:
    """What should fit: the largest smaller side, and the largest smaller width; where neither does, the best of both.

    Returns:
      At most two, the one with more MACs first; none where nothing should fit.
    """
    now = budget.architecture
    alphas = [alpha for alpha in sorted(ALPHAS[now.backbone], reverse=True) if alpha < now.alpha]
    sides = [side for side in _sides(now) if side < now.side]
    narrower = (estimate(budget, alpha, now.side) for alpha in alphas)
    smaller = (estimate(budget, now.alpha, side) for side in sides)
    found = [next(filter(lambda e: _fits(e, limits), each), None) for each in (smaller, narrower)]
    either = [e for e in found if e is not None]
    both = (estimate(budget, alpha, side) for alpha in alphas for side in sides) if not either else ()
    best = sorted((e for e in (*either, *both) if _fits(e, limits)), key=lambda e: e.macs, reverse=True)
    return tuple(best[: 2 if either else 1])


def find_smallest(budget: Budget) -> Estimate:
    """The narrowest and smallest of the backbone."""
    now = budget.architecture
    return estimate(budget, min(ALPHAS[now.backbone]), min([now.side, *_sides(now)]))


def _sides(now: Architecture) -> list[int]:
    """The largest first; of a detector those alone that its feature maps and stated scales can be built for."""
    return [side for side in SIDES if now.detector is None or _has_maps(now.backbone, side, now.detector)]


def _has_maps(backbone: str, side: int, network: DetectorNetwork) -> bool:
    try:
        anchor_maps(backbone, side, network)
    except ConfigError:
        return False
    return True


def _fits(found: Estimate, limits: DeviceBudget) -> bool:
    return all(
        limit is None or value <= limit
        for value, limit in (
            (found.flatbuffer_bytes, limits.max_flatbuffer_bytes),
            (found.arena_bytes, limits.max_arena_bytes),
            (found.macs, limits.max_macs),
        )
    )
