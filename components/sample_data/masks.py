"""From a mask of visible pixels to what COCO writes about it: area, box, polygons or run lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Corner = tuple[int, int]

# A polygon has no holes, so a mask with a larger one is cut in two through it; a smaller one is filled.
MAX_FILLED_HOLE_PX = 12
# A polygon of fewer square pixels is a speck beside a larger part of the same object.
MIN_PART_PX = 3
SIMPLIFY_TOLERANCE_PX = 0.6


def box_xywh_px(mask: Mask) -> list[float]:
    """The tight box of a mask that has at least one pixel, as COCO's `bbox`: x, y, width, height."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    left, right, top, bottom = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return [float(left), float(top), float(right - left), float(bottom - top)]


def run_lengths(mask: Mask) -> dict[str, Any]:
    """COCO's uncompressed RLE: column-major run lengths that begin with the number of zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    counts: list[int] = np.diff(edges).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": [int(mask.shape[0]), int(mask.shape[1])]}


def polygons(mask: Mask) -> list[list[float]]:
    """Outlines of a mask that has at least one pixel, as COCO's `segmentation`: one flat x, y, x, y … list per part.

    The outlines run along pixel edges (the pixel at column 3 spans x from 3 to 4) and are then
    simplified by at most `SIMPLIFY_TOLERANCE_PX`.
    """
    left, top, width, height = (int(edge) for edge in box_xywh_px(mask))
    parts = [simplify(loop) for loop in _solid_outlines(mask[top : top + height, left : left + width], 0)]
    return [[float(v) for x, y in part for v in (x + left, y + top)] for part in parts if len(part) >= 3]


def simplify(loop: Sequence[Corner], tolerance_px: float = SIMPLIFY_TOLERANCE_PX) -> list[Corner]:
    """Douglas and Peucker's line simplification of a closed loop."""
    points = np.asarray(loop, dtype=np.int64)
    far = int(((points - points[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate((points, points[:1]))
    kept = {0, far}
    pending = [(0, far), (far, len(points))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        along_x, along_y = (int(v) for v in closed[last] - closed[first])
        inner = closed[first + 1 : last] - closed[first]
        # Integers throughout, so that the outline is the same on every machine.
        crossed = np.abs(inner[:, 0] * along_y - inner[:, 1] * along_x)
        worst = int(crossed.argmax())
        if int(crossed[worst]) ** 2 > tolerance_px**2 * (along_x**2 + along_y**2):
            middle = first + 1 + worst
            kept.add(middle)
            pending += [(first, middle), (middle, last)]
    return [loop[i] for i in sorted(kept)]


def outlines(mask: Mask) -> list[list[Corner]]:
    """Closed loops of pixel corners along the mask's edge, mask on the right-hand side in image axes.

    Loops around the mask and loops around its holes have areas of opposite sign
    (`signed_area_px`: positive and negative); their sum is the mask's pixel count.
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), dtype=np.int8)
    padded[1:-1, 1:-1] = mask
    across = padded[1:, 1:-1] - padded[:-1, 1:-1]  # horizontal edges, at [y, x]
    down = padded[1:-1, 1:] - padded[1:-1, :-1]  # vertical edges, at [y, x]
    steps: dict[Corner, list[Corner]] = {}
    for grid, value, start, end in (
        (across, 1, (0, 0), (1, 0)),
        (across, -1, (1, 0), (0, 0)),
        (down, 1, (0, 1), (0, 0)),
        (down, -1, (0, 0), (0, 1)),
    ):
        rows, columns = np.nonzero(grid == value)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            steps.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    return _link(steps)


def signed_area_px(loop: Sequence[Corner]) -> float:
    """Shoelace area in square pixels: positive for a loop around the mask, negative around a hole."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(loop, [*loop[1:], loop[0]], strict=True)) / 2


def _link(steps: dict[Corner, list[Corner]]) -> list[list[Corner]]:
    loops = []
    while steps:
        start = next(iter(steps))
        loop, corner, heading = [start], start, (0, 0)
        while True:
            choices = steps[corner]
            # Where two pixels meet at a corner only, turning right keeps them apart.
            right = (corner[0] - heading[1], corner[1] + heading[0])
            following = right if len(choices) > 1 and right in choices else choices[0]
            choices.remove(following)
            if not choices:
                del steps[corner]
            heading, corner = (following[0] - corner[0], following[1] - corner[1]), following
            if corner == start:
                break
            loop.append(corner)
        loops.append(loop)
    return loops


def _solid_outlines(mask: Mask, left: int) -> list[list[Corner]]:
    loops = outlines(mask)
    areas = [signed_area_px(loop) for loop in loops]
    smallest = int(np.argmin(areas)) if areas else 0
    if areas and areas[smallest] < -MAX_FILLED_HOLE_PX:
        xs = [x for x, _ in loops[smallest]]
        cut = (min(xs) + max(xs)) // 2
        return _solid_outlines(mask[:, :cut], left) + _solid_outlines(mask[:, cut:], left + cut)
    solid = [loop for loop, area in zip(loops, areas, strict=True) if area >= MIN_PART_PX]
    return [[(x + left, y) for x, y in loop] for loop in solid]
