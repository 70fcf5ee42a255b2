"""Boxes that a detector learns from: judged one by one as the annotations file has them, and as one table of all."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from components.example_gen.coco_entries import finite, shown
from components.example_gen.image_records import PACKED, BoxXywhPx, ImageRecord
from components.example_gen.options import BoxOptions
from components.example_gen.quarantine import BadRecord, QuarantineReason

# A share of the image's side. Thinner, and a box would have no extent left as float32; COCO's own are 1e-3 and more.
MIN_EXTENT = 1e-6
# Pixels: rounding to COCO's hundredths, and counting from 1 as VOC does, put boxes that are meant to end at the edge
# just beyond it.
EDGE_TOLERANCE_PX = 1.0


def judge_box(values: object, image: ImageRecord, options: BoxOptions) -> tuple[BoxXywhPx, bool]:
    """A `bbox` within its image, and whether more than the edge's tolerance was clipped off.

    Args:
      values: as the annotations file has it.
      image: with its size.
      options: what becomes of a box that reaches beyond the image.

    Raises:
      BadRecord: it is not four numbers, not finite, without extent, or reaches further out than the options allow.
    """
    width, height = _size_of(image)
    detail = f"bbox={shown(values)} in image {image.id} of {width}x{height}"
    if not isinstance(values, list) or len(values) != 4 or any(type(value) not in {int, float} for value in values):
        raise BadRecord(QuarantineReason.MISSING_BOX, detail)
    left, top, box_width, box_height = (finite(value) for value in values)
    if left is None or top is None or box_width is None or box_height is None:
        raise BadRecord(QuarantineReason.BOX_NOT_FINITE, detail)
    if box_width <= 0 or box_height <= 0:
        raise BadRecord(QuarantineReason.EMPTY_BOX, detail)
    right, bottom = left + box_width, top + box_height
    beyond = max(-left, -top, right - width, bottom - height)
    is_apart = left >= width or top >= height or right <= 0 or bottom <= 0
    if is_apart or (options.outside == "quarantine" and beyond > EDGE_TOLERANCE_PX):
        raise BadRecord(QuarantineReason.BOX_OUTSIDE, detail)
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    if not is_within(left, top, right - left, bottom - top, image):
        raise BadRecord(QuarantineReason.EMPTY_BOX, f"{detail}, less than {MIN_EXTENT:g} of a side")
    return (left, top, right - left, bottom - top), beyond > EDGE_TOLERANCE_PX


def is_within(left: float, top: float, box_width: float, box_height: float, image: ImageRecord) -> bool:
    """Whether a box of finite numbers has an extent and lies in its image: what nothing has to be done about."""
    width, height = _size_of(image)
    return (
        left >= 0
        and top >= 0
        and box_width >= MIN_EXTENT * width
        and box_height >= MIN_EXTENT * height
        and left + box_width <= width
        and top + box_height <= height
    )


def _size_of(image: ImageRecord) -> tuple[int, int]:
    assert image.width is not None
    assert image.height is not None
    return image.width, image.height


_PACKED_DTYPE = np.dtype(
    [("category", ">i8"), ("area", ">f8"), ("xywh", ">f8", 4), ("has_box", "?"), ("is_crowd", "?"), ("is_clipped", "?")]
)
assert _PACKED_DTYPE.itemsize == PACKED.size


@dataclass(frozen=True)
class BoxTable:
    """Every labelled box of some images.

    Attributes:
      images: int64 [n], the place of its image.
      labels: int64 [n], 1...labels-1.
      crowds: bool [n], whether it is around many.
      boxes_yxyx: float64 [n, 4], ymin, xmin, ymax, xmax in 0...1.
      area_fractions: float64 [n], of their masks, as COCO states them, in the image.
      areas_px: float64 [n], the same in square pixels.
      clipped: bool [n], whether more than the edge's tolerance was clipped off.
      in_a_pixel: bool [n], whether no number of its box is above 1 in an image of more pixels: it may be normalised.
    """

    images: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    crowds: npt.NDArray[np.bool_]
    boxes_yxyx: npt.NDArray[np.float64]
    area_fractions: npt.NDArray[np.float64]
    areas_px: npt.NDArray[np.float64]
    clipped: npt.NDArray[np.bool_]
    in_a_pixel: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, records: Iterable[ImageRecord], category_labels: Mapping[int, int]) -> "BoxTable":
        """Reads the boxes of records that were judged by `judge_box`.

        Args:
          records: images, with their sizes.
          category_labels: label by the id of each COCO category that has one.
        """
        listed = list(records)
        counts = [len(record.packed) // PACKED.size for record in listed]
        rows = np.frombuffer(b"".join(record.packed for record in listed), _PACKED_DTYPE)
        labels = np.zeros(len(rows), np.int64)
        for category_id, label in category_labels.items():
            labels[rows["category"] == category_id] = label
        images = np.repeat(np.arange(len(listed)), counts)
        kept = labels > 0
        rows, images = rows[kept], images[kept]
        sizes = np.array([_size_of(record) for record in listed], np.float64).reshape(-1, 2)[images]
        low, extent = rows["xywh"][:, :2] / sizes, rows["xywh"][:, 2:] / sizes
        xyxy = np.concatenate([low, np.minimum(low + extent, 1.0)], axis=1)
        areas = rows["area"].astype(np.float64)
        fractions = areas / sizes.prod(axis=1)
        return cls(
            images,
            labels[kept],
            rows["is_crowd"].astype(np.bool_),
            xyxy[:, [1, 0, 3, 2]],
            fractions,
            areas,
            rows["is_clipped"].astype(np.bool_),
            np.all((rows["xywh"] <= 1) & (sizes > 1)[:, [0, 1, 0, 1]], axis=1),
        )

    def without_crowds(self) -> "BoxTable":
        """The boxes around one object each."""
        kept = ~self.crowds
        return BoxTable(*(getattr(self, field.name)[kept] for field in fields(self)))
