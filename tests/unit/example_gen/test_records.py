import hashlib

import numpy as np
import pytest
import tensorflow as tf

from components import features
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.records import TFRecordFile, box_yxyx, encode_example

WIDTH, HEIGHT = 200, 100


def annotation(bbox, category_id=1, area=50.0, *, is_crowd=False):
    return Annotation(category_id, area, bbox, is_crowd)


def encode(*annotations, label=1, record_size=(WIDTH, HEIGHT)):
    record = ImageRecord(139, "train/ü 139.jpg", *record_size, pack_annotations(annotations))
    image = CheckedImage(b"\xff\xd8 bytes", "jpeg", WIDTH, HEIGHT, reencoded=False)
    return b"".join(encode_example(record, image, label=label, label_text="person", largest_object="over_10%"))


def values(serialized):
    """Feature to its list of values."""
    found = tf.train.Example.FromString(serialized).features.feature
    return {key: list(getattr(value, value.WhichOneof("kind")).value) for key, value in found.items()}


def test_encode_example_holds_the_image_and_its_label():
    found = values(encode())
    assert found[features.ENCODED] == [b"\xff\xd8 bytes"]
    assert found[features.FORMAT] == [b"jpeg"]
    assert found[features.FILENAME] == ["train/ü 139.jpg".encode()]
    assert found[features.SOURCE_ID] == [b"139"]
    assert found[features.SHA256] == [hashlib.sha256(b"\xff\xd8 bytes").hexdigest().encode()]
    assert (found[features.HEIGHT], found[features.WIDTH]) == ([HEIGHT], [WIDTH])
    assert (found[features.LABEL], found[features.LABEL_TEXT]) == ([1], [b"person"])
    assert found[features.LARGEST_OBJECT] == [b"over_10%"]


def test_encode_example_holds_the_objects_of_every_category():
    found = values(
        encode(
            annotation((40, 10, 100, 30), category_id=18, area=4999.5),
            annotation((0, 0, 200, 100), category_id=1, area=20000, is_crowd=True),
        )
    )
    boxes = zip(*(found[key] for key in (features.YMIN, features.XMIN, features.YMAX, features.XMAX)), strict=True)
    assert [pytest.approx(box) for box in boxes] == [(0.0, 0.0, 1.0, 1.0), (0.1, 0.2, 0.4, 0.7)]
    assert found[features.OBJECT_CATEGORY] == [1, 18]
    assert found[features.OBJECT_AREA] == [20000.0, 4999.5]
    assert found[features.OBJECT_IS_CROWD] == [1, 0]
    assert found[features.OBJECT_GIVES_LABEL] == [0, 0]


def test_encode_example_marks_the_objects_that_gave_the_label():
    dog, person = annotation((40, 10, 100, 30), category_id=18), annotation((0, 0, 20, 50))
    record = ImageRecord(7, "7.jpg", WIDTH, HEIGHT, pack_annotations([dog, person]))
    image = CheckedImage(b"x", "jpeg", WIDTH, HEIGHT, reencoded=False)
    parts = encode_example(record, image, label=1, label_text="p", largest_object="none", label_givers=[person])
    found = values(b"".join(parts))
    assert found[features.OBJECT_CATEGORY] == [1, 18]
    assert found[features.OBJECT_GIVES_LABEL] == [1, 0]


def test_encode_example_gives_every_object_the_label_of_its_category_or_0():
    objects = [annotation((n, n, 5, 5), category_id=category) for n, category in enumerate((18, 1, 44, 18))]
    record = ImageRecord(7, "7.jpg", WIDTH, HEIGHT, pack_annotations(objects))
    image = CheckedImage(b"x", "jpeg", WIDTH, HEIGHT, reencoded=False)
    parts = encode_example(
        record, image, label=1, label_text="p", largest_object="none", category_labels={1: 2, 18: 300}
    )
    found = values(b"".join(parts))
    assert found[features.OBJECT_CATEGORY] == [1, 18, 18, 44]
    assert found[features.OBJECT_LABEL] == [2, 300, 300, 0]


def test_encode_example_leaves_boxes_without_extent_out_and_keeps_the_label():
    found = values(encode(annotation(None), annotation((300, 10, 5, 5)), annotation((10, 10, 5, 5), area=1.0), label=1))
    assert found[features.LABEL] == [1]
    assert found[features.OBJECT_AREA] == [1.0]
    lengths = {len(values) for key, values in found.items() if key.startswith("image/object/")}
    assert lengths == {1}


def test_encode_example_of_the_same_image_is_the_same_bytes():
    boxes = [annotation((n, n, 5, 5), category_id=n) for n in range(1, 20)]
    assert len({encode(*boxes) for _ in range(5)}) == 1
    assert encode(*boxes) == encode(*reversed(boxes))


@pytest.mark.parametrize("size", [0, 1, 20, 127, 128, 16_383, 16_384, 300_000])
@pytest.mark.parametrize("objects", [0, 1, 40])
def test_encode_example_is_byte_for_byte_what_tensorflow_serializes(size, objects):
    random = np.random.default_rng(size + objects)
    boxes = [
        annotation(
            tuple(random.uniform(1, 90, 4)),
            category_id=int(random.choice([1, 127, 128, 2**40, 2**63 - 1])),
            area=float(random.uniform(0, 1e9)),
            is_crowd=bool(random.integers(2)),
        )
        for _ in range(objects)
    ]
    record = ImageRecord("ü" * 200, "n" * 130, WIDTH, HEIGHT, pack_annotations(boxes))
    image = CheckedImage(random.bytes(size), "png", WIDTH, HEIGHT, reencoded=False)
    parts = encode_example(record, image, label=3, label_text="", largest_object="none")
    assert parts[1] is image.data
    ours = b"".join(parts)
    assert tf.train.Example.FromString(ours).SerializeToString(deterministic=True) == ours
    assert len(values(ours)[features.XMIN]) == objects


def test_tf_record_file_is_byte_for_byte_what_tensorflow_writes(tmp_path):
    records = [b"", b"a", random_bytes := bytes(range(256)) * 700, b"end"]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    with (tmp_path / "ours").open("wb") as file:
        ours = TFRecordFile(file)
        for record in records:
            ours.write((record[:3], record[3:10], record[10:]))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert len(random_bytes) > 2**17


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ((40, 10, 100, 30), (0.1, 0.2, 0.4, 0.7)),
        ((0, 0, WIDTH, HEIGHT), (0.0, 0.0, 1.0, 1.0)),
        ((-20, -10, 60, 20), (0.0, 0.0, 0.1, 0.2)),
        ((160, 90, 400, 400), (0.9, 0.8, 1.0, 1.0)),
        ((-1e9, -1e9, 2e9, 2e9), (0.0, 0.0, 1.0, 1.0)),
        (None, None),
        ((WIDTH, 0, 10, 10), None),
        ((0, HEIGHT, 10, 10), None),
        ((-10, 0, 10, 10), None),
        ((5, 5, 0, 10), None),
        ((5, 5, 10, 0), None),
        ((5, 5, 1e-20, 10), None),
    ],
    ids=[
        "inside",
        "whole",
        "left_top",
        "right_bottom",
        "huge",
        "none",
        "right",
        "below",
        "left",
        "flat",
        "thin",
        "tiny",
    ],
)
def test_box_yxyx_clips_to_the_image(bbox, expected):
    assert box_yxyx(annotation(bbox), WIDTH, HEIGHT) == (None if expected is None else pytest.approx(expected))
