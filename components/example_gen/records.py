"""From one labelled image to one serialized `tf.train.Example`, with slim's feature names, and into a TFRecord file.

The bytes are put together here and not by TensorFlow, in the formats of tensorflow/core/example/feature.proto and
tensorflow/core/lib/io/record_writer.h: it takes a tenth of the time, the image is not copied, and Beam's workers
need not import TensorFlow. Tests hold the result against TensorFlow's own bytes.
"""

import functools
import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import google_crc32c

from components import features
from components.example_gen.coco import Annotation, ImageRecord
from components.example_gen.image_bytes import CheckedImage

_LENGTH_DELIMITED = 2


def _tag(field: int) -> bytes:
    return bytes([field << 3 | _LENGTH_DELIMITED])


# Fields of Example, Features, BytesList and map entries; the `oneof` of Feature.
_FIRST, _SECOND = _tag(1), _tag(2)
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = _tag(1), _tag(2), _tag(3)


def box_yxyx(annotation: Annotation, width: int, height: int) -> tuple[float, float, float, float] | None:
    """An annotation's box as (ymin, xmin, ymax, xmax) in 0...1, clipped to the image; None where nothing is left."""
    if annotation.bbox_xywh_px is None:
        return None
    x, y, w, h = annotation.bbox_xywh_px
    ymin, ymax = min(max(y / height, 0.0), 1.0), min(max((y + h) / height, 0.0), 1.0)
    xmin, xmax = min(max(x / width, 0.0), 1.0), min(max((x + w) / width, 0.0), 1.0)
    return (ymin, xmin, ymax, xmax) if ymin < ymax and xmin < xmax else None


def encode_example(
    record: ImageRecord, image: CheckedImage, *, label: int, label_text: str, largest_object: str
) -> tuple[bytes, bytes, bytes]:
    """Serializes one image with its label and all its boxes, of every category.

    Args:
      record: the image's annotations; those without a usable box are left out of the boxes.
      image: the checked bytes, whose size the boxes are scaled by.
      label: `image/class/label`.
      label_text: `image/class/text`.
      largest_object: bucket of the largest labelled object, by which metrics are sliced.

    Returns:
      A serialized `tf.train.Example` with the raw features of `components.features`, as protobuf's deterministic
      serialization writes it, in three parts, of which the second is `image.data` itself.
    """
    boxed = [(a, box) for a in record.annotations if (box := box_yxyx(a, image.width, image.height)) is not None]
    ymin, xmin, ymax, xmax = zip(*(box for _, box in boxed), strict=True) if boxed else ((), (), (), ())
    # In the order of the keys.
    before = _entry(features.LABEL, _ints([label])) + _entry(features.LABEL_TEXT, _text(label_text))
    after = b"".join(
        (
            _entry(features.FILENAME, _text(record.file_name)),
            _entry(features.FORMAT, _text(image.format)),
            _entry(features.HEIGHT, _ints([image.height])),
            _entry(features.SHA256, _text(hashlib.sha256(image.data).hexdigest())),
            _entry(features.OBJECT_AREA, _floats([a.area for a, _ in boxed])),
            _entry(features.XMAX, _floats(xmax)),
            _entry(features.XMIN, _floats(xmin)),
            _entry(features.YMAX, _floats(ymax)),
            _entry(features.YMIN, _floats(ymin)),
            _entry(features.OBJECT_CATEGORY, _ints([a.category_id for a, _ in boxed])),
            _entry(features.OBJECT_IS_CROWD, _ints([int(a.is_crowd) for a, _ in boxed])),
            _entry(features.LARGEST_OBJECT, _text(largest_object)),
            _entry(features.SOURCE_ID, _text(record.source_id)),
            _entry(features.WIDTH, _ints([image.width])),
        )
    )
    size = len(image.data)
    in_list = _FIRST + _varint(size)
    in_feature = _BYTES_LIST + _varint(len(in_list) + size) + in_list
    in_entry = _key(features.ENCODED) + _SECOND + _varint(len(in_feature) + size) + in_feature
    before += _FIRST + _varint(len(in_entry) + size) + in_entry
    in_features = len(before) + size + len(after)
    return _FIRST + _varint(in_features) + before, image.data, after


def _entry(key: str, feature: bytes) -> bytes:
    """One entry of the map `Features.feature`."""
    return _field(_FIRST, _key(key) + _field(_SECOND, feature))


@functools.cache
def _key(key: str) -> bytes:
    return _field(_FIRST, key.encode())


def _text(value: str) -> bytes:
    return _field(_BYTES_LIST, _field(_FIRST, value.encode()))


def _floats(values: Sequence[float]) -> bytes:
    return _field(_FLOAT_LIST, _field(_FIRST, struct.pack(f"<{len(values)}f", *values)) if values else b"")


def _ints(values: Sequence[int]) -> bytes:
    return _field(_INT64_LIST, _field(_FIRST, b"".join(map(_varint, values))) if values else b"")


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A number in 0...2^64-1, seven bits a byte, the lowest first."""
    if value < 0x80:
        return bytes((value,))
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


class TFRecordFile:
    """Writes records to an open binary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, parts: Iterable[bytes]) -> None:
        """One record, the parts put together."""
        parts = tuple(parts)
        length = struct.pack("<Q", sum(map(len, parts)))
        crc = 0
        for part in parts:
            crc = google_crc32c.extend(crc, part)
        for part in (length, _masked(google_crc32c.value(length)), *parts, _masked(crc)):
            self._file.write(part)


def _masked(crc: int) -> bytes:
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
