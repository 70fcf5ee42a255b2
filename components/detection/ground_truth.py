"""Reading what is in the images of a split: all their labelled objects, from the raw examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components import features
from components.detection.detections import GroundTruth

_BATCH = 256
_BOX_KEYS = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)


def read_ground_truth(files: Sequence[str]) -> dict[str, GroundTruth]:
    """What is in each image, by its source id, in file order.

    Args:
      files: of raw examples, not compressed, as ExampleGen writes them.
    """
    import tensorflow as tf

    scalars = {
        features.SOURCE_ID: tf.io.FixedLenFeature([], tf.string),
        features.HEIGHT: tf.io.FixedLenFeature([], tf.int64),
        features.WIDTH: tf.io.FixedLenFeature([], tf.int64),
    }
    objects = {
        **dict.fromkeys((*_BOX_KEYS, features.OBJECT_AREA), tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64)),
        **dict.fromkeys(
            (features.OBJECT_LABEL, features.OBJECT_IS_CROWD), tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        ),
    }
    truths: dict[str, GroundTruth] = {}
    records = tf.data.TFRecordDataset(list(files)).batch(_BATCH)
    for batch in records.map(lambda examples: tf.io.parse_example(examples, {**scalars, **objects})):
        columns = {key: batch[key].to_list() for key in objects}
        for at, source_id in enumerate(batch[features.SOURCE_ID].numpy()):
            height, width = (int(batch[key][at]) for key in (features.HEIGHT, features.WIDTH))
            truths[source_id.decode()] = _truth({key: rows[at] for key, rows in columns.items()}, height, width)
    return truths


def _truth(objects: dict[str, list[Any]], height: int, width: int) -> GroundTruth:
    labels = np.array(objects[features.OBJECT_LABEL], np.int64)
    is_labelled = labels > 0
    boxes = np.array([objects[key] for key in _BOX_KEYS], np.float32).T.reshape(-1, 4)
    return GroundTruth(
        boxes_yxyx=boxes[is_labelled],
        labels=labels[is_labelled],
        crowds=np.array(objects[features.OBJECT_IS_CROWD], np.int64)[is_labelled] > 0,
        areas_px=np.array(objects[features.OBJECT_AREA], np.float32)[is_labelled],
        height=height,
        width=width,
    )
