import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components import features, pixels
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.records import encode_example
from components.rasters import encode_raster, rasterize
from components.transform.options import TrainingRaster, TransformJob, TransformOptions
from components.transform.preprocessing import preprocessing_fn
from components.transformed_examples import decode_raster, read_boxes
from tests.unit.conftest import make_transform_graph


def test_transform_graph_passes_label_and_source_id_on(transform_graph, raw_examples):
    parsed = [tf.train.Example.FromString(example).features.feature for example in raw_examples]
    outputs = transform_graph.outputs
    assert outputs.keys() == {
        features.RASTER, features.TRANSFORMED_SOURCE_ID, features.OBJECT_BOXES, *features.DESCRIPTIVE
    }  # fmt: skip
    assert outputs[features.TRANSFORMED_LABEL] == [p[features.LABEL].int64_list.value[0] for p in parsed]
    assert outputs[features.TRANSFORMED_SOURCE_ID] == [p[features.SOURCE_ID].bytes_list.value[0] for p in parsed]


def test_transform_graph_describes_raster_size_and_objects(transform_graph, raw_examples):
    parsed = [tf.train.Example.FromString(example).features.feature for example in raw_examples]
    outputs = transform_graph.outputs
    rasters = [tf.io.parse_tensor(raster, tf.uint8).numpy() / 255 for raster in outputs[features.RASTER]]
    np.testing.assert_allclose(outputs[features.BRIGHTNESS], [raster.mean() for raster in rasters], atol=1e-6)
    np.testing.assert_allclose(outputs[features.CONTRAST], [raster.std() for raster in rasters], atol=1e-6)
    assert outputs[features.TRANSFORMED_WIDTH] == [p[features.WIDTH].int64_list.value[0] for p in parsed]
    assert outputs[features.TRANSFORMED_HEIGHT] == [p[features.HEIGHT].int64_list.value[0] for p in parsed]
    counts = [len(p[features.OBJECT_CATEGORY].int64_list.value) for p in parsed]
    assert outputs[features.OBJECT_COUNT] == counts
    assert set(counts) == {0, 1}
    assert [len(boxes) for boxes in outputs[features.OBJECT_BOXES]] == [4 * count for count in counts]


def test_transform_graph_every_gray_arrives_at_the_model_as_the_contract_says(transform_graph, encode):
    layer = tft.TFTransformOutput(transform_graph.uri).transform_features_layer()
    encoded = [encode(np.full((20, 30, 1), gray, np.uint8), "PNG") for gray in range(256)]
    rasters = layer({features.ENCODED: tf.constant(encoded)})[features.RASTER]
    decoded = np.stack([decode_raster(raster, (32, 32, 1)) for raster in rasters])
    images = pixels.normalize(decoded.astype(np.float32))
    expected = np.array([gray / 127.5 - 1 for gray in range(256)])[:, None, None, None]
    np.testing.assert_allclose(images, np.broadcast_to(expected, images.shape), atol=1e-7)
    assert sorted(set(pixels.quantize(decoded).reshape(256, -1)[:, 0].tolist())) == list(range(-128, 128))


@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_fn_follows_its_options(channels, encoded_images):
    options = TransformOptions(side=48, channels=channels, training_raster=TrainingRaster(side=64, channels=3))
    outputs = preprocessing_fn(
        {
            features.ENCODED: tf.constant([image.data for image in encoded_images]),
            features.LABEL: tf.range(len(encoded_images)),
            features.SOURCE_ID: tf.constant([image.name for image in encoded_images]),
            features.WIDTH: tf.constant([image.width for image in encoded_images]),
            features.HEIGHT: tf.constant([image.height for image in encoded_images]),
            **objects_of([[(1, 0.0, 0.0, 1.0, 1.0)]] * len(encoded_images)),
        },
        {"job": TransformJob(options=options, task="classification").to_json(), "code_digest": "ignored"},
    )
    for key, shape in ((features.RASTER, (48, 48, channels)), (features.TRAINING_RASTER, (64, 64, 3))):
        for serialized, image in zip(outputs[key], encoded_images, strict=True):
            expected = rasterize(tf.constant(image.data), shape[0], shape[2])
            np.testing.assert_array_equal(tf.io.parse_tensor(serialized, tf.uint8), expected)


