"""Converts a SavedModel's signature to a full-integer flatbuffer that TFLite Micro can run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.quantization.flatbuffer import Graph, Tensor, read_graph
from components.quantization.outputs import order_outputs

# Input range [-1, 1] in 255 steps; half of the codes lie on either side of 0, so two zero points are as good.
INPUT_SCALE = 2 / 255
INPUT_ZERO_POINTS = (-1, 0)

# The converter gives activations that are all but constant, as in an untrained model, scales down to 7.8e-9.
# SOFTMAX calls abort() on an input scale below 2**-26 = 1.5e-8, and up to here answers every image alike.
# The smallest scale of a trained model was 1/256, that of its output.
MIN_ACTIVATION_SCALE = 1e-6


def convert_full_integer(saved_model_dir: Path, signature: str, images: npt.NDArray[np.float32]) -> bytes:
    """Converts one signature to int8 weights, activations, input and output.

    Imports TensorFlow.

    Args:
      saved_model_dir: a SavedModel written by Keras's ExportArchive, with variables the calibrator can read.
      signature: takes one float32 tensor [1, height, width, channels], returns one tensor or a detector's.
      images: float32 [n, height, width, channels] in [-1, 1], which calibrate the activations; pinned to the
        whole range with `pin_input_range`.

    Returns:
      The flatbuffer, its outputs in the order of `outputs.output_order`. Equal SavedModels and images give equal bytes.

    Raises:
      ModelError: when the SavedModel has no such signature of one image, cannot be converted, or would not run
        as promised on a device: input other than int8 with scale 2/255 and zero point -1 or 0, a tensor left in
        float, an activation scale below 1e-6, outputs that are neither one nor a detector's.
    """
    _check_signature(saved_model_dir, signature, images.shape)

    import tensorflow as tf

    def representative_dataset() -> Iterator[list[npt.NDArray[np.float32]]]:
        for image in images:
            yield [image[np.newaxis]]

    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model_dir), signature_keys=[signature])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        flatbuffer = bytes(converter.convert())
    # The converter has no exception of its own: ConverterError is an Exception, the calibrator's are RuntimeErrors.
    except Exception as error:
        raise _not_converted(f"signature {signature!r} of {saved_model_dir}", error) from error
    check_full_integer(read_graph(flatbuffer))
    return order_outputs(flatbuffer)


def convert_float(saved_model_dir: Path, signature: str) -> bytes:
    """The float32 flatbuffer of a signature, with operators and outputs as `convert_full_integer` would have them.

    Imports TensorFlow.

    Raises:
      ModelError: when the SavedModel cannot be converted, or has outputs that are neither one nor a detector's.
    """
    import tensorflow as tf

    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model_dir), signature_keys=[signature])
        flatbuffer = bytes(converter.convert())
    except Exception as error:  # as in convert_full_integer
        raise _not_converted(f"signature {signature!r} of {saved_model_dir}", error) from error
    return order_outputs(flatbuffer)


def convert_float_keras(model: Any) -> bytes:
    """The float32 flatbuffer of a Keras model of one image input, at batch 1; as `convert_float`."""
    import tensorflow as tf

    shape = [1, *model.input_shape[1:]]
    function = tf.function(lambda images: model(images, training=False))
    try:
        concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
        # Without the model as trackable: with it the variables of Keras 3 stay variables.
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    except Exception as error:  # as in convert_full_integer
        raise _not_converted(f"the Keras model {model.name!r}", error) from error


def check_full_integer(graph: Graph) -> None:
    """Checks that a converted graph keeps the pixel contract and runs in integers from input to output.

    Raises:
      ModelError: naming the tensor that does not.
    """
    for tensor in graph.inputs:
        if not _keeps_pixel_contract(tensor):
            raise ModelError(
                f"the input {tensor.name!r} does not take p - 128: received {tensor.dtype},"
                f" scale={_first(tensor.scales)}, zero_point={_first(tensor.zero_points)}.",
                expected=f"int8, scale={INPUT_SCALE:.9f} (2/255), zero_point in {INPUT_ZERO_POINTS}",
                hint="calibrate with pin_input_range(images): a black and a white image fix the range to [-1, 1]",
            )
    for tensor in graph.tensors:
        if tensor.dtype.startswith(("float", "bfloat")):
            raise ModelError(
                f"the model is not full integer: tensor {tensor.name!r} stayed {tensor.dtype}.",
                expected="integer tensors only",
                hint="replace the operator beside it by one with an int8 kernel, or keep it out of the signature",
            )
    for tensor in graph.outputs:
        if tensor.dtype != "int8":
            raise ModelError(
                f"the output {tensor.name!r} is {tensor.dtype}.",
                expected="int8",
                hint="let the signature return probabilities or logits, not label ids",
            )
    for tensor in graph.tensors:
        scale = min(tensor.scales, default=None)
        # `not >=` also catches a scale that is no number.
        if tensor.constant_bytes == 0 and scale is not None and not scale >= MIN_ACTIVATION_SCALE:
            raise ModelError(
                f"tensor {tensor.name!r} has the degenerate scale {scale:.3g}: its values are all but constant.",
                expected=f"activation scales of at least {MIN_ACTIVATION_SCALE:g}; TFLite Micro aborts far below",
                hint="train the model first; BatchNorm statistics of an untrained one are enough to cause this",
            )


def _not_converted(what: str, error: Exception) -> ModelError:
    reason, *_ = str(error).splitlines() or [type(error).__name__]
    return ModelError(
        f"{what} cannot be converted: {reason}",
        expected="a signature whose operators all have an int8 form in TensorFlow Lite",
        hint="the converter's whole answer stands in the log; export with keras.export.ExportArchive",
    )


def _keeps_pixel_contract(tensor: Tensor) -> bool:
    return (
        tensor.dtype == "int8"
        and len(tensor.scales) == 1
        and bool(np.isclose(tensor.scales[0], INPUT_SCALE, rtol=1e-6, atol=0))
        and _first(tensor.zero_points) in INPUT_ZERO_POINTS
    )


def _first(values: tuple[Any, ...]) -> Any:
    return values[0] if values else None


def _check_signature(saved_model_dir: Path, signature: str, images_shape: tuple[int, ...]) -> None:
    """Checks before any work that the signature takes these images one at a time."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_model_dir / "saved_model.pb"
    try:
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        signatures = model.meta_graphs[0].signature_def
    # protobuf's DecodeError lives in one of several places, by implementation.
    except Exception as error:
        raise ModelError(
            f"{saved_model_dir} cannot be read as a SavedModel: {error}.",
            expected=f"a SavedModel with {path.name}",
            hint="pass the folder that the Trainer exported",
        ) from error
    if signature not in signatures:
        raise ModelError(
            f"{saved_model_dir} has no signature {signature!r}.",
            expected=f"one of {', '.join(sorted(signatures))}",
            hint="export the model with a signature that takes pixels",
        )
    shapes = [tuple(d.size for d in spec.tensor_shape.dim) for spec in signatures[signature].inputs.values()]
    if len(images_shape) != 4 or images_shape[0] == 0 or shapes != [(1, *images_shape[1:])]:
        raise ModelError(
            f"signature {signature!r} takes {shapes or 'no input'}, the calibration images are {list(images_shape)}.",
            expected="one input [1, height, width, channels], and at least one image of that size",
            hint="fix the batch of the signature at 1: a free one adds SHAPE, STRIDED_SLICE and PACK to the model",
        )
