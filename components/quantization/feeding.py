"""What both interpreters ask of a model and of the images that it is fed."""

from typing import Any

import numpy.typing as npt

from components.errors import ModelError
from components.quantization.contracts import TensorContract
from components.quantization.flatbuffer import Graph
from components.quantization.inspect import contract_of


def check_feed(graph: Graph, images: npt.NDArray[Any]) -> tuple[TensorContract, TensorContract]:
    """Checks that a model takes one image at a time and that these images are of its kind.

    Args:
      graph: a model with one input [1, ...] and one output [1, ...].
      images: [n, ...] in the input's own dtype, so codes for a quantized model.

    Returns:
      The tensor contracts of the input and the output.

    Raises:
      ModelError: when the model has more inputs or outputs, another batch than 1, or another input than `images`.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"the model cannot be fed images: received inputs={len(graph.inputs)}, outputs={len(graph.outputs)}.",
            expected="one input and one output",
            hint="export a signature that takes one image tensor and returns one tensor",
        )
    source, answer = contract_of(graph.inputs[0]), contract_of(graph.outputs[0])
    if source.shape[:1] != (1,) or answer.shape[:1] != (1,):
        raise ModelError(
            f"the model does not take one image at a time: received input {source.shape}, output {answer.shape}.",
            expected="a batch of 1 in the first dimension of both",
            hint="convert from a signature whose batch is fixed at 1",
        )
    if images.shape[1:] != source.shape[1:] or images.dtype.name != source.dtype:
        raise ModelError(
            f"the images do not fit the model: received {images.dtype.name} {images.shape}.",
            expected=f"{source.dtype} [n, {', '.join(map(str, source.shape[1:]))}]",
            hint="size, channels and dtype come from the model's tensor contract (vww inspect FILE)",
        )
    return source, answer
