"""Reads the graph of a flatbuffer into plain records, and refuses what is none.

The file is whatever a person hands to `vww inspect`, so nothing in it is believed: the schema classes of the
ai_edge_litert wheel follow offsets without a check of their own. Every vector is paid for from a budget before
it is walked, so that a file which declares billions of elements, or lays its tables over each other, ends in
a ModelError and not in a minute of work.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from components.errors import ModelError

IDENTIFIER = b"TFL3"  # bytes 4...8 of every flatbuffer, schema.fbs `file_identifier`
ROOT_BYTES = 8

# A file that shares nothing is read at most once; this leaves room for strings and shapes that are shared.
_READS_PER_BYTE = 2
_TABLE_BYTES = 8  # the least that a table in a vector takes: its offset, and the table's own to its vtable
_MAX_RANK = 8  # of the kernels; also keeps products of dimensions printable

_ITEM_BYTES = {
    name: np.dtype(name).itemsize
    for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32")
}

# What the schema classes raise when an offset, a length or a code leads nowhere. numpy answers a vector that
# is longer than the file with ValueError, struct a scalar outside of it with struct.error.
MALFORMED = (struct.error, ValueError, TypeError, IndexError, AttributeError, KeyError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
      name: its name; empty where it was stripped.
      shape: its dimensions as written; -1 is never written by the converter, an unknown dimension is 1.
      dtype: NumPy's name of its type, such as `int8`; for types that NumPy lacks, the schema's in lower case.
      scales: real value of one code, per tensor or per channel; empty for a tensor that is not quantized.
      zero_points: code of the real value 0, one for every scale, or one for all of them.
      constant_bytes: length of its data in the file; 0 for an input, output or activation.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    constant_bytes: int

    @property
    def elements(self) -> int:
        """The number of values, where an unknown dimension counts as 1."""
        return math.prod(max(dimension, 1) for dimension in self.shape)

    @property
    def value_bytes(self) -> int | None:
        """What its values take; None for a type that NumPy lacks, such as text or two values in a byte."""
        return self.elements * _ITEM_BYTES[self.dtype] if self.dtype in _ITEM_BYTES else None


@dataclass(frozen=True)
class Operator:
    """One operator of a graph, with its tensors in the kernel's order; None for an optional input left out."""

    name: str
    version: int
    custom: bool
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Graph:
    """The main subgraph of a flatbuffer, with its operators in order of execution, and what the others use.

    Attributes:
      schema_version: of the file format, 3 for every TensorFlow Lite model.
      description: what the converter wrote about itself, such as `MLIR Converted.`.
      subgraphs: how many there are; the first runs first, the others are the bodies of its IF, WHILE and CALL_ONCE.
      kinds: name, version and `custom` of every operator of all subgraphs, in their order.
      constant_bytes: data of all constant tensors of it, each buffer counted once.
    """

    schema_version: int
    description: str
    subgraphs: int
    kinds: tuple[tuple[str, int, bool], ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    constant_bytes: int


def read_graph(data: bytes) -> Graph:
    """Reads the main subgraph of a flatbuffer, and of the others which operators they use.

    Args:
      data: a whole `.tflite` file.

    Raises:
      ModelError: when `data` is no flatbuffer of TensorFlow Lite, or a damaged one.
    """
    if len(data) < ROOT_BYTES or data[4:ROOT_BYTES] != IDENTIFIER:
        raise ModelError(
            f"not a TensorFlow Lite flatbuffer: received {len(data)} bytes that start with {data[:ROOT_BYTES]!r}.",
            expected=f"a .tflite file, with {IDENTIFIER.decode()} in bytes 4 to 7",
            hint=_other_format_hint(data),
        )
    try:
        return _Reader(data).graph()
    except MALFORMED as error:
        raise damaged(len(data), f"{type(error).__name__}: {error}") from error


def _other_format_hint(data: bytes) -> str:
    if not data:
        return "the file is empty; copy or convert it again"
    if data.startswith(b"PK"):
        return "this is a zip archive; a .keras file or an archive of a SavedModel has to be converted first"
    if data.startswith(b"\x89HDF"):
        return "this is an HDF5 file; load it with Keras and convert the model"
    return "pass the .tflite file itself, not a SavedModel, an archive or a C array"


def damaged(size: int, reason: str) -> ModelError:
    """What to raise on a file of `size` bytes whose tables cannot be followed."""
    return ModelError(
        f"damaged flatbuffer: received {size} bytes whose tables cannot be followed ({reason}).",
        expected="a whole .tflite file as the converter wrote it",
        hint="the file may be cut short or changed on its way; copy or convert it again",
    )


@cache
def _names_by_code(enum_name: str) -> dict[int, str]:
    """Names of one enum of the schema, such as `BuiltinOperator`, by code."""
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(getattr(schema, enum_name)).items() if isinstance(code, int)}


