"""The pure tests of `check_full_integer` come first; the rest import TensorFlow and share two SavedModels."""

import dataclasses

import numpy as np
import pytest

from components import pixels
from components.errors import ModelError
from components.quantization.compare import compare_outputs
from components.quantization.convert import INPUT_SCALE, check_full_integer, convert_float, convert_full_integer
from components.quantization.flatbuffer import Graph, Tensor
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.metrics import dequantize
from components.quantization.outputs import boxes_and_scores
from components.quantization.reference import run_reference
from components.quantization.representative_dataset import pin_input_range
from components.quantization.tflm import run_under_tflm

INPUT = Tensor("image", (1, 96, 96, 1), "int8", (INPUT_SCALE,), (-1,), 0)
ACTIVATION = Tensor("relu", (1, 48, 48, 8), "int8", (0.02,), (-128,), 0)
WEIGHTS = Tensor("kernel", (8, 3, 3, 1), "int8", (0.01, 1e-9), (0, 0), 72)  # a dead channel is harmless
SHAPE = Tensor("shape", (2,), "int32", (), (), 8)
OUTPUT = Tensor("probabilities", (1, 2), "int8", (1 / 256,), (-128,), 0)


def _graph(source=INPUT, activation=ACTIVATION, answer=OUTPUT):
    tensors = (source, activation, WEIGHTS, SHAPE, answer)
    return Graph(3, "", 1, (), tensors, (), (source,), (answer,), 80)


@pytest.mark.parametrize("zero_point", [-1, 0])
def test_check_full_integer_accepts_both_zero_points(zero_point):
    check_full_integer(_graph(source=dataclasses.replace(INPUT, zero_points=(zero_point,))))


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "uint8"},
        {"scales": (0.00784,)},
        {"scales": ()},
        {"zero_points": (-128,)},
        {"zero_points": ()},
        {"scales": (INPUT_SCALE, INPUT_SCALE)},
    ],
)
def test_check_full_integer_other_input_breaks_the_pixel_contract(changes):
    with pytest.raises(ModelError, match="'image' does not take p - 128") as caught:
        check_full_integer(_graph(source=dataclasses.replace(INPUT, **changes)))
    assert "2/255" in caught.value.expected
    assert "pin_input_range" in caught.value.hint


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_check_full_integer_float_tensor_is_named(dtype):
    with pytest.raises(ModelError, match=f"'relu' stayed {dtype}"):
        check_full_integer(_graph(activation=dataclasses.replace(ACTIVATION, dtype=dtype, scales=(), zero_points=())))


@pytest.mark.parametrize("scale", [9e-7, 0.0, float("nan")])
def test_check_full_integer_degenerate_activation_scale_is_named(scale):
    with pytest.raises(ModelError, match="'relu' has the degenerate scale"):
        check_full_integer(_graph(activation=dataclasses.replace(ACTIVATION, scales=(scale,))))


def test_check_full_integer_other_output_dtype_is_named():
    with pytest.raises(ModelError, match="'probabilities' is int64"):
        check_full_integer(_graph(answer=dataclasses.replace(OUTPUT, dtype="int64", scales=(), zero_points=())))


def test_convert_full_integer_mobilenet_has_the_published_size_and_macs(full_integer):
    report = inspect_flatbuffer(full_integer)
    assert report.macs == 7_157_888
    assert 294_880 <= report.flatbuffer_bytes <= 312_500
    assert {use.name for use in report.ops} <= {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "RESHAPE", "SOFTMAX"}
    (source,), (answer,) = report.inputs, report.outputs
    assert (source.shape, source.dtype, source.zero_point) == ((1, 96, 96, 1), "int8", -1)
    assert source.scale == pytest.approx(INPUT_SCALE, rel=1e-6)
    assert (answer.shape, answer.dtype, answer.scale, answer.zero_point) == ((1, 2), "int8", 1 / 256, -128)


def test_convert_full_integer_runs_under_tflm_like_the_reference(full_integer, rasters):
    codes = pixels.quantize(rasters)
    run = run_under_tflm(full_integer, codes, time_limit_s=60)
    assert run.failure is None
    assert run.arena.total_bytes == 85_264
    parity = compare_outputs(run.outputs, run_reference(full_integer, codes))
    assert parity.images == 120
    assert parity.max_difference_lsb <= 1
    assert len(np.unique(run.outputs[0])) > 20  # agreement on constant outputs would show nothing


def test_convert_full_integer_twice_gives_equal_bytes(saved_model, calibration, full_integer):
    assert convert_full_integer(saved_model, "pixels", calibration) == full_integer


