"""Reading transformed examples: one reader for training, calibration and the int8 judgement."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features
from components.rasters import rasterize

_SPEC = {
    features.RASTER: tf.io.FixedLenFeature([], tf.string),
    features.TRANSFORMED_LABEL: tf.io.FixedLenFeature([], tf.int64),
    features.TRANSFORMED_SOURCE_ID: tf.io.FixedLenFeature([], tf.string),
}


# A serialized TensorProto begins with the tag of its type; a JPEG with 0xFF, and a PNG with 0x89.
_TENSOR_PROTO = b"\x08"


def decode_raster(serialized: Any, shape: tuple[int, int, int]) -> Any:
    """The uint8 tensor of the given [side, side, channels] that `encode_raster` or `encode_smaller` was given."""
    side, _, channels = shape
    raster = tf.cond(
        tf.strings.substr(serialized, 0, 1) == _TENSOR_PROTO,
        lambda: tf.io.parse_tensor(serialized, tf.uint8),
        lambda: rasterize(serialized, side, channels),
    )
    return tf.ensure_shape(raster, shape)


def split_files(examples_uri: str, split: str) -> list[str]:
    """The files of one split, in a fixed order."""
    return sorted(tf.io.gfile.glob(f"{examples_uri}/Split-{split}/*"))


def read_records(files: Sequence[str]) -> Any:
    """A `tf.data.Dataset` of serialized transformed examples, file after file."""
    return tf.data.TFRecordDataset(list(files), compression_type="GZIP")


def read_rasters(files: Sequence[str], shape: tuple[int, int, int]) -> Any:
    """A `tf.data.Dataset` of (raster, label): uint8 [height, width, channels] and int64 []."""

    def parse(record: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_single_example(record, _SPEC)
        return decode_raster(parsed[features.RASTER], shape), parsed[features.TRANSFORMED_LABEL]

    return read_records(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def read_training_rasters(files: Sequence[str], shape: tuple[int, int, int], key: str) -> Any:
    """A `tf.data.Dataset` of what augmentation works on.

    Args:
      files: of transformed examples.
      shape: [height, width, channels] of the rasters.
      key: `features.RASTER` or `features.TRAINING_RASTER`.

    Returns:
      (raster, boxes): uint8 of that shape, and float32 [MAX_OBJECTS, 4], the boxes_yxyx of the objects that gave the
      label in 0...1, with rows of 0 where there are fewer.
    """
    spec = {
        key: tf.io.FixedLenFeature([], tf.string),
        features.OBJECT_BOXES: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }

    def parse(record: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_single_example(record, spec)
        values = parsed[features.OBJECT_BOXES]
        padded = tf.pad(values, [[0, 4 * features.MAX_OBJECTS - tf.size(values)]])
        return decode_raster(parsed[key], shape), tf.reshape(padded, [features.MAX_OBJECTS, 4])

    return read_records(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def read_index(files: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The source ids and labels of a split, in file order, without keeping the rasters."""
    parsed = read_records(files).batch(1024).map(lambda records: tf.io.parse_example(records, _SPEC))
    ids: list[str] = []
    labels: list[int] = []
    for batch in parsed.as_numpy_iterator():
        ids += [source_id.decode() for source_id in batch[features.TRANSFORMED_SOURCE_ID]]
        labels += batch[features.TRANSFORMED_LABEL].tolist()
    return ids, np.asarray(labels, np.int64)


def read_boxes(files: Sequence[str], shape: tuple[int, int, int], key: str = features.RASTER) -> Any:
    """A `tf.data.Dataset` of what a detector learns from.

    Args:
      files: of transformed examples.
      shape: [height, width, channels] of the rasters.
      key: `features.RASTER` or `features.TRAINING_RASTER`.

    Returns:
      (raster, boxes, labels, crowds): uint8 of that shape; float32 [max_boxes, 4], boxes_yxyx in 0...1, the largest
      first; int64 [max_boxes], 0 where there is no box; and bool [max_boxes], whether the box is around a crowd. All
      are padded to the `transform.max_boxes` that they were written with.
    """
    spec = {
        key: tf.io.FixedLenFeature([], tf.string),
        features.BOXES: tf.io.FixedLenSequenceFeature([4], tf.float32, allow_missing=True),
        features.BOX_LABELS: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        features.BOX_CROWDS: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
    }

    def parse(record: Any) -> tuple[Any, Any, Any, Any]:
        parsed = tf.io.parse_single_example(record, spec)
        raster = decode_raster(parsed[key], shape)
        return raster, parsed[features.BOXES], parsed[features.BOX_LABELS], parsed[features.BOX_CROWDS] > 0

    return read_records(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
