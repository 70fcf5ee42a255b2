"""Anchors as arrays; apart from `components.detection.anchors`, which a config is checked by without NumPy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.detection.anchors import AnchorMap


def anchors_yxhw(maps: Sequence[AnchorMap]) -> npt.NDArray[np.float32]:
    """All anchors in their order, float32 [anchors, 4]: centre y, centre x, height, width.

    A cell's anchors stand at its centre; they may reach beyond the image.
    """
    return np.concatenate([_of_map(each) for each in maps])


def _of_map(each: AnchorMap) -> npt.NDArray[np.float32]:
    y, x = np.meshgrid(
        (np.arange(each.rows) + 0.5) / each.rows, (np.arange(each.columns) + 0.5) / each.columns, indexing="ij"
    )
    centres = np.stack([y, x], -1)[:, :, np.newaxis]
    shapes = np.asarray(each.shapes_hw)
    cells = (each.rows, each.columns, len(shapes), 2)
    return (
        np.concatenate([np.broadcast_to(centres, cells), np.broadcast_to(shapes, cells)], -1)
        .reshape(-1, 4)
        .astype(np.float32)
    )


def to_yxyx(boxes_yxhw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Boxes [..., 4] by their edges: ymin, xmin, ymax, xmax."""
    centre, half = boxes_yxhw[..., :2], boxes_yxhw[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], -1)
