import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.errors import ModelError
from components.quantization.contracts import TensorContract
from components.quantization.metrics import classifier_metrics, dequantize, roc_auc


def _binary(person):
    person = np.asarray(person, np.float64)
    return np.stack([1 - person, person], axis=1)


def test_classifier_metrics_of_known_images():
    metrics = classifier_metrics(_binary([0.9, 0.2, 0.6, 0.4]), np.array([1, 0, 0, 1]))
    assert metrics.images == 4
    assert metrics.accuracy == 0.5
    assert metrics.auc == 0.75
    assert metrics.confusion == ((1, 1), (1, 1))


def test_classifier_metrics_tie_goes_to_the_lowest_label():
    assert classifier_metrics(_binary([0.5]), np.array([1])).confusion == ((0, 0), (1, 0))


def test_classifier_metrics_of_three_labels():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    metrics = classifier_metrics(probabilities, np.array([2, 0, 2]))
    assert metrics.confusion == ((1, 0, 0), (0, 0, 0), (0, 1, 1))
    assert metrics.accuracy == pytest.approx(2 / 3)
    assert metrics.auc is None  # label 1 has no image


@pytest.mark.parametrize("label_count", [3, 10])
@pytest.mark.parametrize("codes", [8, 2**20], ids=["ties", "no ties"])
def test_classifier_metrics_of_many_labels_average_their_areas_as_scikit_learn_does(label_count, codes):
    rng = np.random.default_rng(label_count)
    labels = np.concatenate([np.arange(label_count), rng.integers(0, label_count, 300)])
    scores = rng.integers(1, codes, (len(labels), label_count)) + codes * 0.4 * np.eye(label_count)[labels]
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    metrics = classifier_metrics(probabilities, labels)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert 0.5 < expected < 1.0
    assert metrics.auc == pytest.approx(expected, abs=1e-12)
    assert metrics.accuracy == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))
    assert np.array(metrics.confusion).sum(axis=1).tolist() == np.bincount(labels).tolist()


def test_classifier_metrics_of_two_labels_are_about_label_1():
    labels = np.array([0, 1, 1, 0, 1])
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9]])
    assert classifier_metrics(probabilities, labels).auc == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))


@pytest.mark.parametrize("label", [0, 1])
def test_classifier_metrics_of_one_class_has_no_auc(label):
    metrics = classifier_metrics(_binary([0.9, 0.2]), np.array([label, label]))
    assert metrics.auc is None
    assert metrics.accuracy == 0.5


@pytest.mark.parametrize("codes", [4, 16, 256])
def test_roc_auc_with_ties_is_the_share_of_ordered_pairs(codes):
    rng = np.random.default_rng(codes)
    scores, is_positive = rng.integers(0, codes, 300) / codes, rng.random(300) < 0.3
    pairs = scores[is_positive][:, None] - scores[~is_positive][None, :]
    assert roc_auc(scores, is_positive) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


def test_roc_auc_of_constant_scores_is_half():
    assert roc_auc(np.full(10, 0.3), np.arange(10) < 4) == 0.5


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0, np.int64), "nothing to measure"),
        (np.zeros((3, 2)), np.zeros(2, np.int64), "nothing to measure"),
        (np.zeros(3), np.zeros(3, np.int64), "nothing to measure"),
        (np.zeros((2, 2)), np.array([0, 2]), "has 2 labels"),
        (np.zeros((2, 2)), np.array([0, -1]), "has 2 labels"),
        (np.zeros((2, 3)), np.array([0, 3]), "has 3 labels"),
        (np.zeros((2, 1)), np.array([0, 0]), "has 1 labels"),
        (np.array([[0.5, np.nan], [0, 1]]), np.array([0, 1]), "1 images have a probability that is no number"),
    ],
)
def test_classifier_metrics_of_unusable_input_is_refused(probabilities, labels, message):
    with pytest.raises(ModelError, match=message) as caught:
        classifier_metrics(probabilities, labels)
    assert caught.value.expected is not None
    assert caught.value.hint is not None


def test_dequantize_softmax_codes_to_probabilities():
    contract = TensorContract(name="out", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128)
    np.testing.assert_array_equal(dequantize(np.array([[-128, 127]], np.int8), contract), [[0, 255 / 256]])


def test_dequantize_float_output_is_itself():
    contract = TensorContract(name="out", shape=(1, 2), dtype="float32")
    np.testing.assert_array_equal(dequantize(np.array([[0.25, 0.75]], np.float32), contract), [[0.25, 0.75]])
