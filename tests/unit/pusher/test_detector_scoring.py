"""The judgement of a tiny detector under the real interpreters, its boxes drawn where it finds them."""

import numpy as np
import pytest

from components import features, pixels
from components.detection.anchors import lay_anchors
from components.detection.coco_metrics import measure_detections
from components.detection.detections import GroundTruth
from components.detection.fixed_decoder import FixedDecoder
from components.detection.options import AnchorOptions, DecoderOptions
from components.gate_options import DecideOn, Int8Gates
from components.pusher.calibration import Calibration
from components.pusher.detector_scoring import DetectorScoring, DetectorSplit, find_objects
from components.pusher.int8_verdict import int8_gates
from components.pusher.judged_images import JudgedImages
from components.pusher.judgement import judge_flatbuffer
from components.pusher.manifest import CalibrationRecord
from components.pusher.options import ReleaseOptions
from components.quantization.outputs import boxes_and_scores
from components.verdicts import Verdict

NAMES = ("background", "bird", "boat")
MAPS = lay_anchors(AnchorOptions(aspect_ratios=(1.0, 2.0), reduces_lowest=False, min_scale=0.3, max_scale=0.6), (4, 2))
DECODER = DecoderOptions(min_score=0.3)
RECORD = CalibrationRecord(seed=0, count=0, source_ids=(), digest="0" * 64)
LIMITS = Int8Gates(min_ap=0.1, min_ap50=0.2, min_category_ap50={"boat": 0.1})


def scoring(max_false=None):
    return DetectorScoring(NAMES, MAPS, DECODER, max_false)


@pytest.fixture(scope="module")
def split(detector_saved_model, detector_rasters):
    """The first two of the float model's own detections in each image are its ground truth; some are left out."""
    images = JudgedImages(
        detector_rasters,
        np.zeros(len(detector_rasters), np.int64),
        [str(n) for n in range(len(detector_rasters))],
        ["none"] * len(detector_rasters),
    )
    found = find_objects(detector_saved_model, detector_rasters, MAPS, DECODER)
    truths = [truth_of(each, number) for number, each in enumerate(found)]
    return DetectorSplit(images, truths, found)


def truth_of(found, number):
    kept = slice(0, 0 if number % 5 == 0 else 2)
    count = len(found.labels[kept])
    return GroundTruth(
        found.boxes_yxyx[kept], found.labels[kept], np.zeros(count, bool), np.full(count, 500.0, np.float32), 64, 64
    )


def judge(flatbuffer, splits, max_false=None):
    return judge_flatbuffer(
        flatbuffer,
        splits,
        calibration=Calibration(np.zeros((0, 2), np.uint8), RECORD),
        scoring=scoring(max_false),
        options=ReleaseOptions(tflm_time_limit_s=60),
    )


@pytest.fixture(scope="module", params=["pixels", "per_map"])
def judged(request, detector, split):
    return judge(detector(request.param), {features.EVAL: split, features.TEST: split})


def test_judge_flatbuffer_of_a_detector_measures_what_the_c_code_decodes(judged, split):
    decoder = FixedDecoder.of(MAPS, DECODER, *boxes_and_scores(judged.report.outputs))
    found = decoder.decode_all(*boxes_and_scores(judged.tflm.outputs))
    expected = measure_detections(split.truths, found, NAMES)
    figures = judged.figures
    assert figures.int8_metrics == {"eval": expected, "test": expected}
    assert figures.float_metrics["eval"] == measure_detections(split.truths, split.detections, NAMES)
    assert 0.1 < expected.ap < figures.float_metrics["eval"].ap + 0.2
    assert figures.quantization_loss.drop == pytest.approx(figures.float_metrics["eval"].ap - expected.ap)
    assert [curve.label for curve in judged.pictures.curves] == [
        name for name, each in expected.categories.items() if each.boxes
    ]
    assert judged.pictures.groups["chosen by a hash of their ids"]
    low, high = figures.quantization_loss.drop_interval
    assert low <= figures.quantization_loss.drop <= high
    assert judged.refusals == ()


def test_judge_flatbuffer_of_a_detector_compares_every_output(judged, split):
    outputs = len(judged.report.outputs)
    assert len(judged.golden.outputs) == outputs
    assert judged.golden.inputs.shape == (8, 16, 16, 1)
    for codes, all_codes in zip(judged.golden.outputs, judged.tflm.outputs, strict=True):
        places = [int(source_id) for source_id in judged.golden.source_ids]
        np.testing.assert_array_equal(codes, all_codes[places])
    np.testing.assert_array_equal(
        judged.golden.inputs, pixels.quantize(split.images.rasters)[[int(n) for n in judged.golden.source_ids]]
    )
    assert judged.parity.images == len(split.images.labels)
    assert judged.parity.max_difference_lsb <= 1
    assert (judged.slimming.images, judged.slimming.differing) == (len(split.images.labels), 0)


def test_judge_flatbuffer_of_a_detector_chooses_a_score_and_its_codes(judged, split):
    point = judged.figures.operating_point
    _, scores = boxes_and_scores(judged.report.outputs)
    assert len(point.codes) == len(scores)
    for code, contract in zip(point.codes, scores, strict=True):
        below, at = (1 / (1 + np.exp(-(each - contract.zero_point) * contract.scale)) for each in (code - 1, code))
        assert below < point.threshold + 2e-4
        assert at > point.threshold - 2e-4
    rates = point.rates["eval"]
    assert rates.images == len(split.images.labels)
    assert rates.counts.right > 0
    assert point.rates["test"] == rates


def test_judge_flatbuffer_of_a_detector_that_keeps_to_no_rate_refuses(detector, split):
    nothing = DetectorSplit(split.images, [truth_of(split.detections[0], 0)] * len(split.truths), split.detections)
    found = judge(detector("pixels"), {features.EVAL: nothing}, max_false=0.0)
    assert found.figures.operating_point is None
    assert found.refusals == (
        "release.max_false_alarm_rate: no score keeps to 0.0 false detections for each eval image",
    )
    gates = {gate.name: gate for gate in int8_gates(found, LIMITS, DecideOn.LOWER_BOUND)}
    assert gates["gates.int8.min_ap"].value is None
    assert not gates["gates.int8.max_ap_drop"].passed
    assert "there is nothing to measure it on" in " ".join(Verdict(gates=tuple(gates.values())).reasons())


@pytest.mark.parametrize("on", DecideOn)
def test_int8_gates_of_a_detector_hold_ap_and_drop_against_their_limits(judged, on):
    quality, loss = judged.figures.int8_metrics["eval"], judged.figures.quantization_loss
    gates = {gate.name.removeprefix("gates.int8."): gate for gate in int8_gates(judged, LIMITS, on)}
    assert set(gates) == {
        "min_ap", "min_ap50", "min_category_ap50.boat", "max_ap_drop", "max_flatbuffer_bytes", "max_arena_bytes",
        "max_parity_lsb",
    }  # fmt: skip
    is_point = on is DecideOn.POINT
    assert gates["min_ap"].value == (quality.ap if is_point else quality.ap_interval[0])
    boat = quality.categories["boat"]
    assert gates["min_category_ap50.boat"].value == (boat.ap50 if is_point else boat.ap50_interval[0])
    assert gates["max_ap_drop"].value == (loss.drop if is_point else loss.drop_interval[1])
