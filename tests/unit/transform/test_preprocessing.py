import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components import features, pixels
from components.transform.options import TransformOptions
from components.transform.preprocessing import preprocessing_fn
from components.transformed_examples import decode_raster


def test_transform_graph_passes_label_and_source_id_on(transform_graph, raw_examples):
    parsed = [tf.train.Example.FromString(example).features.feature for example in raw_examples]
    outputs = transform_graph.outputs
    assert outputs.keys() == {features.RASTER, features.TRANSFORMED_SOURCE_ID, *features.DESCRIPTIVE}
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
    options = TransformOptions(side=48, channels=channels)
    outputs = preprocessing_fn(
        {
            features.ENCODED: tf.constant([image.data for image in encoded_images]),
            features.LABEL: tf.range(len(encoded_images)),
            features.SOURCE_ID: tf.constant([image.name for image in encoded_images]),
            features.WIDTH: tf.constant([image.width for image in encoded_images]),
            features.HEIGHT: tf.constant([image.height for image in encoded_images]),
            features.OBJECT_CATEGORY: tf.ragged.constant([[1]] * len(encoded_images), tf.int64).to_sparse(),
        },
        {"options": options.to_json(), "code_digest": "ignored"},
    )
    for serialized in outputs[features.RASTER]:
        assert tf.io.parse_tensor(serialized, tf.uint8).shape == (48, 48, channels)


@pytest.mark.parametrize(
    "options", ['{"side": 31}', '{"side": 513}', '{"channels": 2}', '{"side": 96.0}', '{"sied": 9}']
)
def test_transform_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"side|channels|sied"):
        TransformOptions.from_json(options)
