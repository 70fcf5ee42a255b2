"""What a detector's training batch says of its images."""

from typing import Any, NamedTuple


class BoxTargets(NamedTuple):
    """The labelled objects of a batch, padded; rows without a label stand for nothing.

    Attributes:
      boxes_yxyx: float32 [n, boxes, 4] in 0...1.
      labels: int32 [n, boxes], 1...labels-1, or 0.
      crowds: bool [n, boxes], whether it is neither an object nor background.
    """

    boxes_yxyx: Any
    labels: Any
    crowds: Any
