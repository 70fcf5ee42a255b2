"""Pure tests on hand-built flatbuffers; `test_equality` holds slim files under TFLite Micro against the original."""

import contextlib
import struct

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ModelError
from components.quantization.flatbuffer import read_graph
from components.quantization.flatbuffer_records import pack_model, unpack_model
from components.quantization.reference import run_reference
from components.quantization.slim import ALIGNMENT, slim_flatbuffer

CHANNELS = 40


@pytest.fixture
def network(convolutions):
    """Two convolutions of CHANNELS channels as records, to be changed and packed."""
    return unpack_model(convolutions(CHANNELS))


def _slim_records(model):
    return unpack_model(slim_flatbuffer(pack_model(model)).flatbuffer)


def _quantization(model, name):
    """Of the tensor that had this name, which has the same place while nothing is unused."""
    return {tensor.name: index for index, tensor in enumerate(model.subgraphs[0].tensors)}[name]


def test_slim_flatbuffer_keeps_what_is_computed(convolutions):
    data = convolutions(CHANNELS)
    before, after = read_graph(data), read_graph(slim_flatbuffer(data).flatbuffer)
    assert [(op.name, op.version) for op in after.operators] == [(op.name, op.version) for op in before.operators]
    for old, new in zip(before.operators, after.operators, strict=True):
        for old_tensor, new_tensor in zip(old.inputs + old.outputs, new.inputs + new.outputs, strict=True):
            assert (new_tensor.shape, new_tensor.dtype) == (old_tensor.shape, old_tensor.dtype)
            assert new_tensor.constant_bytes == old_tensor.constant_bytes
            if old_tensor.dtype == "int8":
                assert new_tensor.scales == old_tensor.scales
                assert set(new_tensor.zero_points) == set(old_tensor.zero_points)
    assert (len(after.inputs), len(after.outputs)) == (1, 1)


def test_slim_flatbuffer_takes_out_names_metadata_and_what_no_kernel_reads(convolutions):
    graph = read_graph(slim_flatbuffer(convolutions(CHANNELS)).flatbuffer)
    assert graph.description == ""
    assert {tensor.name for tensor in graph.tensors} == {""}
    weights, biases = graph.operators[0].inputs[1], graph.operators[0].inputs[2]
    assert (len(weights.scales), len(weights.zero_points)) == (CHANNELS, 1)
    assert (biases.scales, biases.zero_points) == ((), ())


def test_slim_flatbuffer_steps_lead_from_the_file_to_the_slim_file(convolutions):
    data = convolutions(CHANNELS)
    slimmed = slim_flatbuffer(data)
    assert slimmed.steps[0].bytes_before == len(data)
    assert slimmed.steps[-1].bytes_after == len(slimmed.flatbuffer)
    for step, following in zip(slimmed.steps, slimmed.steps[1:], strict=False):
        assert step.bytes_after == following.bytes_before
    saved = {step.name: step.bytes_before - step.bytes_after for step in slimmed.steps}
    # Of 8 bytes each: both filters and both biases lose all zero points but one.
    assert saved["one zero point for all channels"] == 4 * 8 * (CHANNELS - 1)
    assert all(bytes_saved >= 0 for name, bytes_saved in saved.items() if not name.startswith("constants at"))


def test_slim_flatbuffer_twice_changes_nothing_more(convolutions):
    slim = slim_flatbuffer(convolutions(CHANNELS)).flatbuffer
    assert slim_flatbuffer(slim).flatbuffer == slim


def test_slim_flatbuffer_aligns_every_constant(convolutions):
    slim = slim_flatbuffer(convolutions(CHANNELS)).flatbuffer
    assert len(slim) % ALIGNMENT == 0
    constants = [buffer.data.tobytes() for buffer in unpack_model(slim).buffers if buffer.data is not None]
    assert len(constants) == 4
    for constant in constants:
        vector = struct.pack("<I", len(constant)) + constant
        assert (slim.index(vector) + 4) % ALIGNMENT == 0


def test_slim_flatbuffer_zero_points_that_differ_stay(network):
    weights = network.subgraphs[0].tensors[_quantization(network, b"filter 0")]
    weights.quantization.zeroPoint = np.arange(CHANNELS, dtype=np.int64) % 3
    kept = _slim_records(network).subgraphs[0].operators[0].inputs[1]
    assert _slim_records(network).subgraphs[0].tensors[kept].quantization.zeroPoint.tolist() == [
        index % 3 for index in range(CHANNELS)
    ]


def test_slim_flatbuffer_zero_points_that_agree_on_another_value_become_that_value(network):
    weights = network.subgraphs[0].tensors[_quantization(network, b"filter 0")]
    weights.quantization.zeroPoint = np.full(CHANNELS, 5, np.int64)
    slim = _slim_records(network).subgraphs[0]
    assert slim.tensors[slim.operators[0].inputs[1]].quantization.zeroPoint.tolist() == [5]


def test_slim_flatbuffer_bias_that_is_read_otherwise_keeps_its_record(network):
    graph = network.subgraphs[0]
    graph.outputs = np.append(graph.outputs, graph.operators[0].inputs[2]).astype(np.int32)
    slim = _slim_records(network).subgraphs[0]
    assert slim.tensors[slim.operators[0].inputs[2]].quantization is not None
    assert slim.tensors[slim.operators[1].inputs[2]].quantization is None


