"""The operator in both interpreters, on what a tiny detector says of pictures and of noise."""

import numpy as np
import pytest

from components import pixels
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import AnchorMap
from components.detection.coding import decode_boxes, decode_detections, iou_yxyx, sigmoid
from components.detection.detections import Detections
from components.detection.options import DecoderOptions
from components.detection.selection import select
from components.errors import ModelError
from components.quantization.flatbuffer import read_graph
from components.quantization.flatbuffer_records import unpack_model
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.metrics import dequantize
from components.quantization.postprocess import OUTPUTS, POSTPROCESS_OP, append_postprocess
from components.quantization.reference import run_reference
from components.quantization.tflm import run_under_tflm

LIMIT_S = 60
LABELS = 3
FOUND = 7
OPTIONS = DecoderOptions(min_score=0.6, max_iou=0.4, max_detections=FOUND)


def _anchors(size):
    """Of the detector's maps; small ones keep its boxes inside of the image."""
    shapes = ((size, size), (1.3 * size, size), (size, 1.3 * size))
    return anchors_yxhw([AnchorMap(4, 4, shapes), AnchorMap(2, 2, shapes)])


@pytest.fixture(scope="module")
def codes(detector_rasters):
    noise = np.random.default_rng(0).integers(0, 256, detector_rasters.shape, np.uint8)
    return pixels.quantize(np.concatenate([detector_rasters, noise]))


@pytest.fixture(scope="module")
def said(detector, codes):
    """By signature, the encoded boxes and logits of each image, from the codes of the file without the operator."""

    def of(signature):
        contracts = inspect_flatbuffer(detector(signature)).outputs
        outputs = list(map(dequantize, run_reference(detector(signature), codes), contracts))
        return list(zip(np.concatenate(outputs[0::2], 1), np.concatenate(outputs[1::2], 1), strict=True))

    return {signature: of(signature) for signature in ("pixels", "per_map")}


def _found(outputs):
    """The operator's answers to each image, as our detections."""
    for boxes, classes, scores, count in zip(*outputs, strict=True):
        kept = slice(int(count))
        assert not scores[int(count) :].any()
        yield Detections(boxes[kept], scores[kept], classes[kept].astype(np.int64) + 1)


def _assert_alike(found, expected):
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(found.boxes_yxyx, expected.boxes_yxyx, atol=1e-6)


def _under_litert(flatbuffer, codes):
    return run_reference(flatbuffer, codes)


def _under_tflm(flatbuffer, codes):
    run = run_under_tflm(flatbuffer, codes, time_limit_s=LIMIT_S)
    assert run.failure is None
    return run.outputs


@pytest.mark.parametrize("signature", ["pixels", "per_map"])
@pytest.mark.parametrize("interpret", [_under_litert, _under_tflm])
def test_append_postprocess_boxes_inside_are_those_of_decode_detections(detector, codes, said, signature, interpret):
    anchors = _anchors(0.1)
    outputs = interpret(append_postprocess(detector(signature), anchors, OPTIONS, labels=LABELS), codes)
    assert [output.shape[1:] for output in outputs] == [(FOUND, 4), (FOUND,), (FOUND,), ()]
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    counts = []
    for found, (encoded, logits) in zip(_found(outputs), said[signature], strict=True):
        expected = decode_detections(encoded, logits, anchors, OPTIONS)
        assert decode_boxes(encoded, anchors).min() > 0
        assert decode_boxes(encoded, anchors).max() < 1
        _assert_alike(found, expected)
        counts.append(len(expected.scores))
    assert min(counts) < FOUND == max(counts)  # some are cut short, some are not


def test_append_postprocess_boxes_beyond_the_image_overlap_and_stay_unclipped(detector, codes, said):
    anchors = _anchors(0.5)
    outputs = run_reference(append_postprocess(detector("pixels"), anchors, OPTIONS, labels=LABELS), codes)
    for found, (encoded, logits) in zip(_found(outputs), said["pixels"], strict=True):
        boxes, scores = decode_boxes(encoded, anchors), sigmoid(logits)
        places, columns = select(
            scores,
            scores >= OPTIONS.min_score,
            lambda best, boxes=boxes: iou_yxyx(boxes[best], boxes[best]) > OPTIONS.max_iou,
            OPTIONS,
        )
        _assert_alike(found, Detections(boxes[places], scores[places, columns], columns + 1))
    assert outputs[0].max() > 1


def test_append_postprocess_runs_under_litert_as_phones_do_by_name(detector, codes):
    from ai_edge_litert.interpreter import Interpreter

    flatbuffer = append_postprocess(detector("pixels"), _anchors(0.1), OPTIONS, labels=LABELS)
    answered = Interpreter(model_content=flatbuffer).get_signature_runner("pixels")(image=codes[:1])
    assert {name: array.shape for name, array in answered.items()} == dict(
        zip(OUTPUTS, ((1, FOUND, 4), (1, FOUND), (1, FOUND), (1,)), strict=True)
    )


def _constants(flatbuffer):
    return [buffer.data.tobytes() for buffer in unpack_model(flatbuffer).buffers if buffer.data is not None]


def test_append_postprocess_keeps_the_detectors_operators_and_constants(detector):
    data_before = detector("per_map")
    data_after = append_postprocess(data_before, _anchors(0.1), OPTIONS, labels=LABELS)
    before, after = read_graph(data_before), read_graph(data_after)
    count = len(before.operators)
    assert after.operators[:count] == before.operators
    added = [operator.name for operator in after.operators[count:]]
    whole = ["DEQUANTIZE", "DEQUANTIZE", "CONCATENATION"]
    assert added == [*whole, *whole, "LOGISTIC", POSTPROCESS_OP]
    assert after.constant_bytes == before.constant_bytes + 60 * 4 * 4
    assert _constants(data_after)[: len(_constants(data_before))] == _constants(data_before)


def test_append_postprocess_twice_gives_equal_bytes(detector):
    files = {append_postprocess(detector("pixels"), _anchors(0.1), OPTIONS, labels=LABELS) for _ in range(2)}
    assert len(files) == 1


@pytest.mark.parametrize(("anchors", "labels"), [(_anchors(0.1)[1:], LABELS), (_anchors(0.1), 2)])
def test_append_postprocess_to_another_detector_is_refused(detector, anchors, labels):
    with pytest.raises(ModelError, match=r"another detector's: received anchors=60, labels=3"):
        append_postprocess(detector("pixels"), anchors, OPTIONS, labels=labels)


def test_append_postprocess_to_a_classifier_is_refused(reshape_model):
    with pytest.raises(ModelError, match="not a detector's"):
        append_postprocess(reshape_model().build(), _anchors(0.1), OPTIONS, labels=LABELS)
