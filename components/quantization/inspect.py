"""What a flatbuffer is made of: operators with versions, tensor contracts, MACs and bytes. Changes nothing."""

import math
from collections import Counter
from collections.abc import Callable

from components.errors import ModelError
from components.options import Options
from components.quantization.contracts import TensorContract
from components.quantization.flatbuffer import Operator, Tensor, read_graph
from components.quantization.records import Layer, OpUse


class FlatbufferReport(Options):
    """What `inspect_flatbuffer` found.

    Attributes:
      flatbuffer_bytes: length of the file.
      weight_bytes: data of the constant tensors of the main subgraph, each buffer counted once.
      schema_version: of the file format; 3.
      description: what the converter wrote about itself.
      subgraphs: how many there are; everything below but `ops` is about the first.
      tensors: how many tensors there are, constants included.
      ops: kinds of operators in order of first use, with those in the bodies of IF, WHILE and CALL_ONCE.
      inputs: tensor contracts in the order in which a caller passes them.
      outputs: tensor contracts in the order in which a caller reads them.
      macs: multiply-accumulates of one inference at batch 1, the sum over `layers`.
      layers: the operators in order of execution.
    """

    flatbuffer_bytes: int
    weight_bytes: int
    schema_version: int
    description: str
    subgraphs: int
    tensors: int
    ops: tuple[OpUse, ...]
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]
    macs: int
    layers: tuple[Layer, ...]


def inspect_flatbuffer(data: bytes) -> FlatbufferReport:
    """Reads a `.tflite` file's operators, tensor contracts, MACs and sizes, without running it.

    Args:
      data: the whole file, of any types: int8, uint8, float.

    Raises:
      ModelError: when `data` is no flatbuffer of TensorFlow Lite, or a damaged one.
    """
    graph = read_graph(data)
    layers = tuple(_layer(index, operator) for index, operator in enumerate(graph.operators))
    return FlatbufferReport(
        flatbuffer_bytes=len(data),
        weight_bytes=graph.constant_bytes,
        schema_version=graph.schema_version,
        description=graph.description,
        subgraphs=graph.subgraphs,
        tensors=len(graph.tensors),
        ops=tuple(OpUse(name=n, version=v, count=count, custom=c) for (n, v, c), count in Counter(graph.kinds).items()),
        inputs=tuple(map(contract_of, graph.inputs)),
        outputs=tuple(map(contract_of, graph.outputs)),
        macs=sum(layer.macs for layer in layers),
        layers=layers,
    )


def contract_of(tensor: Tensor) -> TensorContract:
    """What a caller has to know of one input or output, which is quantized per tensor or not at all."""
    return TensorContract(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if tensor.scales else None,
        zero_point=tensor.zero_points[0] if tensor.zero_points else None,
    )


def _input(operator: Operator, index: int) -> Tensor:
    tensor = operator.inputs[index] if index < len(operator.inputs) else None
    if tensor is None:
        raise _incomplete(operator, f"input {index}")
    return tensor


def _output(operator: Operator) -> Tensor:
    tensor = operator.outputs[0] if operator.outputs else None
    if tensor is None:
        raise _incomplete(operator, "output 0")
    return tensor


def _incomplete(operator: Operator, missing: str) -> ModelError:
    return ModelError(
        f"damaged flatbuffer: operator {operator.name} has no usable {missing}.",
        expected=f"every {operator.name} with its tensors, as the schema describes it",
        hint="convert the model again",
    )


def _filter(operator: Operator, index: int, rank: int) -> tuple[int, ...]:
    shape = _input(operator, index).shape
    if len(shape) != rank:
        raise _incomplete(operator, f"input {index} of rank {rank}, received shape={shape}")
    return shape


# Layouts from the schema and the kernels: CONV_2D and TRANSPOSE_CONV filters are O H W I (I of one group),
# DEPTHWISE_CONV_2D filters 1 H W O, CONV_3D filters D H W I O, FULLY_CONNECTED weights O I.
def _conv_2d(operator: Operator) -> int:
    return _output(operator).elements * math.prod(_filter(operator, 1, 4)[1:])


def _depthwise_conv_2d(operator: Operator) -> int:
    return _output(operator).elements * math.prod(_filter(operator, 1, 4)[1:3])


def _conv_3d(operator: Operator) -> int:
    return _output(operator).elements * math.prod(_filter(operator, 1, 5)[:4])


def _fully_connected(operator: Operator) -> int:
    return _output(operator).elements * _filter(operator, 1, 2)[1]


def _transpose_conv(operator: Operator) -> int:
    # Every input value is spread over one H W patch of every output channel; inputs are shape, filter, values.
    return _input(operator, 2).elements * math.prod(_filter(operator, 1, 4)[:3])


def _batch_matmul(operator: Operator) -> int:
    # The left matrix holds rows * depth values, transposed or not; the output's last dimensions are rows, columns.
    left, product = _input(operator, 0).shape, _output(operator)
    if len(left) < 2 or len(product.shape) < 2:
        raise _incomplete(operator, f"matrices, received shapes {left} and {product.shape}")
    return product.elements * (left[-1] * left[-2] // max(product.shape[-2], 1))


_MACS: dict[str, Callable[[Operator], int]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "CONV_3D": _conv_3d,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "BATCH_MATMUL": _batch_matmul,
}


def _layer(index: int, operator: Operator) -> Layer:
    outputs = [tensor for tensor in operator.outputs if tensor is not None]
    return Layer(
        index=index,
        op=operator.name,
        output_shape=outputs[0].shape if outputs else (),
        macs=_MACS[operator.name](operator) if operator.name in _MACS else 0,
        weight_bytes=sum(tensor.constant_bytes for tensor in operator.inputs if tensor is not None),
        output_bytes=sum(tensor.value_bytes or 0 for tensor in outputs),
    )
