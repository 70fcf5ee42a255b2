import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components import features, pixels
from components.transform.image_ops import rasterize
from components.transform.options import TrainingRaster, TransformOptions
from components.transform.preprocessing import preprocessing_fn
from components.transformed_examples import decode_raster


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
        {"options": options.to_json(), "code_digest": "ignored"},
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
        {"options": TransformOptions(side=32).to_json()},
    )
    found = tf.RaggedTensor.from_sparse(outputs[features.OBJECT_BOXES]).to_list()
    expected = [[value for row in grown[:1:-1] for value in row[1:]], [], images[2][0][1:], []]
    for boxes, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(boxes, values, rtol=1e-6)
    assert len(found[0]) == 4 * features.MAX_OBJECTS
    assert features.TRAINING_RASTER not in outputs


@pytest.mark.parametrize(
    "options", ['{"side": 31}', '{"side": 513}', '{"channels": 2}', '{"side": 96.0}', '{"sied": 9}']
)
def test_transform_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"side|channels|sied"):
        TransformOptions.from_json(options)
