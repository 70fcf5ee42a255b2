"""Takes out of a flatbuffer what TFLite Micro does not read, and writes once what is equal.

The answers stay the same to the bit; `components.quantization.equality` proves it for each file. What may go was read
off TFLite Micro's sources (micro_allocator.cc, micro_allocation_info.cc, and the kernels of CONV_2D, DEPTHWISE_CONV_2D
and FULLY_CONNECTED). LiteRT asks for as many zero points as scales and refuses most of the results, so the file as
converted stays beside the slim one. docs/slimming.md says which step saves what.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from components.quantization.flatbuffer import MALFORMED, damaged, operator_name, read_graph
from components.quantization.flatbuffer_records import pack_model, unpack_model

ALIGNMENT = 16  # schema.fbs: `data: [ubyte] (force_align: 16)`; the converter's own files do not keep to it

# The one record among the metadata that TFLite Micro looks for: where an offline planner placed each tensor, by index.
_MEMORY_PLAN = b"OfflineMemoryAllocation"

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_FULLY_CONNECTED = "FULLY_CONNECTED"


@dataclass(frozen=True)
class SlimStep:
    """One step, with the length of the file before and after it."""

    name: str
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class Slimmed:
    """A slim flatbuffer, and how it became one.

    Attributes:
      flatbuffer: equal bytes for equal input; every constant begins at a multiple of 16 bytes.
      steps: in the order in which they were taken; the first begins with the length of the input.
    """

    flatbuffer: bytes
    steps: tuple[SlimStep, ...]


def slim_flatbuffer(data: bytes) -> Slimmed:
    """Slims a flatbuffer for TFLite Micro.

    Args:
      data: a whole `.tflite` file, quantized or not.

    Raises:
      ModelError: when `data` is no flatbuffer, a damaged one, or holds what would be lost: constants that lie behind
        or outside of the tables, options of operators that are newer than the schema.
    """
    read_graph(data)
    try:
        model = unpack_model(data)
        files = [data]
        for step in _STEPS.values():
            step(model)
            files.append(pack_model(model))
        files.append(pack_model(model, shares=True))
        files.append(pack_model(model, shares=True, alignment=ALIGNMENT))
    except MALFORMED as error:
        raise damaged(len(data), f"{type(error).__name__}: {error}") from error
    names = (*_STEPS, "equal records once", f"constants at multiples of {ALIGNMENT}")
    steps = (
        SlimStep(name, len(before), len(after)) for name, (before, after) in zip(names, pairwise(files), strict=True)
    )
    return Slimmed(flatbuffer=files[-1], steps=tuple(steps))


def _drop_metadata(model: Any) -> None:
    model.metadata = [record for record in model.metadata or () if record.name == _MEMORY_PLAN] or None
    model.metadataBuffer = model.signatureDefs = model.description = None
    for graph in model.subgraphs:
        graph.debugMetadataIndex = -1
        for operator in graph.operators or ():
            operator.debugMetadataIndex = -1


def _drop_names(model: Any) -> None:
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors or ():
            tensor.name = None


def _drop_unused(model: Any) -> None:
    """Tensors, operator codes and buffers that nothing refers to; what stays, stays in order."""
    for graph in model.subgraphs:
        if model.metadata is None:  # a memory plan counts all tensors
            _renumber_tensors(graph)
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
        operator.mutatingVariableInputs = None
    _renumber_buffers(model, merge=False)


def _renumber_tensors(graph: Any) -> None:
    used = sorted({index for indices in _references(graph) for index in indices if index >= 0})
    place = np.full(len(graph.tensors) + 1, -1, np.int32)  # the last one stands for -1, an input left out
    place[used] = np.arange(len(used))
    graph.tensors = [graph.tensors[index] for index in used]
    for owner, field in _reference_fields(graph):
        if getattr(owner, field) is not None:
            setattr(owner, field, place[np.asarray(getattr(owner, field), np.int32)])


def _reference_fields(graph: Any) -> Iterator[tuple[Any, str]]:
    """Where tensors are named by index."""
    yield from ((graph, "inputs"), (graph, "outputs"))
    for operator in graph.operators or ():
        yield from ((operator, "inputs"), (operator, "outputs"), (operator, "intermediates"))


def _references(graph: Any) -> Iterator[list[int]]:
    for owner, field in _reference_fields(graph):
        yield _numbers(getattr(owner, field))


def _numbers(vector: npt.NDArray[Any] | list[int] | None) -> list[Any]:
    """The numbers of a vector, which the object API leaves absent, a list where it is empty, or else an array."""
    return [] if vector is None else np.asarray(vector).tolist()


def _merge_buffers(model: Any) -> None:
    _renumber_buffers(model, merge=True)


def _renumber_buffers(model: Any, *, merge: bool) -> None:
    """Buffer 0 for whatever has no data, as the schema has it, then those in use, and of equal ones the first."""
    kept = [type(model.buffers[0])()]
    places: dict[Any, int] = {}
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or ()]
    for owner in (*tensors, *(model.metadata or ())):
        buffer = model.buffers[owner.buffer]
        content = np.asarray(() if buffer.data is None else buffer.data, np.uint8).tobytes()
        key: Any = content if merge else owner.buffer
        if content and key not in places:
            places[key] = len(kept)
            kept.append(buffer)
        owner.buffer = places[key] if content else 0
    model.buffers = kept


def _merge_zero_points(model: Any) -> None:
    """TFLite Micro takes one zero point for that of every channel; channels that differ keep theirs."""
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors or ()):
        record = tensor.quantization
        zero_points = _numbers(record and record.zeroPoint)
        if len(zero_points) > 1 and len(set(zero_points)) == 1 and len(zero_points) == len(_numbers(record.scale)):
            record.zeroPoint = record.zeroPoint[:1]


def _drop_unread_records(model: Any) -> None:
    for graph in model.subgraphs:
        for tensor in graph.tensors or ():
            tensor.shapeSignature, tensor.hasRank = None, False
            record = tensor.quantization
            if record is None:
                continue
            record.min = record.max = None
            # Without a scale or a zero point TFLite Micro takes the record for none.
            if record.details is None and not (_numbers(record.scale) and _numbers(record.zeroPoint)):
                tensor.quantization = None


def _drop_bias_records(model: Any) -> None:
    for graph in model.subgraphs:
        uses = Counter(index for indices in _references(graph) for index in indices)
        for bias, times in Counter(_unread_biases(model, graph)).items():
            if uses[bias] == times:  # and nothing else besides
                graph.tensors[bias].quantization = None


def _unread_biases(model: Any, graph: Any) -> Iterator[int]:
    """Biases by index, once for each operator that does not look at their scale.

    Kernels for int8 and int16 take the scale of their sums from input and filter. FULLY_CONNECTED holds the bias
    against it (GetQuantizedConvolutionMultipler) where its whole filter has one scale, uint8 kernels always.
    """
    for operator in graph.operators or ():
        inputs = _numbers(operator.inputs)
        if len(inputs) < 3 or min(inputs) < 0:
            continue
        source, filter_ = (graph.tensors[index] for index in inputs[:2])
        name = operator_name(model.operatorCodes[operator.opcodeIndex])
        by_channel = len(_numbers(filter_.quantization and filter_.quantization.scale)) > 1
        if _is_int8_or_int16(source) and (name in _CONVOLUTIONS or (name == _FULLY_CONNECTED and by_channel)):
            yield inputs[2]


def _is_int8_or_int16(tensor: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    return tensor.type in (schema.TensorType.INT8, schema.TensorType.INT16)


_STEPS: dict[str, Callable[[Any], None]] = {
    "metadata, signatures, description": _drop_metadata,
    "names": _drop_names,
    "what nothing refers to": _drop_unused,
    "equal constants once": _merge_buffers,
    "one zero point for all channels": _merge_zero_points,
    "quantization of biases": _drop_bias_records,
    "min, max, empty records": _drop_unread_records,
}