def objects_of(images):
    """The raw features of objects, given for each image as (gives_label, ymin, xmin, ymax, xmax)."""
    keys = (features.OBJECT_GIVES_LABEL, features.YMIN, features.XMIN, features.YMAX, features.XMAX)
    columns = {
        key: tf.ragged.constant(
            [[row[place] for row in rows] for rows in images],
            tf.int64 if place == 0 else tf.float32,
            ragged_rank=1,
        ).to_sparse()
        for place, key in enumerate(keys)
    }
    return {**columns, features.OBJECT_CATEGORY: columns[features.OBJECT_GIVES_LABEL]}


def test_preprocessing_fn_passes_the_largest_boxes_that_gave_the_label(encoded_images):
    grown = [(1, 0.0, 0.1, 0.1 + 0.05 * size, 0.9) for size in range(10)]
    images = [grown, [(0, 0.0, 0.0, 1.0, 1.0)], [(1, 0.2, 0.3, 0.4, 0.5), (0, 0.0, 0.0, 1.0, 1.0)], []]
    same = {features.ENCODED: [encoded_images[0].data] * 4, features.SOURCE_ID: ["1"] * 4}
    numbers = dict.fromkeys((features.LABEL, features.WIDTH, features.HEIGHT), tf.ones([4], tf.int64))
    outputs = preprocessing_fn(
        {**{key: tf.constant(value) for key, value in same.items()}, **numbers, **objects_of(images)},
        {"job": TransformJob(options=TransformOptions(side=32), task="classification").to_json()},
    )
    found = tf.RaggedTensor.from_sparse(outputs[features.OBJECT_BOXES]).to_list()
    expected = [[value for row in grown[:1:-1] for value in row[1:]], [], images[2][0][1:], []]
    for boxes, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(boxes, values, rtol=1e-6)
    assert len(found[0]) == 4 * features.MAX_OBJECTS
    assert features.TRAINING_RASTER not in outputs


def crowded_examples(encoded_images):
    """As raw examples: an image of 500 objects of three categories, one of a crowd and a small dog, one of none."""
    random = np.random.default_rng(3)
    left_top, sizes = random.uniform(0, 60, (500, 2)), random.uniform(1, 20, (500, 2))
    many = [
        Annotation(int(n % 3), 1.0, (*map(float, left_top[n]), *map(float, sizes[n])), is_crowd=False)
        for n in range(500)
    ]
    crowd = [Annotation(1, 9.0, (0.0, 0.0, 32.0, 16.0), is_crowd=True), Annotation(2, 9.0, (0.0, 0.0, 8.0, 8.0), False)]
    examples = []
    for number, (image, objects) in enumerate(zip(encoded_images[-3:], (many, crowd, []), strict=True)):
        record = ImageRecord(number, "a", 99, 67, pack_annotations(objects))
        checked = CheckedImage(image.data, "png", 99, 67, reencoded=False)
        parts = encode_example(
            record, checked, label=0, label_text="", largest_object="none", category_labels={1: 1, 2: 2}
        )
        examples.append(b"".join(parts))
    return examples


@pytest.fixture(scope="module")
def detection_graph(encoded_images, tmp_path_factory):
    """Of colour rasters of 48 pixels a side and at most 64 boxes."""
    return make_transform_graph(
        crowded_examples(encoded_images),
        tmp_path_factory.mktemp("detection"),
        options=TransformOptions(side=48, channels=3),
        task="detection",
        label_count=3,
    )


