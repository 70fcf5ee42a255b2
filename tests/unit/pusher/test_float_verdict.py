"""The float gates against a real Evaluator run, on models whose answers are known beforehand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from sklearn import metrics as sklearn_metrics
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.evaluator import constants
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components import features
from components.data_validation.schema import raw_schema_text
from components.evaluator.executor import Executor
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import ImageRecord
from components.example_gen.records import encode_example
from components.gate_options import DecideOn, FloatGates
from components.intervals import auc_interval, wilson_interval
from components.pusher.figures import ClassifierEvaluation
from components.pusher.float_verdict import float_gates, read_evaluation
from components.quantization.records import Metrics
from components.verdicts import Verdict
from pipeline.beam import BeamOptions
from pipeline.gates import eval_config

COUNT = 200
BUCKETS = ("under_0.5%", "0.5%_to_2%", "2%_to_10%", "over_10%")


def point_gates(found, limits, images_of_labels=(COUNT // 2, COUNT // 2)):
    """What the Evaluator decides by, too."""
    return float_gates(found, limits, DecideOn.POINT, images_of_labels)


def encode(number, width, height, label, bucket):
    """A raw example without an image, whose answers stand in place of its size."""
    record = ImageRecord(number, f"{number}.png", int(width), int(height))
    image = CheckedImage(b"", "png", int(width), int(height), reencoded=False)
    return b"".join(encode_example(record, image, label=int(label), label_text="x", largest_object=bucket))


class KnownModel(tf.Module):
    """Says that a person is there with the probability that stands, in thousandths, in one of the features."""

    def __init__(self, feature):
        super().__init__()
        self.feature = feature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        parsed = tf.io.parse_example(examples, {self.feature: tf.io.FixedLenFeature([], tf.int64)})
        person = tf.cast(parsed[self.feature], tf.float32) / 1000
        return {features.PROBABILITIES: tf.stack([1 - person, person], axis=1)}

    def save(self, directory):
        tf.saved_model.save(self, directory, signatures={features.SERVING_SIGNATURE: self.serve})


class EvalSplit:
    """Labels, buckets and answers: the candidate is right on 170 images, the baseline on 176."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.labels = np.arange(COUNT) % 2
        self.candidate = self._answers(random, wrong=30)
        self.baseline = self._answers(random, wrong=24)
        self.buckets = [BUCKETS[n // 2 % 4] if label or n % 10 == 0 else "none" for n, label in enumerate(self.labels)]

    def _answers(self, random, wrong):
        """Thousandths, on the label's side of a half but for the first ones."""
        sure = random.integers(501, 990, COUNT)
        is_right = np.arange(COUNT) >= wrong
        return np.where(is_right == (self.labels == 1), sure, 1000 - sure)

    def examples(self):
        for n in range(COUNT):
            yield encode(n, self.baseline[n], self.candidate[n], self.labels[n], self.buckets[n])


class EvaluatorRun:
    def __init__(self, evaluation, blessing):
        self.uri = evaluation.uri
        self.blessed = bool(blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY))
        self.evaluation = read_evaluation(evaluation.uri)


class EvaluatorNode:
    """The Evaluator's executor beside one eval split and some models, in a folder of its own."""

    def __init__(self, root, examples, label_count, **models):
        self._root = root
        self._label_count = label_count
        self._examples = self._artifact(standard_artifacts.Examples, "examples")
        self._examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        path = root / "examples/Split-eval/data_tfrecord-00000-of-00001"
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example in examples:
                writer.write(example)
        self._schema = self._artifact(standard_artifacts.Schema, "schema")
        Path(self._schema.uri, "schema.pbtxt").write_text(raw_schema_text(label_count))
        self._models = {name: self._artifact(standard_artifacts.Model, name) for name in (*models, "nothing")}
        for name, model in models.items():
            model.save(path_utils.serving_model_dir(self._models[name].uri))

    def _artifact(self, kind, name):
        made = kind()
        made.uri = str(self._root / name)
        (self._root / name).mkdir(exist_ok=True)
        return made

    def config(self, limits):
        return eval_config(limits, self._label_count)

    def run(self, name, limits, *, baseline):
        evaluation = self._artifact(standard_artifacts.ModelEvaluation, f"{name}-evaluation")
        blessing = self._artifact(standard_artifacts.ModelBlessing, f"{name}-blessing")
        context = Executor.Context(
            beam_pipeline_args=BeamOptions().arguments(),
            tmp_dir=str(self._root / "tmp"),
            unique_id=name,
        )
        config = self.config(limits)
        Executor(context).Do(
            {
                "examples": [self._examples],
                "model": [self._models["candidate"]],
                "baseline_model": [self._models[baseline]],
                "schema": [self._schema],
            },
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "eval_config": json_format.MessageToJson(config, preserving_proto_field_name=True),
                "example_splits": json.dumps(None),
                "fairness_indicator_thresholds": "null",
            },
        )
        return EvaluatorRun(evaluation, blessing)


