import random
import struct
import time

import numpy as np
import pytest

from components.errors import ModelError
from components.quantization.flatbuffer import read_graph


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "empty"),
        (b"TFL3", ".tflite file itself"),
        (b"this is a text file and no model at all", ".tflite file itself"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    ],
    ids=["empty", "short", "text", "zip", "hdf5"],
)
def test_read_graph_other_format_says_what_it_is(data, hint):
    with pytest.raises(ModelError, match="not a TensorFlow Lite flatbuffer") as caught:
        read_graph(data)
    assert caught.value.expected is not None
    assert hint in caught.value.hint


@pytest.mark.parametrize("root", [0, 4, 8, 100, 0xFFFFFFFF])
def test_read_graph_identifier_and_noise_is_damaged(root):
    noise = random.Random(root).randbytes(4096)
    with pytest.raises(ModelError, match="damaged"):
        read_graph(struct.pack("<I", root) + b"TFL3" + noise)


def test_read_graph_zeros_is_damaged_at_once():
    with pytest.raises(ModelError, match="no subgraph"):
        read_graph(bytes(4) + b"TFL3" + bytes(10_000_000))


@pytest.mark.parametrize("name", ["person_detect", "vww_96_int8", "vww_96_float"])
def test_read_graph_truncated_anywhere_is_refused(shared_model, name):
    data = shared_model(name)
    rng = random.Random(1)
    cuts = [*range(200), *(rng.randrange(len(data)) for _ in range(300)), *range(len(data) - 20, len(data))]
    for cut in cuts:
        with pytest.raises(ModelError):
            read_graph(data[:cut])


@pytest.mark.parametrize("name", ["person_detect", "vww_96_int8"])
def test_read_graph_flipped_bytes_only_model_errors(shared_model, name):
    data = shared_model(name)
    rng = random.Random(2)
    slowest, refused = 0.0, 0
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 4, 30])):
            # Half of the hits in the tables at the front, the rest mostly in weights.
            damaged[rng.randrange(rng.choice([20_000, len(data)]))] = rng.choice([0, 127, 128, 255, rng.randrange(256)])
        start = time.perf_counter()
        try:
            read_graph(bytes(damaged))
        except ModelError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - start)
    assert refused > 0
    assert slowest < 2


def test_read_graph_huge_declared_vector_is_refused_at_once(reshape_model):
    data = bytearray(reshape_model().build())
    refused = 0
    # Whatever word is a vector's length among these, billions of elements must not be walked.
    start = time.perf_counter()
    for position in range(8, len(data) - 3, 4):
        huge = bytes(data[:position]) + b"\xff\xff\xff\x7f" + bytes(data[position + 4 :])
        try:
            read_graph(huge)
        except ModelError:
            refused += 1
    assert refused > 20
    assert time.perf_counter() - start < 5


def test_read_graph_overlapping_tables_is_refused_at_once():
    data = _operators_laid_over_each_other(20_000)
    start = time.perf_counter()
    with pytest.raises(ModelError, match="overlap"):
        read_graph(data)
    assert time.perf_counter() - start < 2


def _operators_laid_over_each_other(count):
    """`count` operators that are one and the same table, with `count` inputs: reading it all would take hours."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(1024)
    tensor = schema.TensorT()
    tensor.type, tensor.shape = schema.TensorType.INT8, [1]
    tensor_offset = tensor.Pack(builder)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, np.zeros(count, np.int32), [0]
    operator_offset = operator.Pack(builder)
    code_offset = schema.OperatorCodeT().Pack(builder)
    buffer_offset = schema.BufferT().Pack(builder)

    def vector(offset, length):
        builder.StartVector(4, length, 4)
        for _ in range(length):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    tensors, operators = vector(tensor_offset, 1), vector(operator_offset, count)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddOperators(builder, operators)
    subgraphs = vector(schema.SubGraphEnd(builder), 1)
    codes, buffers = vector(code_offset, 1), vector(buffer_offset, 1)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddOperatorCodes(builder, codes)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_read_graph_optional_input_left_out_is_none(model_spec):
    (operator,) = read_graph(model_spec("FULLY_CONNECTED", (1, 3), (2, 3), (1, 2), inputs=[0, 1, -1])).operators
    assert operator.inputs[2] is None


@pytest.mark.parametrize("inputs", [[0, -2], [0, 99]])
def test_read_graph_unknown_tensor_index_is_damaged(model_spec, inputs):
    with pytest.raises(ModelError, match="damaged"):
        read_graph(model_spec("RESHAPE", (1, 4), (1, 4), inputs=inputs))


def test_read_graph_input_left_out_of_graph_is_damaged(reshape_model):
    with pytest.raises(ModelError, match="leave a tensor out"):
        read_graph(reshape_model(inputs=[-1]).build())


def test_read_graph_rank_beyond_kernels_is_damaged(model_spec):
    with pytest.raises(ModelError, match="rank 9"):
        read_graph(model_spec("RESHAPE", (1,) * 9, (1, 4)))


def test_read_graph_unknown_operator_code_is_damaged(reshape_model):
    data = reshape_model().build()
    from ai_edge_litert import schema_py_generated as schema

    code = schema.Model.GetRootAs(data).OperatorCodes(0)
    position = code._tab.Offset(10) + code._tab.Pos
    broken = data[:position] + struct.pack("<i", 5000) + data[position + 4 :]
    with pytest.raises(ModelError, match="5000"):
        read_graph(broken)


def test_read_graph_data_behind_the_tables_is_counted(reshape_model):
    data = _with_data_behind_the_tables(reshape_model, past_the_end=0)
    assert read_graph(data).constant_bytes == 8


def test_read_graph_data_past_the_end_is_damaged(reshape_model):
    with pytest.raises(ModelError, match="past the end"):
        read_graph(_with_data_behind_the_tables(reshape_model, past_the_end=1))


def _with_data_behind_the_tables(reshape_model, *, past_the_end):
    """The layout of files over 2 GB: a buffer that gives offset and size instead of data."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(reshape_model().build())
    model.buffers[1].data, model.buffers[1].size = None, 8 + past_the_end

    def pack(offset):
        model.buffers[1].offset = offset
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return pack(len(pack(1000))) + np.array([1, 4], "<i4").tobytes()