def test_convert_full_integer_unpinned_range_breaks_the_pixel_contract(odd_saved_model):
    images = np.random.default_rng(0).uniform(-0.9, 0.9, (8, 8, 8, 1)).astype(np.float32)
    with pytest.raises(ModelError, match="does not take p - 128"):
        convert_full_integer(odd_saved_model, "good", images)


def test_convert_full_integer_free_batch_is_refused_before_work(saved_model, calibration):
    with pytest.raises(ModelError, match=r"takes .*-1, 96, 96, 1") as caught:
        convert_full_integer(saved_model, "free", calibration)
    assert "batch" in caught.value.hint


def test_convert_full_integer_unknown_signature_lists_the_known(saved_model, calibration):
    with pytest.raises(ModelError, match="no signature 'pixel'") as caught:
        convert_full_integer(saved_model, "pixel", calibration)
    assert "pixels" in caught.value.expected


@pytest.mark.parametrize("shape", [(0, 96, 96, 1), (5, 96, 96, 3), (5, 96, 96)])
def test_convert_full_integer_images_of_another_kind_are_refused(saved_model, shape):
    with pytest.raises(ModelError, match="the calibration images are"):
        convert_full_integer(saved_model, "pixels", np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("no_int8_form", "cannot be converted: .*Erf"),
        ("float_between", "stayed float32"),
        ("constant", "degenerate scale"),
    ],
)
def test_convert_full_integer_unusable_signature_is_refused(odd_saved_model, signature, message):
    images = pin_input_range(np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype(np.float32))
    with pytest.raises(ModelError, match=message) as caught:
        convert_full_integer(odd_saved_model, signature, images)
    assert "\n" not in caught.value.message


def test_convert_full_integer_good_signature_beside_bad_ones_converts(odd_saved_model):
    images = pin_input_range(np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype(np.float32))
    assert inspect_flatbuffer(convert_full_integer(odd_saved_model, "good", images)).inputs[0].shape == (1, 8, 8, 1)


@pytest.mark.parametrize(("signature", "maps"), [("pixels", (60,)), ("per_map", (48, 12))])
def test_convert_full_integer_detector_has_its_outputs_in_the_order_of_the_contract(detector, signature, maps):
    outputs = inspect_flatbuffer(detector(signature)).outputs
    boxes, scores = boxes_and_scores(outputs)
    assert [contract.shape for contract in boxes] == [(1, anchors, 4) for anchors in maps]
    assert [contract.shape for contract in scores] == [(1, anchors, 2) for anchors in maps]
    assert {contract.dtype for contract in outputs} == {"int8"}
    assert len({contract.scale for contract in outputs}) == len(outputs)


def test_convert_full_integer_detector_twice_gives_equal_bytes(detector_saved_model, detector_rasters, detector):
    images = pin_input_range(pixels.normalize(detector_rasters.astype(np.float32)))
    assert convert_full_integer(detector_saved_model, "per_map", images) == detector("per_map")


def test_convert_full_integer_detector_runs_under_litert_near_the_signature(
    detector_saved_model, detector_rasters, detector
):
    import tensorflow as tf

    signature = tf.saved_model.load(str(detector_saved_model)).signatures["pixels"]
    found = run_reference(detector("pixels"), pixels.quantize(detector_rasters))
    contracts = inspect_flatbuffer(detector("pixels")).outputs
    for name, codes, contract in zip(("boxes", "scores"), found, contracts, strict=True):
        images = pixels.normalize(detector_rasters.astype(np.float32))
        expected = np.concatenate([signature(image=image[np.newaxis])[name].numpy() for image in images])
        assert np.corrcoef(dequantize(codes, contract).ravel(), expected.ravel())[0, 1] > 0.99


def test_convert_float_detector_has_the_same_order(detector_saved_model):
    outputs = inspect_flatbuffer(convert_float(detector_saved_model, "per_map")).outputs
    assert [contract.shape for contract in outputs] == [(1, 48, 4), (1, 48, 2), (1, 12, 4), (1, 12, 2)]


@pytest.mark.parametrize(("signature", "message"), [("unnamed", "neither one nor a detector's"), ("shared", "share")])
def test_convert_full_integer_outputs_that_are_no_detectors_are_refused(
    detector_saved_model, detector_rasters, signature, message
):
    images = pin_input_range(pixels.normalize(detector_rasters[:2].astype(np.float32)))
    with pytest.raises(ModelError, match=message):
        convert_full_integer(detector_saved_model, signature, images)


@pytest.mark.parametrize("content", [None, b"no protobuf"], ids=["missing", "text"])
def test_convert_full_integer_folder_without_saved_model_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as a SavedModel"):
        convert_full_integer(tmp_path, "pixels", np.zeros((1, 96, 96, 1), np.float32))