@pytest.fixture(scope="module")
def split():
    return EvalSplit()


@pytest.fixture(scope="module")
def evaluate(split, tmp_path_factory):
    """Runs the Evaluator's executor on the eval split, with the baseline if one is asked for."""
    models = {"candidate": KnownModel(features.HEIGHT), "baseline": KnownModel(features.WIDTH)}
    node = EvaluatorNode(tmp_path_factory.mktemp("evaluator"), split.examples(), 2, **models)

    def run(name, limits, *, released):
        return node.run(name, limits, baseline="baseline" if released else "nothing")

    return run


@pytest.fixture(scope="module")
def first(evaluate):
    """The first release: nothing to compare with, and limits that hold."""
    return evaluate("first", FloatGates(min_accuracy=0.85, min_auc=0.5, max_accuracy_drop=0.0), released=False)


@pytest.fixture(scope="module")
def second(evaluate):
    """Beside a baseline that is better by 6 of 200 images, which is the limit."""
    return evaluate("second", FloatGates(min_accuracy=0.85, max_accuracy_drop=0.03), released=True)


@pytest.fixture(scope="module")
def worse(evaluate):
    """Beside the same baseline, with less patience."""
    return evaluate("worse", FloatGates(min_accuracy=0.85, max_accuracy_drop=0.025), released=True)


def accuracy(labels, answers):
    return float(np.mean((np.asarray(answers) > 500) == (np.asarray(labels) == 1)))


def test_read_evaluation_metrics_are_those_of_numpy(first, split):
    metrics = first.evaluation.metrics
    assert metrics.examples == COUNT
    assert metrics.accuracy == pytest.approx(0.85) == accuracy(split.labels, split.candidate)
    expected = sklearn_metrics.roc_auc_score(split.labels, split.candidate)
    assert metrics.auc == pytest.approx(expected, abs=1e-3)  # TFMA integrates over 10,000 thresholds


def test_read_evaluation_with_a_baseline_still_tells_the_candidates_metrics(first, second):
    assert second.evaluation.metrics == first.evaluation.metrics
    assert second.evaluation.slices == first.evaluation.slices


def test_read_evaluation_accuracy_change_is_candidate_minus_baseline(first, second, split):
    assert first.evaluation.change is None
    expected = accuracy(split.labels, split.candidate) - accuracy(split.labels, split.baseline)
    assert second.evaluation.change == pytest.approx(expected) == pytest.approx(-0.03)


def test_read_evaluation_slices_are_those_of_numpy(first, split):
    slices = first.evaluation.slices
    assert slices.keys() == {"none", *BUCKETS}
    for bucket, metrics in slices.items():
        inside = [n for n in range(COUNT) if split.buckets[n] == bucket]
        assert metrics.examples == len(inside)
        assert metrics.accuracy == pytest.approx(accuracy(split.labels[inside], split.candidate[inside]))
        assert metrics.auc is None
    assert sum(metrics.examples for metrics in slices.values()) == COUNT


@pytest.mark.parametrize(("run", "blessed"), [("first", True), ("second", True), ("worse", False)])
def test_evaluator_and_float_gates_agree(run, blessed, request):
    result = request.getfixturevalue(run)
    limits = {
        "first": FloatGates(min_accuracy=0.85, min_auc=0.5, max_accuracy_drop=0.0),
        "second": FloatGates(min_accuracy=0.85, max_accuracy_drop=0.03),
        "worse": FloatGates(min_accuracy=0.85, max_accuracy_drop=0.025),
    }[run]
    assert result.blessed is blessed
    assert Verdict(gates=point_gates(result.evaluation, limits)).passed is blessed


def test_evaluation_holds_loss_precision_and_recall_too(first, split):
    import tensorflow_model_analysis as tfma

    (whole,) = [record for record in tfma.load_metrics(first.uri) if not record.slice_key.single_slice_keys]
    found = {
        (value.key.name, value.key.is_diff): value.value.double_value.value for value in whole.metric_keys_and_values
    }
    said = split.candidate > 500
    persons = split.labels == 1
    of_the_label = np.where(persons, split.candidate, 1000 - split.candidate) / 1000
    assert found["precision", False] == pytest.approx((said & persons).sum() / said.sum())
    assert found["recall", False] == pytest.approx((said & persons).sum() / persons.sum())
    assert found["loss", False] == pytest.approx(-np.log(of_the_label).mean(), rel=1e-3)


# More than two labels.


