"""Detections from int8 outputs by integers alone: in Python what `<name>_detect.c` of a C bundle does, bit for bit.

Of the same codes, an edge is less than 1/1,000 of the image's side from that of `components.detection.coding`, unless
its box is too large for `fixed_point.MAX_FACTOR`, and a score as near as Q15 allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from components.detection.anchors import AnchorMap
from components.detection.detections import Detections
from components.detection.fixed_point import (
    CODES,
    FACTOR_SHIFT,
    STEP_SHIFT,
    UNIT,
    FixedMap,
    FixedOutput,
    Quantized,
    fix_outputs,
    to_q15,
)
from components.detection.options import DecoderOptions
from components.detection.selection import Mask, select

Codes = npt.NDArray[np.int8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FixedDetections:
    """What was found in one image, the best logit first; of equal ones, the lower label and then the lower anchor.

    Attributes:
      boxes_yxyx: int64 [n, 4] in Q15, within the image.
      scores: int64 [n] in Q15.
      labels: int64 [n], from 1 on.
    """

    boxes_yxyx: Integers
    scores: Integers
    labels: Integers

    def to_float(self) -> Detections:
        """The same, exactly."""
        return Detections(
            (self.boxes_yxyx / UNIT).astype(np.float32), (self.scores / UNIT).astype(np.float32), self.labels
        )


@dataclass(frozen=True)
class FixedDecoder:
    """The decoder of one model.

    Attributes:
      outputs: constants of its output tensors.
      options: which anchors become detections.
    """

    outputs: tuple[FixedOutput, ...]
    options: DecoderOptions
    _anchors: Integers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        anchors = [_lay(each) for output in self.outputs for each in output.maps]
        object.__setattr__(self, "_anchors", np.concatenate(anchors))

    @classmethod
    def of(
        cls,
        maps: Sequence[AnchorMap],
        options: DecoderOptions,
        boxes: Sequence[Quantized],
        scores: Sequence[Quantized],
    ) -> "FixedDecoder":
        """The decoder of a model with these anchors and output tensors; see `fix_outputs`.

        Raises:
          ModelError: if they do not belong together.
        """
        return cls(fix_outputs(maps, boxes, scores), options)

    def decode_all(self, box_codes: Sequence[Codes], score_codes: Sequence[Codes]) -> list[Detections]:
        """What was found in each image.

        Args:
          box_codes: int8 [n, anchors, 4] of each output.
          score_codes: int8 [n, anchors, labels] of each output.
        """
        images = zip(zip(*box_codes, strict=True), zip(*score_codes, strict=True), strict=True)
        return [self.decode(boxes, scores) for boxes, scores in images]

    def decode(self, box_codes: Sequence[Codes], score_codes: Sequence[Codes]) -> Detections:
        """What was found in one image.

        Args:
          box_codes: int8 [anchors, 4] of each output.
          score_codes: int8 [anchors, labels] of each output.
        """
        return self.decode_to_integers(box_codes, score_codes).to_float()

    def decode_to_integers(self, box_codes: Sequence[Codes], score_codes: Sequence[Codes]) -> FixedDetections:
        """`decode`, as the generated C gives it."""
        boxes = self._decode_boxes(box_codes)
        logits, scores = self._decode_scores(score_codes)
        max_iou = to_q15(self.options.max_iou)
        anchors, columns = select(
            logits,
            scores >= to_q15(self.options.min_score),
            lambda best: _overlap(boxes[best], max_iou),
            self.options,
        )
        return FixedDetections(boxes[anchors], scores[anchors, columns].astype(np.int64), columns.astype(np.int64) + 1)

    def _decode_boxes(self, codes: Sequence[Codes]) -> Integers:
        centres, steps, half_sizes = np.split(self._anchors, 3, axis=1)
        pairs = list(zip(self.outputs, codes, strict=True))
        distances = np.concatenate([each[:, :2].astype(np.int64) - output.box_zero_point for output, each in pairs])
        factors = np.concatenate([_look_up(output.factors, each[:, 2:]) for output, each in pairs]).astype(np.int64)
        moved = centres + _round_shift(distances * steps)
        half = (half_sizes * factors + (1 << (FACTOR_SHIFT - 1))) >> FACTOR_SHIFT
        boxes: Integers = np.concatenate([moved - half, moved + half], 1)
        return boxes.clip(0, UNIT)

    def _decode_scores(self, codes: Sequence[Codes]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
        """Logits in 2^-16 and scores in Q15, of shape [anchors, labels]."""
        pairs = list(zip(self.outputs, codes, strict=True))
        logits = [(each.astype(np.int32) - output.logit_zero_point) * output.logit_step for output, each in pairs]
        scores = [_look_up(output.scores, each) for output, each in pairs]
        return np.concatenate(logits), np.concatenate(scores)


def _lay(each: FixedMap) -> Integers:
    """Of every anchor: centre y and x in Q15, steps y and x, half height and half width."""
    y, x = np.meshgrid(_centres(each.rows), _centres(each.columns), indexing="ij")
    centres = np.stack([y, x], -1).reshape(-1, 1, 2)
    shapes = np.array([[s.step_y, s.step_x, s.half_height, s.half_width] for s in each.shapes], np.int64)
    cells, count = len(centres), len(shapes)
    anchors = [np.broadcast_to(centres, (cells, count, 2)), np.broadcast_to(shapes, (cells, count, 4))]
    return np.concatenate(anchors, -1).reshape(-1, 6)


def _centres(cells: int) -> Integers:
    """Of each cell along one side, in Q15, rounded half up."""
    return ((2 * np.arange(cells) + 1) * (UNIT // 2) + cells // 2) // cells


def _round_shift(steps: Integers) -> Integers:
    """From 2^-23 to Q15; halves go away from 0."""
    rounded: Integers = np.sign(steps) * ((np.abs(steps) + (1 << (STEP_SHIFT - 1))) >> STEP_SHIFT)
    return rounded


def _look_up(table: Sequence[int], codes: Codes) -> npt.NDArray[np.uint16]:
    return np.array(table, np.uint16)[codes.astype(np.intp) - CODES.start]


def _overlap(boxes: Integers, max_iou: int) -> Mask:
    """Of boxes in Q15 [n, 4], whether the intersection of two is more than `max_iou`, in Q15, of their union."""
    low = np.maximum(boxes[:, np.newaxis, :2], boxes[:, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], boxes[:, 2:])
    intersections = _area(np.maximum(high - low, 0))
    areas = _area(boxes[:, 2:] - boxes[:, :2])
    unions = areas[:, np.newaxis] + areas - intersections
    return intersections * UNIT > unions * max_iou


def _area(sizes: Integers) -> Integers:
    """Of heights and widths, int64 [..., 2] to [...]."""
    return sizes[..., 0] * sizes[..., 1]
