"""Anchors: which boxes a detector's outputs are relative to, from the options and the feature maps' sides.

Boxes are `yxhw` here: centre and size in shares of the image's sides. Order of the anchors, as of the model's outputs
and the generated C: feature map by feature map, row by row, column by column, shape by shape.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.detection.options import AnchorOptions

# By which distances and sizes relative to an anchor are divided, y, x, h, w: see `components.detection.coding`.
VARIANCES = (0.1, 0.1, 0.2, 0.2)  # the inverses of the published scales 10, 10, 5, 5
# (scale, aspect ratio) of the first of the three shapes that a reduced lowest map has.
_REDUCED_SCALE = 0.1


@dataclass(frozen=True)
class AnchorMap:
    """The anchors of one feature map.

    Attributes:
      rows, columns: of its cells.
      shapes_hw: height and width of each anchor of a cell, in shares of the image's sides.
    """

    rows: int
    columns: int
    shapes_hw: tuple[tuple[float, float], ...]

    @property
    def count(self) -> int:
        """How many anchors there are."""
        return self.rows * self.columns * len(self.shapes_hw)


def lay_anchors(options: AnchorOptions, sides: Sequence[int]) -> tuple[AnchorMap, ...]:
    """The anchors of square feature maps.

    Args:
      options: which.
      sides: of the feature maps, in cells, the largest first.

    Raises:
      ValueError: if there is not one of the stated scales for every map.
    """
    scales = _scales(options, len(sides))
    return tuple(
        AnchorMap(side, side, _shapes(options, scales, number, is_lowest=number == 0))
        for number, side in enumerate(sides)
    )


def _scales(options: AnchorOptions, maps: int) -> tuple[float, ...]:
    """One for each map, and the 1 that follows."""
    if options.scales is not None:
        if len(options.scales) != maps:
            raise ValueError(f"scales: expected one for each of {maps} feature maps, received {len(options.scales)}")
        return (*options.scales, 1.0)
    step = (options.max_scale - options.min_scale) / max(maps - 1, 1)
    return (*(options.min_scale + step * number for number in range(maps)), 1.0)


def _shapes(
    options: AnchorOptions, scales: Sequence[float], number: int, *, is_lowest: bool
) -> tuple[tuple[float, float], ...]:
    scale = scales[number]
    if is_lowest and options.reduces_lowest:
        pairs = [(_REDUCED_SCALE, 1.0), (scale, 2.0), (scale, 0.5)]
    else:
        pairs = [(scale, ratio) for ratio in options.aspect_ratios]
        if options.has_interpolated_scale:
            pairs.append((math.sqrt(scale * scales[number + 1]), 1.0))
    return tuple((s / math.sqrt(ratio), s * math.sqrt(ratio)) for s, ratio in pairs)