class ThreeLabelModel(tf.Module):
    """Gives the labels the probabilities that stand, in thousandths, in two of the features; the third has the rest."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        feature = tf.io.FixedLenFeature([], tf.int64)
        parsed = tf.io.parse_example(examples, {features.HEIGHT: feature, features.WIDTH: feature})
        first, second = (tf.cast(parsed[key], tf.float32) / 1000 for key in (features.HEIGHT, features.WIDTH))
        return {features.PROBABILITIES: tf.stack([first, second, 1 - first - second], axis=1)}

    def save(self, directory):
        tf.saved_model.save(self, directory, signatures={features.SERVING_SIGNATURE: self.serve})


class ThreeLabelSplit:
    """150 images, of which label 0 is told from the others better than these from each other."""

    def __init__(self):
        random = np.random.default_rng(1)
        self.labels = np.arange(150) % 3
        evidence = random.normal(0, 1, (150, 3)) + np.eye(3)[self.labels] * [4.0, 1.0, 1.0]
        self.thousandths = np.round(1000 * np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)).astype(int)
        self.thousandths[:, 2] = 1000 - self.thousandths[:, 0] - self.thousandths[:, 1]

    def examples(self):
        for n, (height, width, _) in enumerate(self.thousandths.tolist()):
            yield encode(n, width, height, self.labels[n], "none")

    def auc(self, label=None):
        areas = [sklearn_metrics.roc_auc_score(self.labels == n, self.thousandths[:, n]) for n in range(3)]
        return float(np.mean(areas)) if label is None else areas[label]


@pytest.fixture(scope="module")
def three():
    return ThreeLabelSplit()


@pytest.fixture(scope="module")
def three_label_node(three, tmp_path_factory):
    root = tmp_path_factory.mktemp("three")
    return EvaluatorNode(root, three.examples(), 3, candidate=ThreeLabelModel(), baseline=ThreeLabelModel())


@pytest.fixture(scope="module")
def three_passed(three_label_node, three):
    """A limit that the mean over the labels keeps to, and one of the labels by itself does not."""
    limits = FloatGates(min_accuracy=0.5, min_auc=round(three.auc() - 0.01, 3), max_accuracy_drop=0.0)
    assert min(three.auc(label) for label in range(3)) < limits.min_auc - 0.01
    return three_label_node.run("passed", limits, baseline="baseline"), limits


def test_read_evaluation_of_three_labels_is_that_of_scikit_learn(three_passed, three):
    found = three_passed[0].evaluation
    assert found.metrics.examples == 150
    assert found.metrics.accuracy == pytest.approx(np.mean(three.thousandths.argmax(axis=1) == three.labels))
    assert found.metrics.auc == pytest.approx(three.auc(), abs=1e-3)
    assert found.change == pytest.approx(0.0)
    assert found.slices.keys() == {"none"}


def test_evaluation_of_three_labels_holds_precision_and_recall_of_each(three_passed, three):
    import tensorflow_model_analysis as tfma

    (whole,) = [r for r in tfma.load_metrics(three_passed[0].uri) if not r.slice_key.single_slice_keys]
    found = {
        (value.key.name, value.key.sub_key.class_id.value): value.value.double_value.value
        for value in whole.metric_keys_and_values
        if value.key.HasField("sub_key") and value.key.model_name != "baseline" and not value.key.is_diff
    }
    for label in range(3):
        said, is_so = three.thousandths[:, label] > 500, three.labels == label
        assert found["precision", label] == pytest.approx((said & is_so).sum() / said.sum())
        assert found["recall", label] == pytest.approx((said & is_so).sum() / is_so.sum())


def test_evaluator_and_float_gates_agree_on_three_labels(three_passed, three_label_node, three):
    passed, limits = three_passed
    refusing = FloatGates(min_accuracy=0.5, min_auc=round(three.auc() + 0.01, 3))
    refused = three_label_node.run("refused", refusing, baseline="nothing")
    assert (passed.blessed, refused.blessed) == (True, False)
    assert Verdict(gates=point_gates(passed.evaluation, limits, (50, 50, 50))).passed
    failed = [gate.name for gate in point_gates(refused.evaluation, refusing, (50, 50, 50)) if not gate.passed]
    assert failed == ["gates.float.min_auc"]


# Gates, without a run.


def evaluation(*, accuracy=0.9, auc=0.95, change=None):
    return ClassifierEvaluation(metrics=Metrics(examples=200, accuracy=accuracy, auc=auc), change=change, slices={})


def test_float_gates_name_the_config_path_limit_and_value():
    limits = FloatGates(min_accuracy=0.8, min_auc=0.94, max_accuracy_drop=0.02)
    gates = point_gates(evaluation(change=-0.01), limits)
    assert [(gate.name, gate.comparison.value, gate.limit, gate.value) for gate in gates] == [
        ("gates.float.min_accuracy", ">=", 0.8, 0.9),
        ("gates.float.min_auc", ">=", 0.94, 0.95),
        ("gates.float.max_accuracy_drop", "<=", 0.02, 0.01),
    ]


def test_float_gates_that_ask_nothing_are_left_out():
    limits = FloatGates(min_accuracy=0.8, max_accuracy_drop=None)
    assert [gate.name for gate in point_gates(evaluation(change=-0.5), limits)] == ["gates.float.min_accuracy"]


def test_float_gates_first_release_has_no_drop():
    limits = FloatGates(min_accuracy=0.8, max_accuracy_drop=0.02)
    assert [gate.name for gate in point_gates(evaluation(), limits)] == ["gates.float.min_accuracy"]


def test_float_gates_auc_without_a_value_does_not_pass():
    limits = FloatGates(min_accuracy=0.8, min_auc=0.9)
    assert not Verdict(gates=point_gates(evaluation(auc=None), limits)).passed


def test_float_gates_on_the_lower_bound_name_what_was_measured():
    limits = FloatGates(min_accuracy=0.87, min_auc=0.94, max_accuracy_drop=0.02)
    accuracy, auc, drop = float_gates(evaluation(change=-0.02), limits, DecideOn.LOWER_BOUND, (100, 100))
    assert (accuracy.measured, accuracy.passed) == (0.9, False)
    assert accuracy.value == pytest.approx(wilson_interval(0.9, 200)[0])
    assert (auc.measured, auc.passed) == (0.95, False)
    assert auc.value == pytest.approx(auc_interval(0.95, (100, 100))[0])
    assert (drop.value, drop.measured, drop.passed) == (0.02, None, True)  # nothing but the two accuracies is known


def test_float_gates_auc_without_a_value_has_no_bound_either():
    limits = FloatGates(min_accuracy=0.0, min_auc=0.0)
    assert not Verdict(gates=float_gates(evaluation(auc=None), limits, DecideOn.LOWER_BOUND, (0, 200))).passed


@pytest.mark.parametrize("change", [0.0, 0.05, -0.02, 0.95 - 0.97])
def test_float_gates_better_equal_or_a_drop_of_the_limit_pass(change):
    limits = FloatGates(min_accuracy=0.8, max_accuracy_drop=0.02)
    assert Verdict(gates=point_gates(evaluation(change=change), limits)).passed


# The Evaluator's config.


def metric_named(config, name):
    (found,) = [
        metric
        for spec in config.metrics_specs
        for metric in spec.metrics
        if name in (metric.class_name, json.loads(metric.config or "{}").get("name"))
    ]
    return found


def test_eval_config_asks_for_every_metric_on_the_whole_split_and_by_size():
    config = eval_config(FloatGates(min_accuracy=0.9), 2)
    for name in ("ExampleCount", "accuracy", "loss", "auc", "precision", "recall"):
        assert metric_named(config, name) is not None
    assert list(config.slicing_specs) == [
        config_pb2.SlicingSpec(),
        config_pb2.SlicingSpec(feature_keys=[features.LARGEST_OBJECT]),
    ]
    (model,) = config.model_specs
    assert (model.signature_name, model.label_key) == (features.SERVING_SIGNATURE, features.LABEL)


def test_eval_config_thresholds_hold_on_the_whole_split_only():
    config = eval_config(FloatGates(min_accuracy=0.9, min_auc=0.95, max_accuracy_drop=0.02), 2)
    for metric in (metric for spec in config.metrics_specs for metric in spec.metrics):
        assert not metric.HasField("threshold")
        for threshold in metric.per_slice_thresholds:
            assert list(threshold.slicing_specs) == [config_pb2.SlicingSpec()]
    (threshold,) = metric_named(config, "accuracy").per_slice_thresholds
    assert threshold.threshold.value_threshold.lower_bound.value == 0.9
    change = threshold.threshold.change_threshold
    assert change.direction == config_pb2.MetricDirection.HIGHER_IS_BETTER
    assert math.isclose(change.absolute.value, -0.02, abs_tol=1e-8)
    (threshold,) = metric_named(config, "auc").per_slice_thresholds
    assert threshold.threshold.value_threshold.lower_bound.value == 0.95


def test_eval_config_thresholds_that_are_none_are_absent():
    config = eval_config(FloatGates(min_accuracy=0.0, min_auc=None, max_accuracy_drop=None), 2)
    (threshold,) = metric_named(config, "accuracy").per_slice_thresholds
    assert threshold.threshold.value_threshold.lower_bound.value == 0.0
    assert not threshold.threshold.HasField("change_threshold")
    assert not metric_named(config, "auc").per_slice_thresholds


def test_eval_config_drop_of_zero_is_a_threshold_not_none():
    (threshold,) = metric_named(
        eval_config(FloatGates(min_accuracy=0.5, max_accuracy_drop=0.0), 2), "accuracy"
    ).per_slice_thresholds
    assert threshold.threshold.HasField("change_threshold")
