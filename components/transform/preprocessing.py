"""The preprocessing function that TFX's Transform compiles into the transform graph."""

from typing import Any

import tensorflow as tf

from components import features
from components.transform.image_ops import describe_raster, encode_raster, rasterize
from components.transform.options import TransformOptions


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Raw examples to transformed examples, keys as in `components.features`.

    The raster stays on the 8-bit grid here, a quarter of its size as floats and exact; `components.pixels.normalize`
    brings it to [-1, 1] in the one line that training and the exported signatures share.

    Args:
      inputs: batched raw features, dense [n] where the schema gives them a shape and sparse [n, any] where not.
      custom_config: `options` holds `TransformOptions` as JSON.
    """
    options = TransformOptions.from_json(custom_config["options"])

    def transform(encoded: Any) -> tuple[Any, Any, Any]:
        raster = rasterize(encoded, options.side, options.channels)
        return encode_raster(raster), *describe_raster(raster)

    rasters, brightness, contrast = tf.map_fn(
        transform,
        inputs[features.ENCODED],
        fn_output_signature=tuple(tf.TensorSpec([], dtype) for dtype in (tf.string, tf.float32, tf.float32)),
        parallel_iterations=16,
    )
    return {
        features.RASTER: rasters,
        features.TRANSFORMED_LABEL: inputs[features.LABEL],
        features.TRANSFORMED_SOURCE_ID: inputs[features.SOURCE_ID],
        features.BRIGHTNESS: brightness,
        features.CONTRAST: contrast,
        features.TRANSFORMED_WIDTH: inputs[features.WIDTH],
        features.TRANSFORMED_HEIGHT: inputs[features.HEIGHT],
        features.OBJECT_COUNT: tf.RaggedTensor.from_sparse(inputs[features.OBJECT_CATEGORY]).row_lengths(),
    }
