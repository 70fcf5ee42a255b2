"""How well anchors fit boxes, before anything is trained.

Of the anchors of one shape on one feature map, the one whose centre is nearest to a box's has the largest IoU with it,
since the intersection is a product of two overlaps that only shrink with distance. So one anchor of each shape is
looked at for each box, and not all of them: 860,000 boxes of COCO take seconds.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.detection.anchors import AnchorMap

Floats = npt.NDArray[np.float64]


def best_ious(boxes_yxyx: Floats, maps: Sequence[AnchorMap]) -> Floats:
    """The IoU of each box with the anchor that fits it best.

    Args:
      boxes_yxyx: [n, 4] in 0...1.
      maps: the anchors, which may reach beyond the image.

    Returns:
      float64 [n] in 0...1.
    """
    centres = (boxes_yxyx[:, :2] + boxes_yxyx[:, 2:]) / 2
    sizes = boxes_yxyx[:, 2:] - boxes_yxyx[:, :2]
    areas = sizes[:, 0] * sizes[:, 1]
    best = np.zeros(len(boxes_yxyx))
    for each in maps:
        distances = np.abs(centres - _nearest_centres(centres, each))
        for shape in map(np.array, each.shapes_hw):
            # Of two intervals: half of both lengths less the distance, and no more than the shorter one.
            overlaps = np.clip((sizes + shape) / 2 - distances, 0, np.minimum(sizes, shape))
            intersections = overlaps[:, 0] * overlaps[:, 1]
            np.maximum(best, intersections / (areas + shape.prod() - intersections), out=best)
    return best


def _nearest_centres(points: Floats, each: AnchorMap) -> Floats:
    """[n, 2], y and x of the cell that each point lies in."""
    cells = np.array([each.rows, each.columns])
    return np.asarray((np.minimum(np.floor(points * cells), cells - 1) + 0.5) / cells)