def test_slim_flatbuffer_uint8_bias_keeps_its_record(network):
    network.subgraphs[0].tensors[network.subgraphs[0].inputs[0]].type = schema.TensorType.UINT8
    slim = _slim_records(network).subgraphs[0]
    assert slim.tensors[slim.operators[0].inputs[2]].quantization is not None


@pytest.mark.parametrize(("scales", "kept"), [(1, True), (CHANNELS, False)])
def test_slim_flatbuffer_fully_connected_bias_is_compared_with_a_single_scale(network, scales, kept):
    number = schema.BuiltinOperator.FULLY_CONNECTED
    network.operatorCodes[0].builtinCode = network.operatorCodes[0].deprecatedBuiltinCode = number
    weights = network.subgraphs[0].tensors[network.subgraphs[0].operators[0].inputs[1]]
    weights.quantization.scale = weights.quantization.scale[:scales]
    weights.quantization.zeroPoint = weights.quantization.zeroPoint[:scales]
    slim = _slim_records(network).subgraphs[0]
    assert (slim.tensors[slim.operators[0].inputs[2]].quantization is not None) is kept


def test_slim_flatbuffer_drops_tensors_codes_and_buffers_that_nothing_refers_to(network):
    expected = slim_flatbuffer(pack_model(network)).flatbuffer
    graph = network.subgraphs[0]
    lost = schema.BufferT()
    lost.data = np.arange(200, dtype=np.uint8)
    network.buffers.insert(1, lost)
    for tensor in graph.tensors:
        tensor.buffer += tensor.buffer > 0
    graph.tensors.insert(0, schema.TensorT())
    graph.inputs, graph.outputs = graph.inputs + 1, graph.outputs + 1
    for operator in graph.operators:
        operator.inputs, operator.outputs = operator.inputs + 1, operator.outputs + 1
        operator.opcodeIndex += 1
    network.operatorCodes.insert(0, schema.OperatorCodeT())
    assert slim_flatbuffer(pack_model(network)).flatbuffer == expected


def test_slim_flatbuffer_optional_input_that_is_left_out_stays_out(network):
    operator = network.subgraphs[0].operators[0]
    operator.inputs = np.append(operator.inputs[:2], np.int32(-1)).astype(np.int32)
    slim = _slim_records(network).subgraphs[0]
    assert slim.operators[0].inputs.tolist()[2] == -1


def test_slim_flatbuffer_offline_memory_plan_keeps_its_tensors(network):
    # TFLite Micro compares the number of tensors with that of the plan's offsets.
    tensors = network.subgraphs[0].tensors
    tensors.append(schema.TensorT())
    plan = schema.BufferT()
    plan.data = np.array([1, 0, len(tensors), *[-1] * len(tensors)], "<i4").view(np.uint8)
    network.buffers.append(plan)
    network.metadata = [schema.MetadataT(), schema.MetadataT()]
    network.metadata[0].name, network.metadata[0].buffer = b"min_runtime_version", 0
    network.metadata[1].name, network.metadata[1].buffer = b"OfflineMemoryAllocation", len(network.buffers) - 1
    slim = _slim_records(network)
    assert [record.name for record in slim.metadata] == [b"OfflineMemoryAllocation"]
    np.testing.assert_array_equal(slim.buffers[slim.metadata[0].buffer].data, plan.data)
    assert len(slim.subgraphs[0].tensors) == len(tensors)


def test_slim_flatbuffer_equal_constants_are_written_once(network):
    once = len(slim_flatbuffer(pack_model(network)).flatbuffer)
    first, second = (network.subgraphs[0].tensors[op.inputs[1]] for op in network.subgraphs[0].operators)
    constant = network.buffers[first.buffer].data
    assert constant.size == network.buffers[second.buffer].data.size
    network.buffers[second.buffer].data = constant
    assert len(slim_flatbuffer(pack_model(network)).flatbuffer) <= once - constant.size


def test_slim_flatbuffer_float_model_still_runs_under_litert(reshape_model):
    data = reshape_model("FLOAT32").build()
    slim = slim_flatbuffer(data).flatbuffer
    images = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(run_reference(slim, images), run_reference(data, images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model.buffers[1], "offset", 4096), "behind its tables"),
        (lambda model: setattr(model.subgraphs[0].tensors[0], "externalBuffer", 1), "behind its tables"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "builtinOptionsType", 250), "does not know: .* 250"),
    ],
    ids=["appended", "external", "newer options"],
)
def test_slim_flatbuffer_what_would_be_lost_is_refused(network, change, message):
    change(network)
    for operator in network.subgraphs[0].operators:
        if operator.builtinOptionsType == 250:
            operator.builtinOptions = None
    network.buffers[1].size = 1
    with pytest.raises(ModelError, match=message) as caught:
        slim_flatbuffer(pack_model(network))
    assert caught.value.hint is not None


def test_slim_flatbuffer_text_is_refused():
    with pytest.raises(ModelError, match="not a TensorFlow Lite flatbuffer"):
        slim_flatbuffer(b"no flatbuffer at all")


@settings(max_examples=150)
@given(data=st.data())
def test_slim_flatbuffer_damaged_file_raises_model_errors_only(convolutions, data):
    file = bytearray(convolutions(2))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(8, len(file) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        slim_flatbuffer(bytes(file))


@pytest.mark.parametrize(("name", "slim_bytes"), [("person_detect", 236_064), ("vww_96_int8", 236_960)])
def test_slim_flatbuffer_published_models_have_the_documented_size(shared_model, name, slim_bytes):
    assert len(slim_flatbuffer(shared_model(name)).flatbuffer) == slim_bytes
