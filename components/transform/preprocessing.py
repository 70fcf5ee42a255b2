"""The preprocessing function that TFX's Transform compiles into the transform graph."""

from typing import Any

import tensorflow as tf

from components import features
from components.transform.image_ops import encode_raster, rasterize
from components.transform.options import TransformOptions


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Raw examples to transformed examples, keys as in `components.features`.

    The raster stays on the 8-bit grid here, a quarter of its size as floats and exact; `components.pixels.normalize`
    brings it to [-1, 1] in the one line that training and the exported signatures share.

    Args:
      inputs: batched raw features, dense [n] where the schema gives them a shape.
      custom_config: `options` holds `TransformOptions` as JSON.
    """
    options = TransformOptions.from_json(custom_config["options"])
    return {
        features.RASTER: tf.map_fn(
            lambda encoded: encode_raster(rasterize(encoded, options.side, options.channels)),
            inputs[features.ENCODED],
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=16,
        ),
        features.TRANSFORMED_LABEL: inputs[features.LABEL],
        features.TRANSFORMED_SOURCE_ID: inputs[features.SOURCE_ID],
    }
