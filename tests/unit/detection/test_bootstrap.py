"""AP on draws of images, against the library's AP of the images that were drawn."""

import numpy as np
import pytest

from components.detection.bootstrap import draw_images as draw
from components.detection.bootstrap import interval, mean_of_labels, resample_ap
from components.detection.coco_metrics import image_order, measure_detections
from components.detection.matches import match_label
from tests.unit.detection.drawn_detections import NAMES, draw_images


@pytest.mark.parametrize("options", [{}, {"score_steps": 10}, {"crowd_share": 0.5}, {"detections": 300, "images": 6}])
def test_resample_ap_of_every_image_once_is_the_librarys(options):
    truths, found = draw_images(**options)
    order = image_order(truths, found)
    truths, found = [truths[i] for i in order], [found[i] for i in order]
    once = np.ones((1, len(truths)), np.int32)
    by_label = [resample_ap(match_label(truths, found, label), once) for label in range(1, len(NAMES))]
    quality = measure_detections(truths, found, NAMES)
    assert mean_of_labels(by_label).mean() == pytest.approx(quality.ap, abs=1e-12)
    assert [each[0, 0] for each in by_label] == pytest.approx([c.ap50 for c in quality.categories.values()], abs=1e-12)


def test_resample_ap_of_a_draw_is_the_librarys_of_these_images():
    truths, found = draw_images(images=12)
    draws = draw(12, 3)
    for row in draws:
        chosen = np.repeat(np.arange(12), row)
        quality = measure_detections([truths[i] for i in chosen], [found[i] for i in chosen], NAMES)
        by_label = [resample_ap(match_label(truths, found, label), row[np.newaxis]) for label in range(1, len(NAMES))]
        assert mean_of_labels(by_label).mean() == pytest.approx(quality.ap, abs=1e-12)


def test_resample_ap_in_pieces_is_that_of_all_at_once(monkeypatch):
    truths, found = draw_images()
    matches, draws = match_label(truths, found, 1), draw(len(truths), 50)
    whole = resample_ap(matches, draws)
    monkeypatch.setattr("components.detection.bootstrap._AT_ONCE", 1)
    np.testing.assert_array_equal(resample_ap(matches, draws), whole)


def test_draw_images_draws_as_many_as_there_are_and_the_same_each_time():
    draws = draw(7, 100)
    assert draws.sum(axis=1).tolist() == [7] * 100
    np.testing.assert_array_equal(draw(7, 100), draws)


def test_interval_mirrors_the_draws_and_keeps_to_the_figures_range():
    values = np.linspace(0.5, 0.9, 1001)
    assert interval(0.6, values) == pytest.approx((0.31, 0.69))
    assert interval(0.85, values)[1] == 1.0
    assert interval(0.2, values)[0] == 0.0
    assert interval(0.2, values, lowest=-1.0)[0] == pytest.approx(-0.49)


def test_interval_of_nothing_is_undefined():
    assert interval(None, np.ones(3)) is None
    assert interval(0.5, np.full(3, np.nan)) is None
