import base64
import io

import numpy as np
import pytest
from PIL import Image

from components.detection.detections import Detections, GroundTruth
from components.pusher.pictures import SHOWN, PictureBook, show_classifier, show_detector

NAMES = ("background", "stop", "yield")
BOX = (0.1, 0.1, 0.5, 0.5)
ELSEWHERE = (0.6, 0.6, 0.9, 0.9)


def truth(*boxes, crowds=None):
    """Of (label, box)."""
    return GroundTruth(
        np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
        np.array([label for label, _ in boxes], np.int64),
        np.array(crowds or [False] * len(boxes), bool),
        np.ones(len(boxes), np.float32),
        height=100,
        width=150,
    )


def found(*boxes):
    """Of (label, box, score), the best first."""
    return Detections(
        np.array([box for _, box, _ in boxes], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in boxes], np.float32),
        np.array([label for label, _, _ in boxes], np.int64),
    )


def show(truths, detections, threshold=0.3):
    rasters = np.zeros((len(truths), 8, 8, 1), np.uint8)
    ids = [f"image {index}" for index in range(len(truths))]
    return show_detector(rasters, ids, truths, detections, label_names=NAMES, threshold=threshold)


def test_show_detector_groups_are_of_mistakes_and_of_none():
    truths = [truth((1, BOX)), truth((1, BOX)), truth((1, BOX), (2, ELSEWHERE)), truth()]
    detections = [
        found((1, BOX, 0.9)),
        found((2, BOX, 0.9)),  # missed, and false
        found((1, BOX, 0.9)),  # one missed
        found((1, BOX, 0.1)),  # below the threshold
    ]
    groups = show(truths, detections).groups
    assert [picture.source_id for picture in groups["worst"]] == ["image 1", "image 2"]
    assert [picture.source_id for picture in groups["best"]] == ["image 0"]
    assert len(groups["chosen by a hash of their ids"]) == len(truths)
    assert groups["worst"][0].caption == "0 of 1 found, 1 false"
    assert groups["worst"][0].aspect == 1.5
    assert [(box.label, box.is_right) for box in groups["worst"][0].boxes] == [("stop", False), ("yield", False)]
    assert [(box.label, box.is_right) for box in groups["worst"][1].boxes] == [
        ("stop", True), ("yield", False), ("stop", True)
    ]  # fmt: skip


def test_show_detector_crowds_and_what_is_found_in_them_are_left_out():
    (picture,) = show([truth((1, BOX), crowds=[True])], [found((1, BOX, 0.9))]).groups["chosen by a hash of their ids"]
    assert picture.boxes == ()
    assert picture.caption == "nothing there, nothing found"


def test_show_detector_curve_falls_with_false_detections_and_ends_at_the_recall():
    truths = [truth((1, BOX)), truth((1, BOX)), truth((1, BOX))]
    detections = [found((1, BOX, 0.9)), found((1, ELSEWHERE, 0.8)), found((1, BOX, 0.1))]
    (curve,) = show(truths, detections).curves
    assert curve.label == "stop"
    assert curve.points == ((0.3333, 1.0), (0.6667, 0.6667))


def test_show_detector_curve_of_many_false_detections_keeps_its_high_scores():
    truths = [truth((1, BOX)) for _ in range(20)]
    detections = [found((1, BOX, 0.9), *((1, ELSEWHERE, 0.1) for _ in range(100))) for _ in truths]
    (curve,) = show(truths, detections).curves
    assert curve.points == tuple((number / 20, 1.0) for number in range(1, 21))


def test_show_detector_curve_of_many_right_detections_is_thinned_out_evenly():
    truths = [truth((1, BOX)) for _ in range(1000)]
    (curve,) = show(truths, [found((1, BOX, 0.9)) for _ in truths]).curves
    recalls = np.array([recall for recall, _ in curve.points])
    assert (len(recalls), recalls[0], recalls[-1]) == (200, 0.001, 1.0)
    assert np.diff(recalls).max() == pytest.approx(0.006)


@pytest.mark.parametrize("detections", [found(), found((2, ELSEWHERE, 0.9))])
def test_show_detector_label_that_nothing_right_was_found_of_has_an_empty_curve(detections):
    (curve,) = show([truth((2, BOX))], [detections]).curves
    assert (curve.label, curve.points) == ("yield", ())


def test_show_detector_many_images_shows_some_of_each(tmp_path):
    book = show([truth((1, BOX))] * 40, [found()] * 40)
    assert len(book.groups["worst"]) == SHOWN
    book.write(tmp_path)
    assert PictureBook.read(tmp_path) == book


def test_picture_book_of_a_run_without_is_none(tmp_path):
    assert PictureBook.read(tmp_path) is None


def test_show_classifier_has_the_surest_mistakes_first_as_the_model_saw_them():
    rasters = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]])
    book = show_classifier(rasters, ["a", "b", "c", "d"], np.array([1, 0, 1, 0]), probabilities, ("cat", "dog"))
    shown = book.groups["surest mistakes"]
    assert [picture.source_id for picture in shown] == ["a", "d", "b"]
    assert shown[0].caption == "dog, taken for cat (0.90)"
    with Image.open(io.BytesIO(base64.b64decode(shown[1].png))) as image:
        np.testing.assert_array_equal(np.asarray(image), rasters[3, :, :, 0])
