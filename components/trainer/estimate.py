"""Estimates the footprints of other widths and sizes from the one that was measured, to say what would fit.

From one width and size of a backbone to another, only three things change, and all follow from the layers' shapes:

    flatbuffer      a byte a weight; 8 an output channel of a convolution: its bias, and the scale of its weights
    arena, head     the largest sum of tensors that are alive at once
    arena, tail     8 bytes an output channel: multiplier and shift

The rest, operators, names and structures, is taken over from the measured one. docs/budget.md says how far off that is:
bytes of alignment for MobileNet v1, little for v2, which has a sum more at some widths and tensors that leave gaps.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


def _mobilenet_v1(shape: Architecture) -> Iterator[_Convolution]:
    width = v1.scale_filters(v1.FIRST_FILTERS, shape.alpha)
    side, layer = _convolution(shape.side, shape.channels, width, kernel=3, stride=2)
    yield layer
    for wide, stride in v1.BLOCKS:
        side, layer = _convolution(side, width, width, kernel=3, stride=stride, depthwise=True)
        yield layer
        filters = v1.scale_filters(wide, shape.alpha)
        yield _convolution(side, width, filters, kernel=1)[1]
        width = filters
    yield _convolution(1, width, shape.label_count, kernel=1)[1]


def _mobilenet_v2(shape: Architecture) -> Iterator[_Convolution]:
    width = v2.scale_filters(v2.FIRST_FILTERS, shape.alpha)
    side, layer = _convolution(shape.side, shape.channels, width, kernel=3, stride=2)
    yield layer
    for block, (wide, stride) in enumerate(v2.BLOCKS):
        filters = v2.scale_filters(int(wide * shape.alpha), 1.0)
        expanded = v2.EXPANSION * width if block else width
        kept = _aligned(side, width) if block and stride == 1 and filters == width else 0
        if block:
            yield _convolution(side, width, expanded, kernel=1)[1]
        side, layer = _convolution(side, expanded, expanded, kernel=3, stride=stride, depthwise=True, kept=kept)
        yield layer
        yield _convolution(side, expanded, filters, kernel=1, kept=kept)[1]
        width = filters
    last = v2.scale_filters(v2.LAST_FILTERS, max(shape.alpha, 1.0))
    yield _convolution(side, width, last, kernel=1)[1]
    yield _convolution(1, last, shape.label_count, kernel=1)[1]


_LAYERS: dict[Backbone, Callable[[Architecture], Iterator[_Convolution]]] = {
    "mobilenet_v1": _mobilenet_v1,
    "mobilenet_v2": _mobilenet_v2,
}


def estimate(budget: Budget, alpha: float, side: int) -> Estimate:
    """The footprint of another width and size of the backbone that was measured."""
    assert budget.arena is not None
    measured = list(_LAYERS[budget.architecture.backbone](budget.architecture))
    other = budget.architecture.model_copy(update={"alpha": alpha, "side": side})
    layers = list(_LAYERS[other.backbone](other))
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
    sides = [side for side in SIDES if side < now.side]
    narrower = (estimate(budget, alpha, now.side) for alpha in alphas)
    smaller = (estimate(budget, now.alpha, side) for side in sides)
    found = [next(filter(lambda e: _fits(e, limits), each), None) for each in (smaller, narrower)]
    either = [e for e in found if e is not None]
    both = (estimate(budget, alpha, side) for alpha in alphas for side in sides) if not either else ()
    best = sorted((e for e in (*either, *both) if _fits(e, limits)), key=lambda e: e.macs, reverse=True)
    return tuple(best[: 2 if either else 1])


def find_smallest(budget: Budget) -> Estimate:
    """The narrowest and smallest of the backbone."""
    return estimate(budget, min(ALPHAS[budget.architecture.backbone]), SIDES[-1])


def _fits(found: Estimate, limits: DeviceBudget) -> bool:
    return all(
        limit is None or value <= limit
        for value, limit in (
            (found.flatbuffer_bytes, limits.max_flatbuffer_bytes),
            (found.arena_bytes, limits.max_arena_bytes),
            (found.macs, limits.max_macs),
        )
    )
