"""The figures against pycocotools', on drawn images and at the edges."""

import numpy as np
import pytest

from components.detection.coco_metrics import measure_detections, measure_drop
from tests.unit.detection.by_pycocotools import evaluate_by_pycocotools
from tests.unit.detection.drawn_detections import NAMES, draw_images, make_found, make_truth

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100")
BOX = (0.1, 0.2, 0.5, 0.6)


def assert_equals_pycocotools(truths, found):
    quality, evaluation = measure_detections(truths, found, NAMES), evaluate_by_pycocotools(truths, found, len(NAMES))
    ours = [getattr(quality, figure) for figure in FIGURES]
    assert [-1 if each is None else each for each in ours] == pytest.approx(evaluation.stats[:9].tolist(), abs=1e-12)
    for label, name in enumerate(NAMES[1:]):
        precision = evaluation.eval["precision"][0, :, label, 0, 2]
        expected = None if (precision == -1).all() else pytest.approx(precision.mean(), abs=1e-12)
        assert quality.categories[name].ap50 == expected
    return quality


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="drawn"),
        pytest.param({"score_steps": 10}, id="ties"),
        pytest.param({"score_steps": 1}, id="nothing but ties"),
        pytest.param({"crowd_share": 0.5}, id="crowds"),
        pytest.param({"crowd_share": 1.0}, id="crowds alone"),
        pytest.param({"detections": 0}, id="no detections"),
        pytest.param({"max_boxes": 0}, id="no ground truth"),
        pytest.param({"detections": 1000, "images": 3}, id="1,000 detections"),
        pytest.param({"max_boxes": 40, "images": 8}, id="crowded"),
    ],
)
def test_measure_detections_equals_pycocotools(options):
    assert_equals_pycocotools(*draw_images(**options))


def test_measure_detections_of_nothing_at_all_is_undefined():
    quality = assert_equals_pycocotools([make_truth([], [])] * 2, [make_found()] * 2)
    assert (quality.ap, quality.ap_interval, quality.ar_100, quality.boxes, quality.images) == (None, None, None, 0, 2)


def test_measure_detections_of_a_label_without_boxes_leaves_it_out_of_the_mean():
    quality = assert_equals_pycocotools([make_truth([BOX], [1])], [make_found([BOX, BOX], [0.9, 0.8], [1, 2])])
    assert (quality.ap, quality.categories["bird"].ap, quality.categories["boat"].ap) == (pytest.approx(1), 1.0, None)
    assert quality.categories["boat"].ap50_interval is None


def test_measure_detections_takes_areas_from_the_annotation_not_from_the_box():
    quality = assert_equals_pycocotools(
        [make_truth([BOX], [1], areas=[1000.0], height=300, width=300)], [make_found([BOX], [0.9], [1])]
    )
    assert (quality.ap_small, quality.ap_medium, quality.ap_large) == (pytest.approx(1.0), None, None)


def test_measure_detections_leaves_out_boxes_of_no_label():
    truths, found = [make_truth([BOX, BOX], [0, 1])], [make_found([BOX], [0.9], [1])]
    assert measure_detections(truths, found, NAMES).ap == pytest.approx(1)
    assert measure_detections(truths, found, NAMES).boxes == 1


def test_measure_detections_with_ties_does_not_depend_on_the_order_of_images():
    truths, found = draw_images(score_steps=4)
    order = np.random.default_rng(3).permutation(len(truths))
    shuffled = measure_detections([truths[i] for i in order], [found[i] for i in order], NAMES)
    assert shuffled == measure_detections(truths, found, NAMES)


def test_measure_detections_intervals_hold_the_figures_and_narrow_with_images():
    few, many = (measure_detections(*draw_images(images=images), NAMES) for images in (30, 480))
    for quality in (few, many):
        for figure in ("ap", "ap50"):
            low, high = getattr(quality, f"{figure}_interval")
            assert low < getattr(quality, figure) < high
    assert many.ap_interval[1] - many.ap_interval[0] < 0.5 * (few.ap_interval[1] - few.ap_interval[0])


def test_measure_drop_of_the_same_detections_is_none_at_all():
    truths, found = draw_images()
    loss = measure_drop(truths, found, found, NAMES)
    assert (loss.drop, loss.drop50, loss.drop_interval, loss.drop50_interval) == (0, 0, (0, 0), (0, 0))


def test_measure_drop_is_the_difference_and_pairs_the_draws():
    truths, found = draw_images(images=120)
    worse = [make_found(f.boxes_yxyx[1:], f.scores[1:], f.labels[1:]) for f in found]
    loss = measure_drop(truths, found, worse, NAMES)
    before, after = (measure_detections(truths, each, NAMES) for each in (found, worse))
    assert loss.drop == before.ap - after.ap > 0
    assert loss.drop50 == before.ap50 - after.ap50
    low, high = loss.drop_interval
    assert low < loss.drop < high
    # Both detectors have their luck in common.
    assert high - low < before.ap_interval[1] - before.ap_interval[0]


def test_measure_drop_without_ground_truth_is_undefined():
    loss = measure_drop([make_truth([], [])], [make_found()], [make_found([BOX], [0.5], [1])], NAMES)
    assert (loss.drop, loss.drop_interval) == (None, None)
