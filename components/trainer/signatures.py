"""The exported SavedModel: the trained model behind its two signatures."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.export import TFExportArchive  # keras.export.ExportArchive only makes one
from tensorflow.core.protobuf import fingerprint_pb2

from components import features, pixels
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.feature_maps import anchor_maps
from components.detection.options import DecoderOptions
from components.trainer.decoder import decode_batch
from components.trainer.job import Architecture, TrainingJob
from components.trainer.models.ssd import per_map_layer
from components.transformed_examples import decode_raster

Outputs = dict[str, Any]


def export(model: keras.Model, transform_features_layer: Any, directory: str, job: TrainingJob) -> None:
    """Writes a SavedModel with both signatures of `components.features`; equal weights give equal files.

    Args:
      model: from float32 [n, side, side, channels] in [-1, 1] to logits, or a detector's to what its decoder takes.
      transform_features_layer: TFT's layer, which applies the transform graph to raw features.
      directory: where the SavedModel goes.
      job: that the model was trained by.
    """
    shape = tuple(model.input_shape[1:])
    answer = _serving_answer(job.architecture, job.decoder)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])  # type: ignore[untyped-decorator]
    def serve(examples: Any) -> Outputs:
        raw = tf.io.parse_example(examples, {features.ENCODED: tf.io.FixedLenFeature([], tf.string)})
        serialized = transform_features_layer(raw)[features.RASTER]
        rasters = tf.map_fn(
            lambda raster: decode_raster(raster, shape), serialized, fn_output_signature=tf.TensorSpec(shape, tf.uint8)
        )
        images = pixels.normalize(tf.cast(rasters, tf.float32))
        return answer(model(images, training=False))

    archive = _OrderedArchive(model)
    archive.track(transform_features_layer)
    archive.add_endpoint(features.SERVING_SIGNATURE, serve)
    archive.add_endpoint(features.PIXELS_SIGNATURE, _pixels(model, job.architecture))
    archive.write(directory)


def export_pixels(model: keras.Model, directory: str, architecture: Architecture) -> None:
    """Writes a SavedModel with the pixels signature alone, which is all that a conversion needs."""
    archive = _OrderedArchive(model)
    archive.add_endpoint(features.PIXELS_SIGNATURE, _pixels(model, architecture))
    archive.write(directory)


class _OrderedArchive(TFExportArchive):  # type: ignore[misc]  # Keras publishes no types
    """An archive of one model that two processes write alike.

    Keras lists the variables of a traced function, which come from a set in the order of their addresses, and
    TensorFlow puts a random number into the fingerprint.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.track(model)
        self._place = {id(variable.value): place for place, variable in enumerate(model.variables)}

    def write(self, directory: str) -> None:
        """Writes the SavedModel."""
        self.write_out(directory, verbose=False)
        path = f"{directory}/fingerprint.pb"
        with tf.io.gfile.GFile(path, "rb") as file:
            fingerprint = fingerprint_pb2.FingerprintDef.FromString(file.read())
        fingerprint.ClearField("uuid")
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(fingerprint.SerializeToString(deterministic=True))

    def _filter_and_track_resources(self) -> None:
        super()._filter_and_track_resources()
        found = self._tf_trackable._all_variables  # noqa: SLF001  # this and the method: keras 3.15
        self._tf_trackable._all_variables = sorted(found, key=lambda variable: self._place[id(variable)])  # noqa: SLF001


class _FixedNormalization(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """A trained BatchNorm as one product and one sum, worked out in float64.

    TensorFlow works them out when it converts, in float32 and by a reciprocal square root whose last bit depends on
    the processor: of 2,738 weight scales of MobileNet v1 0.25, 616 came out differently on one with AVX-512 and one
    without, and with them the int8 file.
    """

    def __init__(self, trained: keras.layers.BatchNormalization) -> None:
        super().__init__(name=trained.name, trainable=False)
        gamma, beta, mean, variance = (
            np.asarray(variable, np.float64)
            for variable in (trained.gamma, trained.beta, trained.moving_mean, trained.moving_variance)
        )
        factor = gamma / np.sqrt(variance + trained.epsilon)
        self._factor = factor.astype(np.float32)
        self._offset = (beta - mean * factor).astype(np.float32)

    def call(self, values: Any, **_: Any) -> Any:
        """Float32 [n, height, width, channels], normalized by channel; whatever else BatchNorm is told, it ignores."""
        return values * self._factor + self._offset


def _pixels(model: keras.Model, architecture: Architecture) -> Any:
    network = architecture.detector
    fixed = keras.models.clone_model(
        model if network is None or network.outputs == "concatenated" else _per_map(model, architecture),
        clone_function=lambda layer: (
            _FixedNormalization(layer) if isinstance(layer, keras.layers.BatchNormalization) else layer
        ),
    )
    answer = _probabilities if network is None else dict

    # The batch is fixed, so that the converter adds no ops to find it out.
    @tf.function(input_signature=[tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name=features.IMAGE)])  # type: ignore[untyped-decorator]
    def answer_pixels(image: Any) -> Outputs:
        return answer(fixed(image, training=False))

    return answer_pixels


def _per_map(model: keras.Model, architecture: Architecture) -> keras.Model:
    """The same detector with the outputs of every feature map by themselves: boxes_0, scores_0, boxes_1, ..."""
    assert architecture.detector is not None
    maps = len(anchor_maps(architecture.backbone, architecture.side, architecture.detector))
    outputs = {
        f"{name}_{number}": model.get_layer(per_map_layer(name, number)).output
        for number in range(maps)
        for name in (features.ENCODED_BOXES, features.SCORE_LOGITS)
    }
    return keras.Model(model.input, outputs, name=model.name)


def _serving_answer(architecture: Architecture, decoder: DecoderOptions) -> Callable[[Any], Outputs]:
    """From what the model gives to the outputs of the serving signature."""
    if architecture.detector is None:
        return _probabilities
    anchors = anchors_yxhw(anchor_maps(architecture.backbone, architecture.side, architecture.detector))
    return lambda found: decode_batch(
        found[features.ENCODED_BOXES], found[features.SCORE_LOGITS], anchors, options=decoder
    )


def _probabilities(logits: Any) -> Outputs:
    return {features.PROBABILITIES: tf.nn.softmax(logits)}
