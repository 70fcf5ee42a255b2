"""Anchors for a user's own boxes: scales, aspect ratios and feature layers, as the config can state them.

Shapes come from k-means with 1 - IoU as the distance (Redmon and Farhadi, arXiv 1612.08242): of the boxes for as many
scales as there are feature maps, and of the boxes brought to one size for the aspect ratios. What they are worth is
measured where they would stand, on the feature maps' grids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.detection.anchor_fit import best_ious
from components.detection.feature_maps import anchor_maps, feature_map_sides, finer_layers
from components.detection.options import DetectorNetwork
from components.errors import ConfigError

Floats = npt.NDArray[np.float64]

_SEED = 1
_MAX_ROUNDS = 100
_MAX_BOXES = 10_000  # that shapes are sought on; more change the second decimal
# Of all boxes, matched by it beside the others, for which a feature map of half the stride is proposed: it has four
# times the cells, and the first blocks' activations stay in the arena for longer.
_WORTH_A_LAYER = 0.05


@dataclass(frozen=True)
class Proposal:
    """Anchors that fit better.

    Attributes:
      network: with them.
      settings: what it changes, as `--set` takes it.
    """

    network: DetectorNetwork
    settings: tuple[str, ...]


def propose_anchors(
    boxes_yxyx: Floats, backbone: str, side: int, network: DetectorNetwork, match_iou: float
) -> Proposal | None:
    """Seeks anchors for some boxes; the same boxes give the same anchors.

    Args:
      boxes_yxyx: [n, 4] in 0...1.
      backbone: as in `feature_maps.anchor_maps`.
      side: likewise.
      network: likewise.
      match_iou: from which on an anchor is matched to a box.

    Returns:
      None where no others have a larger mean best IoU than the network's own and match as many boxes.
    """
    chosen = _sample(boxes_yxyx)

    def rate(candidate: DetectorNetwork) -> tuple[float, float]:
        ious = best_ious(chosen, anchor_maps(backbone, side, candidate))
        return float(np.mean(ious)), float(np.mean(ious >= match_iou))

    best, (best_mean, best_matched) = network, rate(network)
    for layers in (network.feature_layers, *finer_layers(backbone, network)):
        of_layers = network.model_copy(update={"feature_layers": layers})
        least_matched = best_matched if layers == network.feature_layers else best_matched + _WORTH_A_LAYER
        for candidate in _candidates(chosen, backbone, side, of_layers):
            mean, matched = rate(candidate)
            if mean > best_mean and matched >= least_matched:
                best, best_mean, best_matched = candidate, mean, matched
    return None if best is network else Proposal(best, _settings(network, best))


def cluster_shapes(shapes_hw: Floats, count: int) -> Floats:
    """The centres of so many clusters of shapes, by 1 - IoU.

    Args:
      shapes_hw: [n, 2], at least one.
      count: of clusters.

    Returns:
      [count, 2], the smallest first; some are equal where there are fewer different shapes.
    """
    random = np.random.default_rng(_SEED)
    centres = shapes_hw[[random.integers(len(shapes_hw))]]
    while len(centres) < count:  # k-means++
        distances = (1 - _shape_ious(shapes_hw, centres)).min(axis=1) ** 2
        total = distances.sum()
        next_one = random.choice(len(shapes_hw), p=distances / total if total > 0 else None)
        centres = np.concatenate([centres, shapes_hw[[next_one]]])
    members = np.full(len(shapes_hw), -1)
    for _ in range(_MAX_ROUNDS):
        nearest = _shape_ious(shapes_hw, centres).argmax(axis=1)
        if np.array_equal(nearest, members):
            break
        members = nearest
        for place in np.unique(members):
            centres[place] = np.median(shapes_hw[members == place], axis=0)
    return np.asarray(centres[np.argsort(centres.prod(axis=1), kind="stable")])


def _shape_ious(some: Floats, others: Floats) -> Floats:
    """Of shapes [n, 2] with others [m, 2] about one centre: [n, m]."""
    intersections = np.minimum(some[:, np.newaxis], others).prod(axis=-1)
    return np.asarray(intersections / (some.prod(axis=1)[:, np.newaxis] + others.prod(axis=1) - intersections))


def _sample(boxes_yxyx: Floats) -> Floats:
    if len(boxes_yxyx) <= _MAX_BOXES:
        return boxes_yxyx
    places = np.random.default_rng(_SEED).choice(len(boxes_yxyx), _MAX_BOXES, replace=False)
    return np.asarray(boxes_yxyx[np.sort(places)])


def _candidates(boxes_yxyx: Floats, backbone: str, side: int, network: DetectorNetwork) -> Iterator[DetectorNetwork]:
    """Networks with the same feature layers and other anchors.

    Small objects leave the last maps, of a few cells, with nothing to do; so scales are sought for the first one, two
    and so on, and the others have them evenly up to `max_scale`.
    """
    shapes = boxes_yxyx[:, 2:] - boxes_yxyx[:, :2]
    sizes = np.sqrt(shapes.prod(axis=1, keepdims=True))
    ratios = cluster_shapes(shapes / sizes, len(network.anchors.aspect_ratios))
    own_ratios = network.anchors.aspect_ratios
    fitted = tuple(sorted({float(f"{width / height:.2g}") for height, width in ratios}))
    maps = len(feature_map_sides(backbone, side, network))
    for count in range(1, maps + 1):
        scales = _even_scales(cluster_shapes(shapes, count), maps, network.anchors.max_scale)
        for aspect_ratios in (own_ratios, fitted):
            for reduces_lowest in {network.anchors.reduces_lowest, False}:
                changes = {"scales": scales, "aspect_ratios": aspect_ratios, "reduces_lowest": reduces_lowest}
                candidate = network.model_copy(update={"anchors": network.anchors.model_copy(update=changes)})
                if _can_be_held(candidate, backbone, side):
                    yield candidate


def _can_be_held(network: DetectorNetwork, backbone: str, side: int) -> bool:
    """Whether a run would take it: boxes of extreme shape ask for anchors that no decoder holds."""
    try:
        anchor_maps(backbone, side, network)
    except ConfigError:
        return False
    return True


def _even_scales(centres: Floats, maps: int, max_scale: float) -> tuple[float, ...]:
    sought = np.sqrt(centres.prod(axis=1))
    top = max(float(sought[-1]), max_scale)
    rest = np.linspace(sought[-1], top, maps - len(sought) + 1)[1:]
    return tuple(min(max(round(float(scale), 3), 0.001), 1.0) for scale in (*sought, *rest))


def _settings(before: DetectorNetwork, after: DetectorNetwork) -> tuple[str, ...]:
    def listed(values: Sequence[object]) -> str:
        return f"[{', '.join(map(str, values))}]"

    settings = []
    if after.feature_layers is not None and after.feature_layers != before.feature_layers:
        settings.append(f"trainer.detector.feature_layers={listed(after.feature_layers)}")
    if after.anchors.scales is not None:
        settings.append(f"trainer.detector.anchors.scales={listed(after.anchors.scales)}")
    if after.anchors.aspect_ratios != before.anchors.aspect_ratios:
        settings.append(f"trainer.detector.anchors.aspect_ratios={listed(after.anchors.aspect_ratios)}")
    if after.anchors.reduces_lowest != before.anchors.reduces_lowest:
        settings.append(f"trainer.detector.anchors.reduces_lowest={str(after.anchors.reduces_lowest).lower()}")
    return tuple(settings)
