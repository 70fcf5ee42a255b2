"""What both interpreters ask of a model and of the images that it is fed."""

from typing import Any

import numpy.typing as npt

from components.errors import ModelError
from components.quantization.contracts import TensorContract
from components.quantization.flatbuffer import Graph
from components.quantization.inspect import contract_of


def check_feed(graph: Graph, images: npt.NDArray[Any]) -> tuple[TensorContract, tuple[TensorContract, ...]]:
    """Checks that a model takes one image at a time and that these images are of its kind.

    Args:
      graph: a model with one input [1, ...] and outputs [1, ...].
      images: [n, ...] in the input's own dtype, so codes for a quantized model.

    Returns:
      The tensor contracts of the input and of the outputs, in their order.

    Raises:
      ModelError: when the model has more inputs, no output, another batch than 1, or another input than `images`.
    """
    if not graph.outputs:
        raise _not_fed(graph)
    source, answers = check_input(graph, images), tuple(map(contract_of, graph.outputs))
    for answer in answers:
        if answer.shape[:1] != (1,):
            raise ModelError(
                f"the model does not answer one image at a time: received output {answer.shape}.",
                expected="a batch of 1 in the first dimension",
                hint="convert from a signature whose batch is fixed at 1",
            )
    return source, answers


def check_input(graph: Graph, images: npt.NDArray[Any]) -> TensorContract:
    """Checks that a model of any outputs takes one image at a time and that these images are of its kind.

    Returns:
      The tensor contract of the input.

    Raises:
      ModelError: when the model has more inputs, another batch than 1, or another input than `images`.
    """
    if len(graph.inputs) != 1:
        raise _not_fed(graph)
    source = contract_of(graph.inputs[0])
    if source.shape[:1] != (1,):
        raise ModelError(
            f"the model does not take one image at a time: received input {source.shape}.",
            expected="a batch of 1 in the first dimension",
            hint="convert from a signature whose batch is fixed at 1",
        )
    if images.shape[1:] != source.shape[1:] or images.dtype.name != source.dtype:
        raise ModelError(
            f"the images do not fit the model: received {images.dtype.name} {images.shape}.",
            expected=f"{source.dtype} [n, {', '.join(map(str, source.shape[1:]))}]",
            hint="size, channels and dtype come from the model's tensor contract (vww inspect FILE)",
        )
    return source


def _not_fed(graph: Graph) -> ModelError:
    return ModelError(
        f"the model cannot be fed images: received inputs={len(graph.inputs)}, outputs={len(graph.outputs)}.",
        expected="one input, and at least one output",
        hint="export a signature that takes one image tensor and returns its answers",
    )
