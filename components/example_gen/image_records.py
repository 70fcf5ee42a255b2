"""Images and their objects as the source of a data set describes them."""

import dataclasses
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

RecordId = int | str
BoxXywhPx = tuple[float, float, float, float]


class Annotation(NamedTuple):
    """One object in an image.

    Attributes:
      category_id: a key of `CocoDataset.categories`.
      area: mask area in square pixels, 0...MAX_AREA; of a detector's annotation that states none, its box's.
      bbox_xywh_px: left, top, width, height in pixels; finite, of positive size and touching the image, though
        possibly reaching beyond it. None where the file has no such box.
      is_crowd: one outline around many objects.
      is_clipped: whether a detector's box is what is left of one that reached further beyond the image than rounding.
    """

    category_id: int
    area: float
    bbox_xywh_px: BoxXywhPx | None
    is_crowd: bool
    is_clipped: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as its source describes it.

    Attributes:
      id: unique in a dataset.
      file_name: path below the images folder.
      width, height: pixels, 1...MAX_SIDE; None where the source does not state them.
      packed: the annotations, packed, since a large set has a million of them: see `pack_annotations`.
    """

    id: RecordId
    file_name: str
    width: int | None
    height: int | None
    packed: bytes = b""

    @property
    def source_id(self) -> str:
        """The id as text; unique in a dataset."""
        return str(self.id)

    @property
    def annotations(self) -> Iterator[Annotation]:
        """The image's objects, in an order that depends on what they are and not on where the file has them."""
        for category_id, area, x, y, width, height, has_box, is_crowd, is_clipped in PACKED.iter_unpack(self.packed):
            yield Annotation(category_id, area, (x, y, width, height) if has_box else None, is_crowd, is_clipped)

    @property
    def area_px(self) -> int:
        """Square pixels of the image; only where its size is stated."""
        if self.width is None or self.height is None:
            raise ValueError(f"image {self.id}: no size was stated")
        return self.width * self.height


PACKED = struct.Struct(">qd4d???")


def pack_annotations(annotations: Iterable[Annotation]) -> bytes:
    """Annotations as `ImageRecord.packed`: 51 bytes each, sorted."""
    return b"".join(sorted(pack_annotation(annotation) for annotation in annotations))


def pack_annotation(annotation: Annotation) -> bytes:
    """One annotation as it stands in `ImageRecord.packed`."""
    category_id, area, box, is_crowd, is_clipped = annotation
    return PACKED.pack(category_id, area, *(box or (0.0, 0.0, 0.0, 0.0)), box is not None, is_crowd, is_clipped)


def sort_packed(packed: bytearray) -> bytes:
    """`ImageRecord.packed` of annotations that were packed one after another."""
    size = PACKED.size
    if len(packed) <= size:
        return bytes(packed)
    return b"".join(sorted(bytes(packed[at : at + size]) for at in range(0, len(packed), size)))
