import numpy as np
import tensorflow as tf

from components.detection.ground_truth import read_ground_truth
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.records import encode_example


def write_split(path, images):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for source_id, annotations in images.items():
            record = ImageRecord(source_id, f"{source_id}.jpg", 200, 100, pack_annotations(annotations))
            image = CheckedImage(b"x", "jpeg", 200, 100, reencoded=False)
            parts = encode_example(
                record, image, label=0, label_text="", largest_object="none", category_labels={1: 1, 18: 2}
            )
            writer.write(b"".join(parts))
    return str(path)


def test_read_ground_truth_gives_the_labelled_objects_of_every_image_in_file_order(tmp_path):
    person = Annotation(1, 50.5, (20.0, 10.0, 100.0, 30.0), is_crowd=False)
    crowd = Annotation(18, 9.0, (0.0, 0.0, 200.0, 100.0), is_crowd=True)
    unlabelled = Annotation(44, 1.0, (1.0, 1.0, 2.0, 2.0), is_crowd=False)
    first = write_split(tmp_path / "a", {"b/7": [person, unlabelled, crowd], "empty": []})
    second = write_split(tmp_path / "b", {"a/7": [unlabelled]})
    truths = read_ground_truth([first, second])
    assert list(truths) == ["b/7", "empty", "a/7"]
    truth = truths["b/7"]
    np.testing.assert_array_equal(truth.boxes_yxyx, np.float32([[0.1, 0.1, 0.4, 0.6], [0, 0, 1, 1]]))
    np.testing.assert_array_equal(truth.labels, [1, 2])
    np.testing.assert_array_equal(truth.crowds, [False, True])
    np.testing.assert_array_equal(truth.areas_px, np.float32([50.5, 9]))
    assert (truth.height, truth.width) == (100, 200)
    for empty in (truths["empty"], truths["a/7"]):
        assert empty.boxes_yxyx.shape == (0, 4)
        assert empty.labels.shape == empty.crowds.shape == empty.areas_px.shape == (0,)
    types = [truth.boxes_yxyx.dtype, truth.labels.dtype, truth.crowds.dtype, truth.areas_px.dtype]
    assert types == [np.float32, np.int64, np.bool_, np.float32]


def test_read_ground_truth_of_an_image_with_500_objects_gives_them_all(tmp_path):
    crowded = [Annotation(1, 4.0, (float(n % 190), n / 6, 4.0, 4.0), is_crowd=False) for n in range(500)]
    (truth,) = read_ground_truth([write_split(tmp_path / "a", {"1": crowded})]).values()
    assert truth.boxes_yxyx.shape == (500, 4)
