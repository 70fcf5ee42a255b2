"""The preprocessing function that TFX's Transform compiles into the transform graph."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from components import features
from components.rasters import encode_raster, encode_smaller, rasterize
from components.transform.image_ops import describe_raster
from components.transform.options import TrainingRaster, TransformJob


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Raw examples to transformed examples, keys as in `components.features`.

    The raster stays on the 8-bit grid here, a quarter of its size as floats and exact; `components.pixels.normalize`
    brings it to [-1, 1] in the one line that training and the exported signatures share.

    Args:
      inputs: batched raw features, dense [n] where the schema gives them a shape and sparse [n, any] where not.
      custom_config: `job` holds a `TransformJob` as JSON.
    """
    job = TransformJob.from_json(custom_config["job"])
    options = job.options
    is_detection = job.task == "detection"
    encode = encode_smaller if is_detection else _encode_raster_only

    def transform(encoded: Any) -> tuple[Any, Any, Any]:
        raster = rasterize(encoded, options.side, options.channels)
        return encode(raster, encoded), *describe_raster(raster)

    rasters, brightness, contrast = tf.map_fn(
        transform,
        inputs[features.ENCODED],
        fn_output_signature=tuple(tf.TensorSpec([], dtype) for dtype in (tf.string, tf.float32, tf.float32)),
        parallel_iterations=16,
    )
    return {
        features.RASTER: rasters,
        **(_padded_boxes(inputs, options.max_boxes) if is_detection else _largest_boxes(inputs)),
        **_training_rasters(inputs[features.ENCODED], options.training_raster, encode),
        features.TRANSFORMED_LABEL: inputs[features.LABEL],
        features.TRANSFORMED_SOURCE_ID: inputs[features.SOURCE_ID],
        features.BRIGHTNESS: brightness,
        features.CONTRAST: contrast,
        features.TRANSFORMED_WIDTH: inputs[features.WIDTH],
        features.TRANSFORMED_HEIGHT: inputs[features.HEIGHT],
        features.OBJECT_COUNT: tf.RaggedTensor.from_sparse(inputs[features.OBJECT_CATEGORY]).row_lengths(),
    }


def _encode_raster_only(raster: Any, _encoded: Any) -> Any:
    return encode_raster(raster)


def _training_rasters(encoded: Any, options: TrainingRaster | None, encode: Callable[..., Any]) -> dict[str, Any]:
    """A loop of its own, so that the exported graph, which has no use for it, leaves it out."""
    if options is None:
        return {}
    rasters = tf.map_fn(
        lambda image: encode(rasterize(image, options.side, options.channels), image),
        encoded,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=16,
    )
    return {features.TRAINING_RASTER: rasters}


def _largest_boxes(inputs: dict[str, Any]) -> dict[str, Any]:
    """The boxes_yxyx of the largest objects that gave the label, as sparse float32 [n, 4 * objects]."""
    gives_label = _dense(inputs, features.OBJECT_GIVES_LABEL, features.MAX_OBJECTS)
    boxes, largest, _ = _find_largest(inputs, gives_label, features.MAX_OBJECTS)
    values = tf.reshape(boxes, [-1, 4 * features.MAX_OBJECTS])
    lengths = 4 * tf.math.count_nonzero(largest > 0, axis=1)
    return {features.OBJECT_BOXES: tf.RaggedTensor.from_tensor(values, lengths=lengths).to_sparse()}


def _padded_boxes(inputs: dict[str, Any], max_boxes: int) -> dict[str, Any]:
    """The largest labelled objects of each image, padded with rows of 0."""
    labels, crowds = (_dense(inputs, key, max_boxes) for key in (features.OBJECT_LABEL, features.OBJECT_IS_CROWD))
    boxes, largest, places = _find_largest(inputs, tf.cast(labels > 0, tf.int64), max_boxes)
    is_box = largest > 0
    kept = [tf.where(is_box, tf.gather(each, places, batch_dims=1), 0) for each in (labels, crowds)]
    return {
        features.BOXES: tf.reshape(tf.where(is_box[..., tf.newaxis], boxes, 0.0), [-1, 4 * max_boxes]),
        features.BOX_LABELS: kept[0],
        features.BOX_CROWDS: kept[1],
    }


def _find_largest(inputs: dict[str, Any], counts: Any, number: int) -> tuple[Any, Any, Any]:
    """The largest boxes of each image; of equal ones, the first.

    Args:
      inputs: raw features.
      counts: int64 [n, objects], 1 for those that may be chosen and 0 for the others.
      number: of boxes.

    Returns:
      (boxes_yxyx, areas, places): float32 [n, number, 4]; float32 [n, number], falling, 0 where there are fewer; and
      int32 [n, number], where they stand among the objects.
    """
    keys = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)
    boxes = tf.stack([_dense(inputs, key, number) for key in keys], -1)
    areas = tf.cast(counts, tf.float32) * (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    largest, places = tf.math.top_k(areas, number)
    return tf.gather(boxes, places, batch_dims=1), largest, places


def _dense(inputs: dict[str, Any], key: str, room: int) -> Any:
    """[n, objects + room], so that top_k finds as many as it is asked for."""
    return tf.pad(tf.sparse.to_dense(inputs[key]), [[0, 0], [0, room]])
