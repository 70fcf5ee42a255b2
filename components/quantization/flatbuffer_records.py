"""A flatbuffer as mutable records of its schema, and back to bytes.

The records are those of ai_edge_litert's object API (`ModelT` and its kin): lists of records, NumPy vectors, bytes.
"""

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.quantization.flatbuffer import IDENTIFIER

_TABLE_BYTES = 8  # the least that a tensor or operator takes in a file that shares none of them
_READS_PER_BYTE = 2
_TEXT_OR_NUMBER = (bytes, str, int, float, bool)


def unpack_model(data: bytes) -> Any:
    """The `ModelT` of a file.

    Args:
      data: a file that `read_graph` has read.

    Raises:
      ModelError: when it holds what `pack_model` would lose: constants that lie behind or outside of the tables,
        options of operators that are newer than the schema.
      ValueError: when its tables overlap. A damaged file raises any of `flatbuffer.MALFORMED`.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data)
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    tables = sum(graph.TensorsLength() + graph.OperatorsLength() for graph in graphs)
    if _TABLE_BYTES * tables > _READS_PER_BYTE * len(data):
        raise ValueError("its graphs overlap, or declare more than the file holds")
    records = schema.ModelT.InitFromObj(model)
    _check_carried_over(records)
    return records


def pack_model(model: Any, *, shares: bool = False, alignment: int = 1) -> bytes:
    """The file of a `ModelT`; equal records give equal bytes.

    Args:
      model: its constants are NumPy vectors.
      shares: whether records and vectors that are equal are written once. TFLite Micro follows offsets wherever they
        lead; a tool that rewrites the file writes them apart again.
      alignment: every constant begins at a multiple of this many bytes.
    """
    builder = _Builder(alignment, shares=shares)
    builder.Finish((_with_shared_tables(model) if shares else model).Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _check_carried_over(model: Any) -> None:
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or ()]
    if (
        any(buffer.offset > 1 for buffer in model.buffers)
        or any(operator.largeCustomOptionsOffset > 1 for operator in operators)
        or any(tensor.externalBuffer for tensor in tensors)
    ):
        raise ModelError(
            "the flatbuffer keeps constants behind its tables or in another file, where TFLite Micro does not look.",
            expected="constants inside of the tables, as in every file that the converter writes below 2 GB",
            hint="convert the model again, without external or appended weights",
        )
    for operator in operators:
        for kind in ("builtinOptions", "builtinOptions2"):
            code = getattr(operator, f"{kind}Type")
            if code and getattr(operator, kind) is None:
                raise ModelError(
                    f"an operator has options that this schema does not know: received {kind} of type {code}.",
                    expected="operators that the ai-edge-litert package of this environment knows",
                    hint="convert the model with a TensorFlow of this age, or use a newer vww",
                )


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers publishes no types
    """A builder that knows what it has written, and aligns bytes, which constants are."""

    def __init__(self, alignment: int, *, shares: bool) -> None:
        super().__init__()
        self._alignment = alignment
        self._written: dict[tuple[str, bytes], int] | None = {} if shares else None

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802  # flatbuffers' name
        """The offset of a vector like this one."""
        key = (x.dtype.str, x.tobytes())
        if self._written is None:
            return self._create(x)
        if key not in self._written:
            self._written[key] = self._create(x)
        return self._written[key]

    def _create(self, x: npt.NDArray[Any]) -> int:
        if x.dtype == np.uint8:
            # The padding comes to lie behind the vector, so that the vector itself begins at a multiple.
            self.Prep(self._alignment, x.size)
        return int(super().CreateNumpyVector(x))


class _SharedTable:
    """Stands for all records that are equal to `record`, and is written when the first of them is."""

    def __init__(self, record: Any) -> None:
        self._record = record
        self._offset: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802  # as the schema's records have it
        if self._offset is None:
            self._offset = self._record.Pack(builder)
        return self._offset


def _with_shared_tables(model: Any) -> Any:
    """A copy of a model's records down to those that are shared: tensors, their quantization, operators' options."""
    tables: dict[Any, _SharedTable] = {}

    def share(record: Any) -> _SharedTable | None:
        return None if record is None else tables.setdefault(_content(record), _SharedTable(record))

    def copy(record: Any, **changes: Any) -> Any:
        twin = object.__new__(type(record))
        vars(twin).update(vars(record) | changes)
        return twin

    graphs = [
        copy(
            graph,
            tensors=[share(copy(tensor, quantization=share(tensor.quantization))) for tensor in graph.tensors or ()],
            operators=[copy(row, builtinOptions=share(row.builtinOptions)) for row in graph.operators or ()],
        )
        for graph in model.subgraphs
    ]
    return copy(model, subgraphs=graphs)


def _content(value: Any) -> Any:
    """What makes two records equal, as a key."""
    if value is None or isinstance(value, (*_TEXT_OR_NUMBER, _SharedTable)):
        return value
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(map(_content, value))
    return type(value).__name__, tuple((name, _content(field)) for name, field in vars(value).items())
