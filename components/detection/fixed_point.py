"""What the fixed-point decoder computes with: constants and tables of the int8 outputs of one model.

Coordinates, sizes and scores are in units of 2^-15 ("Q15"): of the image's side, and of the probability 1. Everything
fits 32 bits, but for the product that an overlap is compared with:

- An anchor's centre follows from its cell, its size from the shape. A shape takes 12 bytes, where a table of anchors
  would take 8 for each of them.
- For each code a centre moves by `step`, in 2^-23, and by one side of the image at most.
- A size is multiplied by the entry of a table of exp, in 2^-11, and by a little less than 32 at most.
- Anchors are ranked by their logits in 2^-16, as outputs of different scales can be ranked together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from components.detection.anchors import VARIANCES, AnchorMap
from components.errors import ConfigError, ModelError

UNIT = 1 << 15
STEP_SHIFT = 8  # from 2^-23 to Q15
FACTOR_SHIFT = 11
LOGIT_SHIFT = 16
MAX_STEP = 1 << 23  # times the 255 codes between two, below 2^31; of centres and of logits
MAX_FACTOR = (1 << 16) - 1
MAX_HALF_SIZE = (1 << 16) - 1  # times MAX_FACTOR, below 2^32
MAX_ANCHORS = (1 << 16) - 1
CODES = range(-128, 128)


class Quantized(Protocol):
    """What has to be known of an output tensor, as `components.quantization.contracts.TensorContract` states it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions, the batch first."""

    @property
    def dtype(self) -> str:
        """NumPy's name of its type."""

    @property
    def scale(self) -> float | None:
        """The real value of one code."""

    @property
    def zero_point(self) -> int | None:
        """The code of the real value 0."""


@dataclass(frozen=True)
class FixedShape:
    """One of the anchors of each cell.

    Attributes:
      step_y, step_x: how far a code moves the centre, in 2^-23.
      half_height, half_width: in Q15.
    """

    step_y: int
    step_x: int
    half_height: int
    half_width: int


@dataclass(frozen=True)
class FixedMap:
    """The anchors of one feature map.

    Attributes:
      rows, columns: of its cells.
      shapes: of each cell's anchors.
    """

    rows: int
    columns: int
    shapes: tuple[FixedShape, ...]

    @property
    def count(self) -> int:
        """How many anchors there are."""
        return self.rows * self.columns * len(self.shapes)


@dataclass(frozen=True)
class FixedOutput:
    """A pair of output tensors: encoded boxes int8 [1, anchors, 4] and logits int8 [1, anchors, labels].

    Attributes:
      maps: whose anchors they tell of.
      box_zero_point: of the encoded boxes.
      factors: for each code, from -128 on, what it multiplies an anchor's height or width by, in 2^-11.
      logit_zero_point: of the logits.
      logit_step: what one code adds to a logit, in 2^-16.
      scores: for each code, from -128 on, the probability, in Q15.
    """

    maps: tuple[FixedMap, ...]
    box_zero_point: int
    factors: tuple[int, ...]
    logit_zero_point: int
    logit_step: int
    scores: tuple[int, ...]

    @property
    def anchors(self) -> int:
        """How many there are."""
        return sum(each.count for each in self.maps)


def fix_outputs(
    maps: Sequence[AnchorMap], boxes: Sequence[Quantized], scores: Sequence[Quantized]
) -> tuple[FixedOutput, ...]:
    """The constants of a model's outputs.

    Args:
      maps: its anchors.
      boxes: the encoded boxes, int8 [1, anchors, 4]: one for all maps or one for each.
      scores: the logits, int8 [1, anchors, labels without the background], likewise.

    Raises:
      ModelError: if they are not the outputs of a detector with these anchors.
      ConfigError: as `check_anchors`.
    """
    parts = [tuple(maps)] if len(boxes) == 1 else [(each,) for each in maps]
    counts = [sum(each.count for each in part) for part in parts]
    labels = scores[0].shape[-1] if scores and scores[0].shape else 0
    expected = [[(1, count, width) for count in counts] for width in (4, labels)]
    received = [[each.shape for each in outputs] for outputs in (boxes, scores)]
    if received != expected or labels < 1:
        raise ModelError(
            f"the model's outputs are not those of its {sum(counts)} anchors: received boxes {received[0]},"
            f" scores {received[1]}",
            expected=f"one pair for all feature maps, or one for each, of {', '.join(str(n) for n in counts)} anchors",
        )
    check_anchors(maps)
    return tuple(map(_fix_output, parts, boxes, scores))


def to_q15(share: float) -> int:
    """A share or a probability in Q15, rounded."""
    return _round(share * UNIT)


def check_anchors(maps: Sequence[AnchorMap]) -> None:
    """Refuses anchors that a detector could be trained with, but not run on a microcontroller.

    Raises:
      ConfigError: if there are too many, or one is too large or too small.
    """
    sizes = [size for each in maps for hw in each.shapes_hw for size in hw]
    count, smallest, largest = sum(each.count for each in maps), min(sizes), max(sizes)
    if count > MAX_ANCHORS or to_q15(smallest / 2) < 1 or to_q15(largest / 2) > MAX_HALF_SIZE:
        raise ConfigError(
            f"trainer.detector.anchors: the fixed-point decoder cannot hold these: received {count:,}, of"
            f" {smallest:g} to {largest:g} sides of the image",
            expected=f"at most {MAX_ANCHORS:,}, each of {1 / UNIT:.1g} to 4 sides",
            hint="leave out extreme aspect ratios and scales, or the first of trainer.detector.feature_layers",
        )


def _fix_output(maps: Sequence[AnchorMap], boxes: Quantized, scores: Quantized) -> FixedOutput:
    box_scale, box_zero_point = _quantization(boxes)
    logit_scale, logit_zero_point = _quantization(scores)
    return FixedOutput(
        maps=tuple(_fix_map(each, box_scale) for each in maps),
        box_zero_point=box_zero_point,
        factors=tuple(_factor(VARIANCES[2] * box_scale * (code - box_zero_point)) for code in CODES),
        logit_zero_point=logit_zero_point,
        logit_step=_step(logit_scale * (1 << LOGIT_SHIFT)),
        scores=tuple(to_q15(_sigmoid(logit_scale * (code - logit_zero_point))) for code in CODES),
    )


def _quantization(tensor: Quantized) -> tuple[float, int]:
    if tensor.dtype != "int8" or tensor.scale is None or tensor.zero_point is None:
        raise ModelError(
            f"an output of the model is not quantized: received {tensor!r}", expected="int8 with scale and zero point"
        )
    return tensor.scale, tensor.zero_point


def _fix_map(each: AnchorMap, scale: float) -> FixedMap:
    unit = VARIANCES[0] * scale * (UNIT << STEP_SHIFT)
    return FixedMap(
        each.rows,
        each.columns,
        tuple(FixedShape(_step(h * unit), _step(w * unit), to_q15(h / 2), to_q15(w / 2)) for h, w in each.shapes_hw),
    )


def _step(value: float) -> int:
    return min(_round(value), MAX_STEP)


def _factor(logarithm: float) -> int:
    # exp itself is capped, so that it cannot overflow.
    return min(_round(math.exp(min(logarithm, 10.0)) * (1 << FACTOR_SHIFT)), MAX_FACTOR)


def _sigmoid(logit: float) -> float:
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)


def _round(value: float) -> int:
    return math.floor(value + 0.5)
