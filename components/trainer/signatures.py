"""The exported SavedModel: the trained model behind its two signatures."""

from typing import Any

import keras
import tensorflow as tf

from components import features, pixels
from components.transformed_examples import decode_raster


def export(model: keras.Model, transform_features_layer: Any, directory: str) -> None:
    """Writes a SavedModel with both signatures of `components.features`.

    Args:
      model: from float32 [n, side, side, channels] in [-1, 1] to logits.
      transform_features_layer: TFT's layer, which applies the transform graph to raw features.
      directory: where the SavedModel goes.
    """
    shape = tuple(model.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])  # type: ignore[untyped-decorator]
    def serve(examples: Any) -> dict[str, Any]:
        raw = tf.io.parse_example(examples, {features.ENCODED: tf.io.FixedLenFeature([], tf.string)})
        serialized = transform_features_layer(raw)[features.RASTER]
        rasters = tf.map_fn(
            lambda raster: decode_raster(raster, shape), serialized, fn_output_signature=tf.TensorSpec(shape, tf.uint8)
        )
        images = pixels.normalize(tf.cast(rasters, tf.float32))
        return {features.PROBABILITIES: tf.nn.softmax(model(images, training=False))}

    archive = keras.export.ExportArchive()
    archive.track(transform_features_layer)
    archive.track(model)
    archive.add_endpoint(features.SERVING_SIGNATURE, serve)
    archive.add_endpoint(features.PIXELS_SIGNATURE, _classify(model))
    archive.write_out(directory, verbose=False)


def export_pixels(model: keras.Model, directory: str) -> None:
    """Writes a SavedModel with the pixels signature alone, which is all that a conversion needs."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(features.PIXELS_SIGNATURE, _classify(model))
    archive.write_out(directory, verbose=False)


def _classify(model: keras.Model) -> Any:
    # The batch is fixed, so that the converter adds no ops to find it out.
    @tf.function(input_signature=[tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name=features.IMAGE)])  # type: ignore[untyped-decorator]
    def classify(image: Any) -> dict[str, Any]:
        return {features.PROBABILITIES: tf.nn.softmax(model(image, training=False))}

    return classify
