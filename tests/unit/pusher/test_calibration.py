import hashlib

import numpy as np
import pytest
import tensorflow as tf

from components import features
from components.errors import DataError, ReleaseError
from components.pusher.calibration import decode_calibration, draw_calibration, encode_calibration

SHAPE = (4, 5, 1)


def _raster(source_id):
    return np.random.default_rng(source_id).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def write_split(tmp_path):
    """Writes transformed examples of these (source id, label), in two files."""

    def write(split, examples):
        paths = [tmp_path / f"{split}-{part}.gz" for part in range(2)]
        for part, path in enumerate(paths):
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for source_id, label in examples[part::2]:
                    raster = tf.io.serialize_tensor(_raster(source_id)).numpy()
                    values = {
                        features.RASTER: tf.train.Feature(bytes_list=tf.train.BytesList(value=[raster])),
                        features.TRANSFORMED_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                        features.TRANSFORMED_SOURCE_ID: tf.train.Feature(
                            bytes_list=tf.train.BytesList(value=[str(source_id).encode()])
                        ),
                    }
                    writer.write(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())
        return [str(path) for path in paths]

    return write


def _draw(write_split, train, held_out=((90, 0), (91, 1)), count=6):
    files = {"train": write_split("train", list(train)), "eval": write_split("eval", list(held_out)), "test": []}
    return draw_calibration(files, SHAPE, count, seed=3)


def test_draw_calibration_reads_the_rasters_in_the_order_of_the_record(write_split):
    calibration = _draw(write_split, [(number, number % 2) for number in range(12)])
    ids = [int(source_id) for source_id in calibration.record.source_ids]
    assert calibration.record.count == len(set(ids)) == 6
    assert sum(number % 2 for number in ids) == 3
    np.testing.assert_array_equal(calibration.rasters, [_raster(number) for number in ids])


def test_draw_calibration_of_one_label_is_refused(write_split):
    with pytest.raises(DataError, match="one label only"):
        _draw(write_split, [(number, 1) for number in range(12)])


def test_draw_calibration_with_an_eval_image_is_refused(write_split):
    with pytest.raises(DataError, match="stand in the eval split as well, such as '5'"):
        _draw(write_split, [(number, number % 2) for number in range(12)], held_out=[(5, 1), (90, 0)], count=12)


def test_calibration_file_gives_the_rasters_back_and_is_the_same_twice(write_split):
    calibration = _draw(write_split, [(number, number % 2) for number in range(8)])
    content = encode_calibration(calibration.rasters)
    assert content == encode_calibration(calibration.rasters[:])
    np.testing.assert_array_equal(decode_calibration(content, calibration.record), calibration.rasters)
    assert calibration.record.digest == hashlib.sha256(calibration.rasters.tobytes()).hexdigest()


@pytest.mark.parametrize("damage", ["cut", "text", "other image", "fewer"])
def test_decode_calibration_of_other_content_is_refused(write_split, damage):
    calibration = _draw(write_split, [(number, number % 2) for number in range(8)])
    content = {
        "cut": encode_calibration(calibration.rasters)[:-1],
        "text": b"no array",
        "other image": encode_calibration(calibration.rasters ^ 1),
        "fewer": encode_calibration(calibration.rasters[1:]),
    }[damage]
    with pytest.raises(ReleaseError, match=r"calibration\.npy"):
        decode_calibration(content, calibration.record)