def operator_name(code: Any) -> str:
    """The schema's name of an `OperatorCodeT`; CUSTOM for an operator that the application brings."""
    # Codes above 127 stand in the newer field; files older than it have only the 8-bit one.
    return _names_by_code("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]


class _Reader:
    """Follows one file's tables; `_spend` keeps the sum of all reads in proportion to its length."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._data = data
        self._budget = _READS_PER_BYTE * len(data)
        self._model = schema.Model.GetRootAs(data)

    def graph(self) -> Graph:
        subgraphs = list(self._tables(self._model, "Subgraphs"))
        if not subgraphs:
            raise ValueError("it has no subgraph")
        main = subgraphs[0]
        buffer_bytes = [self._buffer_bytes(buffer) for buffer in self._tables(self._model, "Buffers")]
        rows = list(self._tables(main, "Tensors"))
        tensors = tuple(self._tensor(row, buffer_bytes) for row in rows)
        codes = [self._operator_code(code) for code in self._tables(self._model, "OperatorCodes")]
        operators = [list(self._tables(subgraph, "Operators")) for subgraph in subgraphs]
        return Graph(
            schema_version=self._model.Version(),
            description=self._text(self._model.Description()),
            subgraphs=len(subgraphs),
            kinds=tuple(codes[row.OpcodeIndex()] for rows in operators for row in rows),
            tensors=tensors,
            operators=tuple(self._operator(row, codes, tensors) for row in operators[0]),
            inputs=self._present(main, "Inputs", tensors),
            outputs=self._present(main, "Outputs", tensors),
            constant_bytes=sum(buffer_bytes[index] for index in {row.Buffer() for row in rows}),
        )

    def _spend(self, length: int) -> None:
        self._budget -= length
        if self._budget < 0:
            raise ValueError("its tables overlap, or declare more than the file holds")

    def _tables(self, parent: Any, field: str) -> Iterator[Any]:
        """The tables of one vector, which may be absent."""
        length = getattr(parent, f"{field}Length")()
        self._spend(_TABLE_BYTES * length)
        return map(getattr(parent, field), range(length))

    def _numbers(self, parent: Any, field: str) -> list[Any]:
        """The numbers of one vector as Python's own; empty where it is absent."""
        if getattr(parent, f"{field}IsNone")():
            return []
        values = getattr(parent, f"{field}AsNumpy")()
        self._spend(values.nbytes)
        return list(values.tolist())

    def _text(self, raw: bytes | None) -> str:
        if raw is None:
            return ""
        self._spend(len(raw))
        return raw.decode("utf-8", errors="replace")

    def _buffer_bytes(self, buffer: Any) -> int:
        # Files over 2 GB keep their data behind the tables, at Offset; 0 and 1 stand for "not there".
        start, size = buffer.Offset(), buffer.Size()
        if start > 1:
            if start + size > len(self._data):
                raise ValueError("constant data reaches past the end of the file")
            return int(size)
        return 0 if buffer.DataIsNone() else int(buffer.DataAsNumpy().size)

    def _tensor(self, row: Any, buffer_bytes: list[int]) -> Tensor:
        shape, quantization = tuple(self._numbers(row, "Shape")), row.Quantization()
        if len(shape) > _MAX_RANK:
            raise ValueError(f"a tensor of rank {len(shape)}")
        return Tensor(
            name=self._text(row.Name()),
            shape=shape,
            dtype=_names_by_code("TensorType")[row.Type()].lower(),
            scales=() if quantization is None else tuple(self._numbers(quantization, "Scale")),
            zero_points=() if quantization is None else tuple(self._numbers(quantization, "ZeroPoint")),
            constant_bytes=buffer_bytes[row.Buffer()],
        )

    def _operator_code(self, code: Any) -> tuple[str, int, bool]:
        """Name, version and whether it is a custom operator."""
        # Codes above 127 stand in the newer field; files older than it have only the 8-bit one.
        name = _names_by_code("BuiltinOperator")[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name == "CUSTOM":
            return self._text(code.CustomCode()), code.Version(), True
        return name, code.Version(), False

    def _operator(self, row: Any, codes: list[tuple[str, int, bool]], tensors: tuple[Tensor, ...]) -> Operator:
        name, version, custom = codes[row.OpcodeIndex()]
        return Operator(
            name=name,
            version=version,
            custom=custom,
            inputs=self._tensors_at(row, "Inputs", tensors),
            outputs=self._tensors_at(row, "Outputs", tensors),
        )

    def _tensors_at(self, parent: Any, field: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        indices = self._numbers(parent, field)
        if any(index < -1 for index in indices):
            raise ValueError(f"{field} names a tensor with a negative index")
        return tuple(None if index == -1 else tensors[index] for index in indices)

    def _present(self, parent: Any, field: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        found = self._tensors_at(parent, field, tensors)
        present = tuple(tensor for tensor in found if tensor is not None)
        if len(present) != len(found):
            raise ValueError(f"the graph's {field} leave a tensor out")
        return present
