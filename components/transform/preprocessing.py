"""The preprocessing function that TFX's Transform compiles into the transform graph."""

from typing import Any

import tensorflow as tf

from components import features
from components.transform.image_ops import describe_raster, encode_raster, rasterize
from components.transform.options import TrainingRaster, TransformOptions


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
        features.OBJECT_BOXES: _largest_boxes(inputs),
        **_training_rasters(inputs[features.ENCODED], options.training_raster),
        features.TRANSFORMED_LABEL: inputs[features.LABEL],
        features.TRANSFORMED_SOURCE_ID: inputs[features.SOURCE_ID],
        features.BRIGHTNESS: brightness,
        features.CONTRAST: contrast,
        features.TRANSFORMED_WIDTH: inputs[features.WIDTH],
        features.TRANSFORMED_HEIGHT: inputs[features.HEIGHT],
        features.OBJECT_COUNT: tf.RaggedTensor.from_sparse(inputs[features.OBJECT_CATEGORY]).row_lengths(),
    }


def _training_rasters(encoded: Any, options: TrainingRaster | None) -> dict[str, Any]:
    """A loop of its own, so that the exported graph, which has no use for it, leaves it out."""
    if options is None:
        return {}
    rasters = tf.map_fn(
        lambda image: encode_raster(rasterize(image, options.side, options.channels)),
        encoded,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=16,
    )
    return {features.TRAINING_RASTER: rasters}


def _largest_boxes(inputs: dict[str, Any]) -> Any:
    """The boxes_yxyx of the largest objects that gave the label, as sparse float32 [n, 4 * objects]."""

    def dense(key: str) -> Any:
        return tf.pad(tf.sparse.to_dense(inputs[key]), [[0, 0], [0, features.MAX_OBJECTS]])  # top_k asks for as many

    keys = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)
    boxes = tf.stack([dense(key) for key in keys], -1)
    gives_label = tf.cast(dense(features.OBJECT_GIVES_LABEL), tf.float32)
    areas = gives_label * (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    largest, places = tf.math.top_k(areas, features.MAX_OBJECTS)
    values = tf.reshape(tf.gather(boxes, places, batch_dims=1), [-1, 4 * features.MAX_OBJECTS])
    lengths = 4 * tf.math.count_nonzero(largest > 0, axis=1)
    return tf.RaggedTensor.from_tensor(values, lengths=lengths).to_sparse()
