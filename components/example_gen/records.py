"""From one labelled image to one serialized `tf.train.Example`, with slim's feature names."""

import hashlib
from collections.abc import Iterable

import tensorflow as tf

from components import features
from components.example_gen.coco import Annotation, ImageRecord
from components.example_gen.image_bytes import CheckedImage


def _bytes(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _floats(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def box_yxyx(annotation: Annotation, width: int, height: int) -> tuple[float, float, float, float] | None:
    """An annotation's box as (ymin, xmin, ymax, xmax) in 0...1, clipped to the image; None where nothing is left."""
    if annotation.bbox_xywh_px is None:
        return None
    x, y, w, h = annotation.bbox_xywh_px
    xmin, xmax = (min(max(edge / width, 0.0), 1.0) for edge in (x, x + w))
    ymin, ymax = (min(max(edge / height, 0.0), 1.0) for edge in (y, y + h))
    return (ymin, xmin, ymax, xmax) if ymin < ymax and xmin < xmax else None


def encode_example(
    record: ImageRecord, image: CheckedImage, *, label: int, label_text: str, largest_object: str
) -> bytes:
    """Serializes one image with its label and all its boxes, of every category.

    Args:
      record: the image's annotations; those without a usable box are left out of the boxes.
      image: the checked bytes, whose size the boxes are scaled by.
      label: `image/class/label`.
      label_text: `image/class/text`.
      largest_object: bucket of the largest labelled object, by which metrics are sliced.

    Returns:
      A serialized `tf.train.Example` with the raw features of `components.features`.
    """
    boxed = [(a, box) for a in record.annotations if (box := box_yxyx(a, image.width, image.height)) is not None]
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                features.ENCODED: _bytes(image.data),
                features.FORMAT: _bytes(image.format.encode()),
                features.FILENAME: _bytes(record.file_name.encode()),
                features.SOURCE_ID: _bytes(record.source_id.encode()),
                features.SHA256: _bytes(hashlib.sha256(image.data).hexdigest().encode()),
                features.HEIGHT: _ints([image.height]),
                features.WIDTH: _ints([image.width]),
                features.LABEL: _ints([label]),
                features.LABEL_TEXT: _bytes(label_text.encode()),
                features.YMIN: _floats(box[0] for _, box in boxed),
                features.XMIN: _floats(box[1] for _, box in boxed),
                features.YMAX: _floats(box[2] for _, box in boxed),
                features.XMAX: _floats(box[3] for _, box in boxed),
                features.OBJECT_CATEGORY: _ints(a.category_id for a, _ in boxed),
                features.OBJECT_AREA: _floats(a.area for a, _ in boxed),
                features.OBJECT_IS_CROWD: _ints(int(a.is_crowd) for a, _ in boxed),
                features.LARGEST_OBJECT: _bytes(largest_object.encode()),
            }
        )
    )
    return bytes(example.SerializeToString(deterministic=True))
