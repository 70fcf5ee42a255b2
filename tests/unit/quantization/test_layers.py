"""The int8 model of `saved_model` and what is done to it, against its float twin."""

import numpy as np
import pytest

from components import pixels
from components.errors import ModelError
from components.quantization.convert import convert_float
from components.quantization.flatbuffer import read_graph
from components.quantization.flatbuffer_records import pack_model, unpack_model
from components.quantization.layers import measure_layers
from components.quantization.records import LayerLoss, LayersReport
from components.quantization.slim import slim_flatbuffer

LIMIT_S = 120


@pytest.fixture(scope="module")
def float_twin(saved_model):
    return convert_float(saved_model, "pixels")


@pytest.fixture(scope="module")
def measure(float_twin, rasters):
    def measure(int8, twin=float_twin):
        fed = rasters[:6]
        images = pixels.normalize(fed.astype(np.float32))
        return measure_layers(int8, twin, pixels.quantize(fed), images, time_limit_s=LIMIT_S)

    return measure


@pytest.fixture(scope="module")
def report(measure, full_integer):
    return measure(full_integer)


def test_measure_layers_of_a_good_conversion_finds_the_float_values_everywhere(report, full_integer):
    assert report.images == 6
    assert report.input_snr_db > 40  # p - 128 stands half a code from the float input
    operators = read_graph(full_integer).operators
    assert [layer.op for layer in report.layers] == [op.name for op in operators if op.name != "RESHAPE"]
    # What RESHAPE passes on has lost nothing: the last layer's noise is held against that of the layer before.
    assert report.layers[-1].added == report.layers[-1].noise - report.layers[-2].noise
    assert report.layers[0].snr_db > 25
    assert all(layer.cosine > 0.5 for layer in report.layers)  # of random weights, through 28 operators
    assert all(layer.noise == pytest.approx(10 ** (-layer.snr_db / 10)) for layer in report.layers)
    assert "conv1" in report.layers[0].name


def test_measure_layers_of_the_slim_file_finds_the_same(measure, report, full_integer):
    assert measure(slim_flatbuffer(full_integer).flatbuffer) == report


def test_measure_layers_names_the_operator_that_was_spoilt(measure, full_integer):
    model = unpack_model(full_integer)
    spoilt = model.subgraphs[0].operators[9]
    weights = model.buffers[model.subgraphs[0].tensors[spoilt.inputs[1]].buffer]
    weights.data = np.random.default_rng(0).permutation(weights.data)
    assert measure(pack_model(model)).worst(1)[0].index == 9


def test_measure_layers_of_another_graph_names_the_first_difference(measure, full_integer, float_twin):
    model = unpack_model(float_twin)
    model.subgraphs[0].operators = model.subgraphs[0].operators[:-1]
    model.subgraphs[0].outputs = model.subgraphs[0].operators[-1].outputs
    with pytest.raises(ModelError, match=r"another graph: its operator .* is the end, that of the int8 model SOFTMAX"):
        measure(full_integer, pack_model(model))


def test_measure_layers_of_a_float_model_as_the_int8_one_is_refused(float_twin, rasters):
    images = pixels.normalize(rasters[:1].astype(np.float32))
    with pytest.raises(ModelError, match="is not full integer"):
        measure_layers(float_twin, float_twin, images, images, time_limit_s=LIMIT_S)


@pytest.mark.parametrize("signature", ["pixels", "per_map"])
def test_measure_layers_of_a_detector_holds_both_kinds_of_heads(
    detector, detector_saved_model, detector_rasters, signature
):
    twin = convert_float(detector_saved_model, signature)
    images = pixels.normalize(detector_rasters.astype(np.float32))
    codes = pixels.quantize(detector_rasters)
    slim = slim_flatbuffer(detector(signature)).flatbuffer
    report = measure_layers(slim, twin, codes, images, time_limit_s=LIMIT_S)
    heads = [layer for layer in report.layers if layer.op == "CONV_2D" and layer.output_shape[3] in (6, 12)]
    assert {layer.output_shape for layer in heads} == {(1, s, s, columns) for s in (4, 2) for columns in (6, 12)}
    assert all(layer.snr_db > 20 for layer in report.layers)


def test_worst_is_what_adds_most_noise_and_never_what_takes_some_away():
    def layer(index, noise, added):
        return LayerLoss(
            index=index, op="CONV_2D", name="", output_shape=(1,), snr_db=1, cosine=1, noise=noise, added=added
        )

    layers = (layer(0, 0.01, 0.01), layer(1, 0.04, 0.03), layer(2, 0.03, -0.01), layer(3, 0.05, 0.02))
    report = LayersReport(images=1, input_snr_db=None, layers=layers)
    assert [found.index for found in report.worst(9)] == [1, 3, 0]
    assert [found.index for found in report.worst(1)] == [1]
