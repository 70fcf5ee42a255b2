import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.intervals import auc_interval, wilson_interval
from components.quantization.quality import measure_loss, measure_quality
from components.quantization.records import Quality

NAMES = ("cat", "dog", "none")


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(3), rng.integers(0, 3, 200)])
    scores = rng.random((len(labels), 3)) + 0.6 * np.eye(3)[labels]
    return scores / scores.sum(axis=1, keepdims=True), labels


def test_measure_quality_is_that_of_scikit_learn(answers):
    probabilities, labels = answers
    slices = np.where(labels == 2, "none", "over_10%").tolist()
    quality = measure_quality(probabilities, labels, NAMES, slices)
    said = probabilities.argmax(axis=1)
    precision, recall, _, support = sklearn_metrics.precision_recall_fscore_support(labels, said)
    for index, name in enumerate(NAMES):
        found = quality.labels[name]
        assert found.recall.value == pytest.approx(recall[index])
        assert found.precision.value == pytest.approx(precision[index])
        assert found.recall.images == support[index]
    np.testing.assert_array_equal(quality.confusion, sklearn_metrics.confusion_matrix(labels, said))
    assert quality.accuracy_interval == wilson_interval(quality.accuracy, len(labels))
    assert quality.auc_interval == auc_interval(quality.auc, support.tolist())
    assert {name: rate.images for name, rate in quality.slices.items()} == {
        "none": support[2],
        "over_10%": support[0] + support[1],
    }
    assert Quality.from_json(quality.to_json()) == quality


def test_measure_quality_of_a_label_that_is_never_given_has_no_precision():
    quality = measure_quality(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), ("a", "b"), ["x", "y"])
    assert quality.labels["b"].precision is None
    assert quality.labels["b"].recall.value == 0.0


def test_measure_quality_of_one_label_has_no_auc_and_no_recall_of_the_other():
    quality = measure_quality(np.array([[0.9, 0.1]]), np.array([0]), ("a", "b"), ["x"])
    assert (quality.auc, quality.auc_interval, quality.labels["b"].recall) == (None, None, None)


def test_measure_loss_counts_what_was_lost_won_and_decided_alike():
    labels = np.array([0, 0, 1, 1, 1])
    before = np.eye(2)[[0, 1, 1, 1, 0]]
    after = np.eye(2)[[1, 1, 1, 0, 1]]
    loss = measure_loss(before, after, labels)
    assert (loss.lost, loss.won, loss.drop) == (2, 1, pytest.approx(0.2))
    assert (loss.agreement.count, loss.agreement.images) == (2, 5)