def test_transform_graph_of_a_detector_pads_boxes_the_largest_first(detection_graph, encoded_images):
    outputs = detection_graph.outputs
    assert features.OBJECT_BOXES not in outputs
    boxes = np.reshape(np.array(outputs[features.BOXES], np.float32), [3, 64, 4])
    labels, crowds = (np.array(outputs[key]) for key in (features.BOX_LABELS, features.BOX_CROWDS))

    raw = tf.train.Example.FromString(crowded_examples(encoded_images)[0]).features.feature
    keys = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)
    given = np.array([raw[key].float_list.value for key in keys], np.float32).T
    given_labels = np.array(raw[features.OBJECT_LABEL].int64_list.value)
    areas = (given_labels > 0) * (given[:, 2] - given[:, 0]) * (given[:, 3] - given[:, 1])
    largest = np.argsort(-areas, kind="stable")[:64]
    np.testing.assert_array_equal(boxes[0], given[largest])
    np.testing.assert_array_equal(labels[0], given_labels[largest])
    assert set(labels[0]) == {1, 2}

    np.testing.assert_allclose(boxes[1, :2], [[0, 0, 16 / 67, 32 / 99], [0, 0, 8 / 67, 8 / 99]], rtol=1e-6)
    assert (labels[1, :2].tolist(), crowds[1, :2].tolist()) == ([1, 2], [1, 0])
    assert not boxes[1, 2:].any()
    assert not labels[1, 2:].any()
    assert not crowds[1, 1:].any()
    assert not boxes[2].any()
    assert not labels[2].any()


def test_transform_graph_of_a_detector_passes_the_smaller_of_image_and_raster(detection_graph, encoded_images):
    images = encoded_images[-3:]
    passed = detection_graph.outputs[features.RASTER]
    raster_bytes = len(encode_raster(tf.zeros([48, 48, 3], tf.uint8)).numpy())
    kept = [value == image.data for value, image in zip(passed, images, strict=True)]
    assert kept == [len(image.data) < raster_bytes for image in images]
    assert set(kept) == {True, False}
    for value, image in zip(passed, images, strict=True):
        expected = rasterize(tf.constant(image.data), 48, 3)
        np.testing.assert_array_equal(decode_raster(tf.constant(value), (48, 48, 3)), expected)


def test_transform_graph_of_a_detector_serves_images_alone(detection_graph, encoded_images):
    layer = tft.TFTransformOutput(detection_graph.uri).transform_features_layer()
    encoded = [image.data for image in encoded_images]
    rasters = tf.map_fn(
        lambda passed: decode_raster(passed, (48, 48, 3)),
        layer({features.ENCODED: tf.constant(encoded)})[features.RASTER],
        fn_output_signature=tf.TensorSpec([48, 48, 3], tf.uint8),
    )
    for raster, image in zip(rasters, encoded_images, strict=True):
        np.testing.assert_array_equal(raster, rasterize(tf.constant(image.data), 48, 3), image.name)


def test_read_boxes_gives_back_what_the_transform_graph_of_a_detector_made(detection_graph, encoded_images, tmp_path):
    outputs = detection_graph.outputs
    path = str(tmp_path / "records.gz")
    kinds = {features.RASTER: "bytes_list", features.BOXES: "float_list"}
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for at in range(3):
            example = tf.train.Example()
            for key in (features.RASTER, features.BOXES, features.BOX_LABELS, features.BOX_CROWDS):
                values = getattr(example.features.feature[key], kinds.get(key, "int64_list")).value
                values.extend([outputs[key][at]] if key == features.RASTER else outputs[key][at])
            writer.write(example.SerializeToString())
    dataset = read_boxes([path], (48, 48, 3))
    for at, (raster, boxes, labels, crowds) in enumerate(dataset.as_numpy_iterator()):
        np.testing.assert_array_equal(raster, rasterize(tf.constant(encoded_images[at - 3].data), 48, 3))
        assert boxes.shape == (64, 4)
        np.testing.assert_array_equal(boxes.ravel(), np.float32(outputs[features.BOXES][at]))
        np.testing.assert_array_equal(labels, outputs[features.BOX_LABELS][at])
        np.testing.assert_array_equal(crowds, np.array(outputs[features.BOX_CROWDS][at]) == 1)


@pytest.mark.parametrize(
    "options", ['{"side": 31}', '{"side": 513}', '{"channels": 2}', '{"side": 96.0}', '{"sied": 9}']
)
def test_transform_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"side|channels|sied"):
        TransformOptions.from_json(options)
