"""Transformed examples, written as Transform writes them."""

import numpy as np
import pytest

from components import features

SIDE = 32


@pytest.fixture(scope="session")
def write_transformed():
    """Writes uint8 [n, side, side, channels] with labels and boxes to TFRecord files, `counts[i]` into the i-th."""
    import tensorflow as tf

    from components.rasters import encode_raster

    def write(folder, rasters, labels, counts=None, boxes=None):
        folder.mkdir(parents=True, exist_ok=True)
        counts = [len(rasters)] if counts is None else counts
        files, at = [], 0
        for number, count in enumerate(counts):
            path = str(folder / f"transformed_examples-{number:05d}-of-{len(counts):05d}.gz")
            with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
                for index in range(at, at + count):
                    writer.write(
                        _example(
                            tf,
                            encode_raster(rasters[index]).numpy(),
                            labels[index],
                            index,
                            [] if boxes is None else boxes[index],
                        )
                    )
            files.append(path)
            at += count
        return files

    return write


def _example(tf, raster, label, index, boxes):
    def of_bytes(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    values = {
        features.RASTER: of_bytes(raster),
        features.TRANSFORMED_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
        features.TRANSFORMED_SOURCE_ID: of_bytes(str(index).encode()),
        features.OBJECT_BOXES: tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(boxes))),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


@pytest.fixture(scope="session")
def bright_and_dark():
    """`bright_and_dark(count, seed)`: noisy uint8 [count, SIDE, SIDE, 1], and their labels: 1 where one is bright."""

    def make(count, seed):
        random = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        means = np.where(labels == 1, 180, 70)[:, None, None, None]
        rasters = np.clip(random.normal(means, 25, (count, SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
        return rasters, labels

    return make
