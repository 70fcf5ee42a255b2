import numpy as np
import pytest

from components.pusher.rebuild import find_differences_of
from components.quantization.flatbuffer_records import pack_model, unpack_model


@pytest.fixture
def flatbuffer():
    """One tensor with a constant, a scale and a zero point."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph, tensor = schema.ModelT(), schema.SubGraphT(), schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = [4], schema.TensorType.INT8, 1
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.float32([0.5]), np.int64([3])
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.arange(4, dtype=np.uint8)
    return pack_model(model)


def test_find_differences_of_equal_files_finds_none(flatbuffer):
    assert find_differences_of(flatbuffer, flatbuffer) == []


@pytest.mark.parametrize("part", ["scales", "zero points", "constants"])
def test_find_differences_names_bytes_and_the_part_of_the_tensor(flatbuffer, part):
    model = unpack_model(flatbuffer)
    tensor = model.subgraphs[0].tensors[0]
    if part == "constants":
        model.buffers[1].data = model.buffers[1].data ^ 1
    else:
        field = {"scales": "scale", "zero points": "zeroPoint"}[part]
        setattr(tensor.quantization, field, getattr(tensor.quantization, field) * 2)
    first, second = find_differences_of(flatbuffer, pack_model(model))
    assert " bytes differ, the first at " in first
    assert second == f"{part} of 1 of 1 tensors, the first of them tensor 0"


def test_find_differences_of_other_lengths_says_both(flatbuffer):
    model = unpack_model(flatbuffer)
    model.description = b"a converter of another version"
    longer = pack_model(model)
    assert find_differences_of(flatbuffer, longer) == [f"{len(flatbuffer)} bytes were released, {len(longer)} rebuilt"]
