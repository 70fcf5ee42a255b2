"""The feature maps of a detector: which they are, how many cells they have, and the anchors that stand in them.

Every convolution pads as SAME does, so that a stride of 2 halves a side and rounds up: of 300 pixels, the published
maps have 19, 10, 5, 3, 2 and 1 cells a side.
"""

import math

from components.backbones import MOBILENET_V1_BLOCKS, MOBILENET_V2_BLOCKS
from components.detection.anchors import AnchorMap, lay_anchors
from components.detection.fixed_point import check_anchors
from components.detection.options import DetectorNetwork
from components.errors import ConfigError

_KEY = "trainer.detector"
# Fewer, and a map says nothing about where something is. It makes 33 pixels the least side of the published layers, as
# in tensorflow/models, research/object_detection/models/ssd_mobilenet_v1_feature_extractor.py.
MIN_CELLS = 2
_MIN_STRIDE = 8  # below, a map has four times as many anchors again, and more than a microcontroller decodes in time


def _v1_strides() -> dict[str, int]:
    strides = {"conv1": 2}
    total = 2
    for number, (_, stride) in enumerate(MOBILENET_V1_BLOCKS, start=1):
        total *= stride
        strides[f"block_{number}"] = total
    return strides


def _v2_strides() -> dict[str, int]:
    strides = {"Conv1": 2}
    total = 2
    for number, (_, stride) in enumerate(MOBILENET_V2_BLOCKS):
        if number:
            strides[f"block_{number}_expand"] = total
        total *= stride
        strides[f"block_{number}" if number else "expanded_conv"] = total
    return strides | {"Conv_1": total}


# Pixels of the input between two cells of a block's output, from the image upwards.
_STRIDES = {"mobilenet_v1": _v1_strides(), "mobilenet_v2": _v2_strides()}
_PUBLISHED = {"mobilenet_v1": ("block_11", "block_13"), "mobilenet_v2": ("block_13_expand", "Conv_1")}


def feature_layers(backbone: str, network: DetectorNetwork) -> tuple[str, ...]:
    """The blocks of the backbone whose outputs are feature maps, checked.

    Args:
      backbone: `mobilenet_v1` or `mobilenet_v2`.
      network: whose `feature_layers`, or where they are None the published ones, are meant; of `ppn` the first alone.

    Raises:
      ConfigError: if a layer is unknown, they do not stand in the backbone's order, or `ppn` has more than one.
    """
    if network.feature_layers is None:
        return _PUBLISHED[backbone][: 1 if network.pyramid == "ppn" else None]
    known = tuple(_STRIDES[backbone])
    key, layers = f"{_KEY}.feature_layers", network.feature_layers
    if unknown := [layer for layer in layers if layer not in known]:
        raise ConfigError(
            f"{key}: {backbone} has no block {unknown[0]!r}",
            expected=", ".join(known),
            hint=f"leave it out for the published ones, {' and '.join(_PUBLISHED[backbone])}",
        )
    places = [known.index(layer) for layer in layers]
    if places != sorted(set(places)):
        raise ConfigError(
            f"{key}: received {', '.join(layers)}",
            expected="each layer once",
            hint=f"write them as {backbone} has them from the image upwards",
        )
    if network.pyramid == "ppn" and len(layers) > 1:
        raise ConfigError(
            f"{key}: received {', '.join(layers)}; pyramid=ppn pools every map out of one",
            expected=f"one layer, such as {_PUBLISHED[backbone][0]}",
            hint=f"leave it out for {_PUBLISHED[backbone][0]}",
        )
    return layers


def finer_layers(backbone: str, network: DetectorNetwork) -> tuple[tuple[str, ...], ...]:
    """Feature layers with more cells than a network's own, down to 8 pixels between two cells.

    Each choice has one block more, in front, of half the stride; or, of `ppn`, that block in the place of the one.

    Raises:
      ConfigError: as `feature_layers`.
    """
    strides = _STRIDES[backbone]
    layers = feature_layers(backbone, network)
    found = []
    while (stride := strides[layers[0]] // 2) >= _MIN_STRIDE:
        deepest = [layer for layer, own in strides.items() if own == stride][-1]
        layers = (deepest,) if network.pyramid == "ppn" else (deepest, *layers)
        found.append(layers)
    return tuple(found)


def feature_map_sides(backbone: str, side: int, network: DetectorNetwork) -> tuple[int, ...]:
    """How many cells a side the feature maps have, the largest first.

    Args:
      backbone: as in `feature_layers`.
      side: of the input, in pixels.
      network: see `DetectorNetwork`: after the feature layers, `ssd` builds as many maps as `extra_filters` states, and
        `ppn` pools, each of half the side of the one before, until one has a single cell.

    Raises:
      ConfigError: as `feature_layers`, or if the side is too small for them.
    """
    strides = _STRIDES[backbone]
    layers = feature_layers(backbone, network)
    sides = [math.ceil(side / strides[layer]) for layer in layers]
    if sides[-1] < MIN_CELLS:
        raise ConfigError(
            f"transform.side: {side} is too small for the feature maps: {layers[-1]} of {backbone} would have"
            f" {sides[-1]} cell a side",
            expected=f"at least {strides[layers[-1]] * (MIN_CELLS - 1) + 1} pixels, for {MIN_CELLS} cells",
            hint=f"pass --set transform.side=96, or name lower blocks in {_KEY}.feature_layers",
        )
    while sides[-1] > 1 and (network.pyramid == "ppn" or len(sides) < len(layers) + len(network.extra_filters)):
        sides.append(math.ceil(sides[-1] / 2))
    return tuple(sides)


def anchor_maps(backbone: str, side: int, network: DetectorNetwork) -> tuple[AnchorMap, ...]:
    """The anchors of every feature map, in the order of the model's outputs.

    Args: as in `feature_map_sides`.

    Raises:
      ConfigError: as `feature_map_sides`, if there is not one scale for each map, or as `fixed_point.check_anchors`.
    """
    sides = feature_map_sides(backbone, side, network)
    scales = network.anchors.scales
    if scales is not None and len(scales) != len(sides):
        raise ConfigError(
            f"{_KEY}.anchors.scales: received {len(scales)} for {len(sides)} feature maps",
            expected=f"one for each, of {', '.join(map(str, sides))} cells a side at transform.side={side}",
            hint=f"or leave it out, and state {_KEY}.anchors.min_scale and max_scale",
        )
    maps = lay_anchors(network.anchors, sides)
    check_anchors(maps)
    return maps
