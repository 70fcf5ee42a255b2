"""The page of a run, from outcomes of both tasks."""

import numpy as np
import pytest

from components.dataset import DatasetSummary
from components.detection.records import (
    CategoryQuality,
    DetectionCounts,
    DetectionLoss,
    DetectionQuality,
    DetectorOperatingPoint,
    DetectorRates,
)
from components.drift import Drift
from components.errors import ConfigError
from components.pusher.figures import ClassifierEvaluation, ClassifierFigures, DetectorEvaluation, DetectorFigures
from components.pusher.outcome import OUTCOME_FILE, Outcome, Publication
from components.pusher.pictures import Curve, Picture, PictureBook, PictureBox
from components.quantization.quality import measure_quality
from components.quantization.records import Metrics
from components.verdicts import Comparison, Gate, Verdict
from pipeline.report.run_page import find_outcome, read_outcome, render_run_page

PASSED = Gate(name="gates.int8.min_accuracy", comparison=Comparison.AT_LEAST, limit=0.9, value=0.95)
MISSED = Gate(name="gates.int8.max_arena_bytes", comparison=Comparison.AT_MOST, limit=1000, value=85264)


def dataset(names):
    return DatasetSummary(
        label_names=names,
        positive=None,
        label_rule="slim",
        label_rule_version=1,
        label_rule_digest="0" * 64,
        label_rule_in_words="",
        counts={"train": dict.fromkeys(names, 1300), "eval": dict.fromkeys(names, 20)},
        digest="d" * 64,
        fingerprint="f" * 64,
        quarantined={"truncated": 3},
        dropped={},
        reencoded=0,
        split_digest="5" * 64,
        licenses=(),
    )


@pytest.fixture
def classifier():
    labels = np.array([0, 0, 0, 1, 1, 1])
    right = np.eye(2)[labels] * 0.6 + 0.2
    one_wrong = right.copy()
    one_wrong[0] = one_wrong[0][::-1]
    before, after = (measure_quality(found, labels, ("cat", "<dog>"), ["over_10%"] * 6) for found in (right, one_wrong))
    return Outcome(
        dataset=dataset(("cat", "<dog>")),
        drift=Drift(baseline=None, features=()),
        verdict=Verdict(gates=(PASSED,)),
        evaluation=ClassifierEvaluation(metrics=Metrics(examples=6, accuracy=1.0, auc=1.0), change=None, slices={}),
        figures=ClassifierFigures(float_metrics={"eval": before}, int8_metrics={"eval": after}),
        publication=Publication(
            uri="runs/x/releases/x/0123456789ab",
            version="0123456789ab",
            manifest_sha256="a" * 64,
            flatbuffer_sha256="b" * 64,
            already_released=False,
        ),
    )


@pytest.fixture
def detector():
    quality = DetectionQuality(
        images=20, boxes=30, ap=0.4321, ap50=0.7, ap75=0.5, ap_small=None, ap_medium=0.4, ap_large=0.5,
        ar_1=0.3, ar_10=0.5, ar_100=0.5, ap_interval=(0.4, 0.5), ap50_interval=(0.6, 0.8),
        categories={"stop": CategoryQuality(boxes=30, ap=0.4321, ap50=0.7, ap50_interval=(0.6, 0.8))},
    )  # fmt: skip
    counts = DetectionCounts(right=21, false=6, missed=9)
    rates = DetectorRates(images=20, counts=counts, labels={"stop": counts}, confusion=((0, 6), (9, 21)))
    return Outcome(
        dataset=dataset(("background", "stop")),
        drift=Drift(baseline=None, features=()),
        verdict=Verdict(gates=(PASSED, MISSED), refusals=("TFLite Micro: abort",)),
        evaluation=DetectorEvaluation(metrics=quality, change=None, slices={}),
        figures=DetectorFigures(
            float_metrics={"eval": quality},
            int8_metrics={"eval": quality},
            quantization_loss=DetectionLoss(drop=0.0, drop50=0.0, drop_interval=None, drop50_interval=None),
            operating_point=DetectorOperatingPoint(
                max_false_detections=None, threshold=0.37, codes=(-12,), rates={"eval": rates}
            ),
        ),
    )


