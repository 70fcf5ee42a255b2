"""Score thresholds and what they come to, on images that can be counted by hand."""

import numpy as np
import pytest

from components.detection.operating_point import choose_score, measure_rates
from tests.unit.detection.drawn_detections import NAMES, draw_images, make_found, make_truth

LEFT, RIGHT, TOP = (0.1, 0.1, 0.3, 0.3), (0.1, 0.6, 0.3, 0.8), (0.7, 0.1, 0.9, 0.3)
LABELS = range(1, len(NAMES))
# A bird and a boat; the bird is found twice, the boat once and once called a bird, and something is nowhere.
TRUTHS = [make_truth([LEFT, RIGHT], [1, 2]), make_truth([], [])]
FOUND = [
    make_found([LEFT, RIGHT, RIGHT, LEFT], [0.9, 0.8, 0.5, 0.3], [1, 2, 1, 1]),
    make_found([TOP], [0.4], [3]),
]


@pytest.mark.parametrize(
    ("max_false", "score"),
    [(None, 0.8), (0.0, 0.8), (0.5, 0.5), (0.9, 0.5), (1.0, 0.4), (1.5, 0.3), (9.0, 0.3)],
)
def test_choose_score_is_the_best_f1_or_the_lowest_that_keeps_to_a_number(max_false, score):
    assert choose_score(TRUTHS, FOUND, LABELS, max_false) == pytest.approx(score)


def test_choose_score_of_f1_is_the_best_of_all():
    truths, found = draw_images(score_steps=40)
    best = choose_score(truths, found, LABELS, None)

    def f1(score):
        counts = measure_rates(truths, found, NAMES, score).counts
        return 2 * counts.right / (2 * counts.right + counts.false + counts.missed)

    scores = np.unique(np.concatenate([each.scores for each in found]))
    assert f1(best) == max(map(f1, scores)) > 0


def test_choose_score_without_detections_or_that_none_keeps_to_is_none():
    assert choose_score(TRUTHS, [make_found()] * 2, LABELS, None) is None
    assert choose_score(TRUTHS[1:], FOUND[1:], LABELS, 0.5) is None


def test_measure_rates_counts_labels_and_confusions():
    rates = measure_rates(TRUTHS, FOUND, NAMES, 0.0)
    assert rates.confusion == ((0, 2, 0, 1), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert (rates.counts.right, rates.counts.false, rates.counts.missed) == (2, 3, 0)
    assert (rates.counts.precision, rates.counts.recall) == (0.4, 1.0)
    assert rates.false_detections_per_image == 1.5
    assert (rates.labels["bird"].right, rates.labels["bird"].false) == (1, 2)
    assert (rates.labels["bus"].precision, rates.labels["bus"].recall) == (0.0, None)


def test_measure_rates_from_a_score_on_misses_and_confuses():
    truths = [make_truth([LEFT, RIGHT], [1, 2])]
    found = [make_found([LEFT, RIGHT], [0.9, 0.2], [3, 2])]
    rates = measure_rates(truths, found, NAMES, 0.5)
    assert rates.confusion == ((0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0), (0, 0, 0, 0))
    assert (rates.counts.right, rates.counts.false, rates.counts.missed) == (0, 1, 2)


def test_measure_rates_of_crowds_neither_right_nor_false():
    rates = measure_rates(
        [make_truth([LEFT], [1], crowds=[True])], [make_found([LEFT, LEFT], [0.9, 0.8], [1, 1])], NAMES, 0.0
    )
    assert (rates.counts.right, rates.counts.false, rates.counts.missed) == (0, 0, 0)
    assert not np.asarray(rates.confusion).any()


@pytest.mark.parametrize("options", [{}, {"crowd_share": 0.5}, {"score_steps": 5}, {"max_boxes": 30, "images": 8}])
def test_measure_rates_confusion_adds_up_to_the_counts(options):
    rates = measure_rates(*draw_images(**options), NAMES, 0.3)
    confusion = np.asarray(rates.confusion)
    for label, counts in enumerate(rates.labels.values(), 1):
        assert confusion[label, label] == counts.right
        assert confusion[:, label].sum() - confusion[label, label] == counts.false
        assert confusion[label].sum() - confusion[label, label] == counts.missed


def test_measure_rates_of_more_detections_than_coco_counts_leaves_the_rest_out_of_everything():
    found = [make_found([TOP] * 150, np.linspace(0.9, 0.6, 150), [1] * 150)]
    rates = measure_rates([make_truth([LEFT], [1])], found, NAMES, 0.5)
    assert rates.confusion[0][1] == rates.counts.false == 100
