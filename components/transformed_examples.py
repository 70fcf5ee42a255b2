"""Reading transformed examples: one reader for training, calibration and the int8 judgement."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features

_SPEC = {
    features.RASTER: tf.io.FixedLenFeature([], tf.string),
    features.TRANSFORMED_LABEL: tf.io.FixedLenFeature([], tf.int64),
    features.TRANSFORMED_SOURCE_ID: tf.io.FixedLenFeature([], tf.string),
}


def decode_raster(serialized: Any, shape: tuple[int, int, int]) -> Any:
    """The uint8 tensor of the given [height, width, channels] that `encode_raster` serialized."""
    return tf.ensure_shape(tf.io.parse_tensor(serialized, tf.uint8), shape)


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