def test_page_of_a_released_classifier_has_both_models_and_the_confusion(classifier):
    page = render_run_page("mine", classifier)
    assert "released</strong>" in page
    assert 'href="runs/x/releases/x/0123456789ab"' in page
    assert "0.8333" in page  # int8
    assert "1.0000" in page  # float
    assert "&lt;dog&gt;" in page
    assert "<dog>" not in page
    assert '<td class="number" style="--share: 33.3%">1</td>' in page


def test_page_of_a_refused_detector_says_why_and_has_its_figures(detector):
    page = render_run_page("mine", detector)
    assert "nothing was released" in page
    assert "gates.int8.max_arena_bytes: 85264 is not &lt;= 1000" in page
    assert "TFLite Micro: abort" in page
    assert "0.4321" in page
    assert "as nothing" in page
    assert "0.300 false detections an image" in page


def test_page_of_a_float_model_alone_has_the_evaluators_figures(detector):
    page = render_run_page("mine", detector.model_copy(update={"figures": None}))
    assert "by the Evaluator" in page
    assert "Confusion" not in page


def test_page_needs_nothing_else(classifier, detector):
    for outcome in (classifier, detector):
        page = render_run_page("mine", outcome)
        assert "default-src 'none'" in page
        assert "<script" not in page
        assert "http" not in page.replace("http-equiv", "")


def test_page_with_pictures_draws_boxes_and_curves(detector):
    boxes = (
        PictureBox(label="stop", box_yxyx=(0.1, 0.2, 0.5, 0.6), score=None, is_right=True),
        PictureBox(label="stop", box_yxyx=(0.1, 0.2, 0.4, 0.6), score=0.75, is_right=True),
        PictureBox(label="stop", box_yxyx=(0.5, 0.7, 0.9, 0.9), score=0.5, is_right=False),
    )
    shown = Picture(source_id="7", png="AAAA", aspect=1.5, caption="1 of 1 found, 1 false", boxes=boxes)
    book = PictureBook(groups={"worst": (shown,), "best": ()}, curves=(Curve(label="stop", points=((0.5, 1.0),)),))
    page = render_run_page("mine", detector, book)
    assert 'class="there" x="0.2" y="0.1" width="0.4" height="0.4"' in page
    assert 'class="found"' in page
    assert 'class="false"' in page
    assert "stop 0.75" in page
    assert "recall reaches 0.50" in page
    assert "<h3>Worst</h3>" in page
    assert "<h3>Best</h3>" not in page


def test_page_names_what_was_missed_on_its_box(detector):
    boxes = (PictureBox(label="stop", box_yxyx=(0.1, 0.2, 0.5, 0.6), score=None, is_right=False),)
    shown = Picture(source_id="7", png="AAAA", aspect=1.5, caption="0 of 1 found", boxes=boxes)
    page = render_run_page("mine", detector, PictureBook(groups={"worst": (shown,)}))
    assert '<span class="name missed above" style="left: 20.0%; top: 50.0%">stop</span>' in page


def test_page_of_a_label_that_was_never_found_says_so_and_draws_no_empty_curve(detector):
    page = render_run_page("mine", detector, PictureBook(groups={}, curves=(Curve(label="stop", points=()),)))
    assert "Nothing right was found of stop." in page
    assert 'class="chart"' not in page


@pytest.mark.parametrize(("chosen", "words"), [(True, "at its operating point;"), (False, "no operating point was")])
def test_page_with_pictures_says_from_which_score_on_boxes_are_drawn(detector, chosen, words):
    figures = detector.figures if chosen else detector.figures.model_copy(update={"operating_point": None})
    book = PictureBook(groups={"worst": (Picture(source_id="7", png="AAAA", aspect=1.5, caption=""),)})
    assert words in render_run_page("mine", detector.model_copy(update={"figures": figures}), book)


def test_find_outcome_takes_the_newest_by_number(tmp_path):
    for number in (9, 10):
        folder = tmp_path / "artifacts/MicroPusher/pushed_model" / str(number)
        folder.mkdir(parents=True)
        (folder / OUTCOME_FILE).write_text("{}")
    assert find_outcome(tmp_path).name == "10"


def test_find_outcome_of_no_run_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="holds no outcome"):
        find_outcome(tmp_path)


def test_read_outcome_of_another_version_is_refused(tmp_path):
    (tmp_path / OUTCOME_FILE).write_text('{"old": 1}')
    with pytest.raises(ConfigError, match="another version"):
        read_outcome(tmp_path)
