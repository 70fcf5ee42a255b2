"""Under TFLite Micro, each comparison in four child processes of about a second."""

import numpy as np
import pytest

from components import pixels
from components.errors import ModelError
from components.quantization.equality import compare_flatbuffers
from components.quantization.flatbuffer import read_graph
from components.quantization.flatbuffer_records import pack_model, unpack_model
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.slim import slim_flatbuffer
from components.quantization.tflm import operators_under_tflm, run_under_tflm

LIMIT_S = 60
CHANNELS = 6


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(-128, 128, (100, 8, 8, CHANNELS)).astype(np.int8)


def test_compare_flatbuffers_slim_file_is_equal_in_every_operator(convolutions, codes):
    data = convolutions(CHANNELS)
    seen = []
    equality = compare_flatbuffers(
        data,
        slim_flatbuffer(data).flatbuffer,
        codes,
        time_limit_s=LIMIT_S,
        on_progress=lambda *done: seen.append(done),
    )
    assert equality.is_equal
    assert (equality.images, equality.differing_images, equality.operators) == (100, 0, 2)
    assert equality.arena_before == equality.arena_after
    assert seen[-1] == (400, 400)


def test_compare_flatbuffers_one_bias_changed_names_the_operators(convolutions, codes):
    data = convolutions(CHANNELS)
    model = unpack_model(data)
    graph = model.subgraphs[0]
    bias = model.buffers[graph.tensors[graph.operators[1].inputs[2]].buffer]
    bias.data = (bias.data.view("<i4") + 40).view(np.uint8)
    equality = compare_flatbuffers(data, pack_model(model), codes[:10], time_limit_s=LIMIT_S)
    assert not equality.is_equal
    assert equality.differing_images == 10
    assert equality.differing_operators == (1,)


def test_compare_flatbuffers_larger_arena_is_not_equal(convolutions, codes):
    slim = slim_flatbuffer(convolutions(CHANNELS)).flatbuffer
    model = unpack_model(slim)
    model.subgraphs[0].tensors.append(model.subgraphs[0].tensors[0])  # nothing uses it, and it is counted
    equality = compare_flatbuffers(slim, pack_model(model), codes[:2], time_limit_s=LIMIT_S)
    assert equality.differing_images == 0
    assert equality.arena_after.total_bytes > equality.arena_before.total_bytes
    assert not equality.is_equal


def test_compare_flatbuffers_model_that_does_not_run_is_no_equality(reshape_model):
    spec = reshape_model()
    spec.operators[0].name = "HASHTABLE_SIZE"
    data = spec.build()
    equality = compare_flatbuffers(data, data, np.zeros((2, 4), np.int8), time_limit_s=LIMIT_S)
    assert not equality.is_equal
    assert "does not run the original: Didn't find op" in equality.failure


def test_compare_flatbuffers_several_outputs_are_compared(convolutions, codes):
    model = unpack_model(convolutions(CHANNELS))
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.operators[0].outputs, *graph.operators[1].outputs], np.int32)
    data = pack_model(model)
    assert len(read_graph(data).outputs) == 2
    equality = compare_flatbuffers(data, slim_flatbuffer(data).flatbuffer, codes[:5], time_limit_s=LIMIT_S)
    assert equality.is_equal
    assert equality.operators == 2


@pytest.mark.parametrize(("signature", "outputs"), [("pixels", 2), ("per_map", 4)])
def test_slim_flatbuffer_of_a_detector_is_equal_in_every_operator(detector, detector_rasters, signature, outputs):
    data = detector(signature)
    slim = slim_flatbuffer(data).flatbuffer
    equality = compare_flatbuffers(data, slim, pixels.quantize(detector_rasters), time_limit_s=LIMIT_S)
    assert equality.is_equal
    assert equality.operators == len(read_graph(data).operators)
    assert len(slim) < len(data)
    kept, before = inspect_flatbuffer(slim).outputs, inspect_flatbuffer(data).outputs
    assert kept == tuple(contract.model_copy(update={"name": ""}) for contract in before)
    assert len(kept) == outputs


def test_compare_flatbuffers_second_output_changed_is_seen(detector, detector_rasters):
    model = unpack_model(detector("pixels"))
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[[0, 0]]
    codes = pixels.quantize(detector_rasters[:3])
    equality = compare_flatbuffers(detector("pixels"), pack_model(model), codes, time_limit_s=LIMIT_S)
    assert (equality.differing_images, equality.differing_operators) == (3, ())


def test_compare_flatbuffers_other_images_are_refused(convolutions, codes):
    data = convolutions(CHANNELS)
    with pytest.raises(ModelError, match="do not fit the model"):
        compare_flatbuffers(data, data, codes.astype(np.float32), time_limit_s=LIMIT_S)


def test_operators_under_tflm_last_operator_gives_the_answer(convolutions, codes):
    data = convolutions(CHANNELS)
    run = operators_under_tflm(data, codes[:20], time_limit_s=LIMIT_S)
    assert run.failure is None
    assert run.outputs.keys() == {(0, 0), (1, 0)}
    (answers,) = run_under_tflm(data, codes[:20], time_limit_s=LIMIT_S).outputs
    np.testing.assert_array_equal(run.outputs[1, 0].reshape(answers.shape), answers)
    assert not np.array_equal(run.outputs[0, 0], run.outputs[1, 0])


def test_slim_flatbuffer_of_a_converted_mobilenet_is_equal_and_small(full_integer, rasters):
    slim = slim_flatbuffer(full_integer).flatbuffer
    equality = compare_flatbuffers(full_integer, slim, pixels.quantize(rasters), time_limit_s=LIMIT_S)
    assert equality.is_equal
    assert (equality.images, equality.operators) == (120, len(read_graph(full_integer).operators))
    assert len(slim) <= 239_000
    assert equality.arena_after.total_bytes == 85_264


@pytest.mark.parametrize(("name", "channels"), [("person_detect", 1), ("vww_96_int8", 3)])
def test_slim_flatbuffer_of_a_published_model_is_equal(shared_model, rasters, name, channels):
    data = shared_model(name)
    codes = np.repeat(pixels.quantize(rasters[:4]), channels, axis=-1)
    equality = compare_flatbuffers(data, slim_flatbuffer(data).flatbuffer, codes, time_limit_s=LIMIT_S)
    assert equality.is_equal
    assert equality.operators == 31
