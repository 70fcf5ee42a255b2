"""The judgement of small models whose answers are their images, under the real interpreters."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from components import features
from components.dataset import DatasetSummary
from components.errors import ModelError
from components.gate_options import DecideOn, Int8Gates
from components.intervals import drop_interval, wilson_interval
from components.pusher import judgement
from components.pusher.calibration import Calibration
from components.pusher.classifier_scoring import ClassifierScoring, ClassifierSplit
from components.pusher.int8_verdict import int8_gates
from components.pusher.judged_images import JudgedImages
from components.pusher.judgement import judge_flatbuffer
from components.pusher.manifest import CalibrationRecord, SlimmingRecord
from components.pusher.options import ReleaseOptions
from components.quantization.slim import slim_flatbuffer
from components.verdicts import Verdict

LIMITS = Int8Gates(min_accuracy=0.8, min_auc=0.8, min_recall={"person": 0.5}, min_agreement=0.9)
RECORD = CalibrationRecord(seed=0, count=0, source_ids=(), digest="0" * 64)


def make_dataset(positive="person"):
    return DatasetSummary(
        label_names=("not-person", "person"), positive=positive, label_rule="slim", label_rule_version=1,
        label_rule_digest="0" * 64, label_rule_in_words="", counts={}, digest="d", split_digest="0" * 64, licenses=(),
        fingerprint="f", quarantined={}, dropped={}, reencoded=0,
    )  # fmt: skip


def make_split(persons, labels, float_persons=None):
    """A split whose images are what the int8 file answers: p of 256 for person, and the rest for not-person."""
    persons, labels = np.asarray(persons), np.asarray(labels)
    rasters = np.stack([255 - persons, persons], axis=1).astype(np.uint8)
    score = persons / 256 if float_persons is None else np.asarray(float_persons)
    images = JudgedImages(
        rasters,
        labels,
        [str(n) for n in range(len(labels))],
        ["over_10%" if label else "none" for label in labels],
    )
    return ClassifierSplit(images, np.stack([1 - score, score], axis=1).astype(np.float32))


@pytest.fixture
def echo(echo_model):
    """The int8 file that answers its two inputs; keyword arguments change its operator."""
    return lambda **changes: echo_model(2, scale=1 / 256, zero_point=-128, **changes)


@pytest.fixture
def judge(echo):
    def run(splits, *, flatbuffer=None, positive="person", **options):
        return judge_flatbuffer(
            echo() if flatbuffer is None else flatbuffer,
            splits,
            calibration=Calibration(np.zeros((0, 2), np.uint8), RECORD),
            scoring=ClassifierScoring(make_dataset(positive), options.get("max_false_alarm_rate")),
            options=ReleaseOptions(tflm_time_limit_s=60, **options),
        )

    return run


def hundred(wrong):
    """100 images, half of them persons; the first ones are told wrong."""
    labels = np.arange(100) % 2
    is_right = np.arange(100) >= wrong
    return np.where((labels == 1) == is_right, 200, 40) + np.arange(100) % 7, labels


def test_judge_flatbuffer_measures_the_slim_file_on_every_image(judge, echo):
    persons, labels = hundred(wrong=8)
    test_persons, test_labels = hundred(wrong=30)
    found = judge({"eval": make_split(persons, labels), "test": make_split(test_persons, test_labels)})
    assert found.flatbuffer == slim_flatbuffer(echo()).flatbuffer != found.portable == echo()
    assert found.report.flatbuffer_bytes == found.footprint.flatbuffer_bytes == len(found.flatbuffer)
    assert found.footprint.portable_bytes == len(found.portable)
    on_eval, on_test = found.figures.int8_metrics["eval"], found.figures.int8_metrics["test"]
    assert (on_eval.examples, on_eval.accuracy, on_test.accuracy) == (100, 0.92, 0.7)
    assert on_eval.accuracy_interval == wilson_interval(0.92, 100)
    assert on_eval.confusion == ((46, 4), (4, 46))
    assert on_eval.labels["person"].recall.value == 0.92
    assert on_eval.slices["over_10%"].images == 50
    assert found.figures.float_metrics["eval"] == on_eval  # its probabilities are those of the codes
    assert (found.parity.images, found.parity.max_difference_lsb) == (100, 0)
    assert found.slimming == SlimmingRecord(images=100, operators=1, differing=0)
    assert len(found.golden.inputs) == 8
    np.testing.assert_array_equal(found.golden.inputs, *found.golden.outputs)
    assert found.refusals == ()


def test_judge_flatbuffer_loss_counts_decisions_and_not_only_the_accuracy(judge):
    persons, labels = hundred(wrong=8)
    float_persons = persons / 256
    float_persons[:4] = 1 - float_persons[:4]  # four that the int8 file gets wrong
    float_persons[10:13] = 1 - float_persons[10:13]  # three that it gets right
    loss = judge({"eval": make_split(persons, labels, float_persons)}).figures.quantization_loss
    assert (loss.lost, loss.won, loss.drop) == (4, 3, pytest.approx(0.01))
    assert loss.agreement.value == 0.93
    assert loss.drop_interval == drop_interval(4, 3, 100)


def test_int8_gates_decide_on_the_bound_or_on_the_figure(judge):
    persons, labels = hundred(wrong=8)
    found = judge({"eval": make_split(persons, labels)})
    limits = LIMITS.model_copy(update={"min_accuracy": 0.9, "max_accuracy_drop": 0.03})
    by_point = {gate.name: gate for gate in int8_gates(found, limits, DecideOn.POINT)}
    by_bound = {gate.name: gate for gate in int8_gates(found, limits, DecideOn.LOWER_BOUND)}
    assert list(by_point) == list(by_bound) == [
        "gates.int8.min_accuracy", "gates.int8.min_auc", "gates.int8.min_recall.person",
        "gates.int8.max_accuracy_drop", "gates.int8.min_agreement", "gates.int8.max_flatbuffer_bytes",
        "gates.int8.max_arena_bytes", "gates.int8.max_parity_lsb",
    ]  # fmt: skip
    assert all(gate.passed for gate in by_point.values())
    refused = {name for name, gate in by_bound.items() if not gate.passed}
    assert refused == {"gates.int8.min_accuracy", "gates.int8.max_accuracy_drop"}
    accuracy, drop = by_bound["gates.int8.min_accuracy"], by_bound["gates.int8.max_accuracy_drop"]
    assert (accuracy.value, accuracy.measured) == (wilson_interval(0.92, 100)[0], 0.92)
    assert (drop.value, drop.measured) == (drop_interval(0, 0, 100)[1], 0.0)
    assert Verdict(gates=(accuracy,)).reasons() == [
        f"gates.int8.min_accuracy: {accuracy.value:.6g}, the bound of 0.92 at 95 %, is not >= 0.9"
    ]


@pytest.mark.parametrize("limit", [0.92, 0.92 + 1e-6])
def test_int8_gates_pass_at_the_limit_and_refuse_above_it(judge, limit):
    persons, labels = hundred(wrong=8)
    limits = LIMITS.model_copy(update={"min_accuracy": limit})
    gate = int8_gates(judge({"eval": make_split(persons, labels)}), limits, DecideOn.POINT)[0]
    assert gate.passed is (limit == 0.92)


# What a device would refuse.


def test_judge_flatbuffer_whose_slim_file_is_another_model_is_refused(judge, echo, monkeypatch):
    other = SimpleNamespace(flatbuffer=echo(op="SOFTMAX", input_scale=1 / 16))
    monkeypatch.setattr(judgement, "slim_flatbuffer", lambda portable: other)
    persons, labels = hundred(wrong=0)
    found = judge({"eval": make_split(persons, labels)})
    assert found.slimming.differing > 0
    (refusal,) = found.refusals
    assert refusal.startswith("the slim file is not the model that was converted: ")
    assert refusal.endswith(f" {found.slimming.differing} of 100 images differ, first operator 0")


def test_judge_flatbuffer_that_aborts_is_a_verdict_with_the_interpreters_words(judge, echo):
    # SOFTMAX calls abort() on an input scale below 2**-26.
    aborts = echo(op="SOFTMAX", input_scale=1.4e-8)
    persons, labels = hundred(wrong=8)
    split = make_split(persons, labels)
    found = judge({"eval": split, "test": split}, flatbuffer=aborts)
    assert found.refusals == ("TFLite Micro: SIGABRT: the interpreter gave no reason",)
    figures = found.figures
    assert (figures.int8_metrics, figures.quantization_loss, figures.operating_point) == ({}, None, None)
    assert found.parity is None
    assert found.figures.float_metrics["eval"].accuracy == 0.92
    gates = {gate.name: gate for gate in int8_gates(found, LIMITS, DecideOn.LOWER_BOUND)}
    for key in ("min_accuracy", "min_auc", "min_recall.person", "max_accuracy_drop", "min_agreement", "max_parity_lsb"):
        gate = gates[f"gates.int8.{key}"]
        assert (gate.value, gate.passed, gate.note) == (None, False, "TFLite Micro gave none")
    assert gates["gates.int8.max_flatbuffer_bytes"].passed


def test_judge_flatbuffer_of_an_unregistered_operator_is_refused_by_name(judge, echo):
    persons, labels = hundred(wrong=0)
    found = judge({"eval": make_split(persons, labels)}, flatbuffer=echo(op="HASHTABLE_SIZE"))
    by_interpreter, by_resolver = found.refusals
    assert "Didn't find op for builtin opcode 'HASHTABLE_SIZE'" in by_interpreter
    assert by_resolver == "TFLite Micro cannot register an operator of the model: received HASHTABLE_SIZE"
    assert found.footprint is None


def test_int8_gates_name_the_operators_that_the_firmware_lacks(judge):
    persons, labels = hundred(wrong=0)
    found = judge({"eval": make_split(persons, labels)})
    gates = int8_gates(found, LIMITS.model_copy(update={"allowed_ops": ("CONV_2D", "SOFTMAX")}), DecideOn.POINT)
    assert Verdict(gates=gates).reasons() == ["gates.int8.allowed_ops: 1 is not <= 0 (not registered: RESHAPE)"]


def test_int8_gates_refuse_an_arena_that_is_too_small(judge):
    persons, labels = hundred(wrong=0)
    found = judge({"eval": make_split(persons, labels)})
    needed = found.footprint.arena_total_bytes
    gates = int8_gates(found, LIMITS.model_copy(update={"max_arena_bytes": needed - 1}), DecideOn.POINT)
    assert Verdict(gates=gates).reasons() == [f"gates.int8.max_arena_bytes: {needed} is not <= {needed - 1}"]


def test_judge_flatbuffer_made_for_other_images_is_a_model_error(judge, echo_model):
    persons, labels = hundred(wrong=0)
    with pytest.raises(ModelError, match="do not fit the model"):
        judge({"eval": make_split(persons, labels)}, flatbuffer=echo_model(3, scale=1 / 256, zero_point=-128))


# The operating point.


def test_operating_point_keeps_to_the_rate_on_eval_and_is_measured_on_test(judge):
    persons, labels = hundred(wrong=10)
    test_persons, test_labels = hundred(wrong=30)
    splits = {"eval": make_split(persons, labels), "test": make_split(test_persons, test_labels)}
    point = judge(splits, max_false_alarm_rate=0.04).figures.operating_point
    assert (point.label, point.index, point.max_false_alarm_rate) == ("person", 1, 0.04)
    assert point.threshold == (point.code + 128) / 256
    negatives = persons[labels == 0] - 128
    assert np.mean(negatives >= point.code) <= 0.04 < np.mean(negatives >= point.code - 1)
    assert point.rates["eval"].recall.value == np.mean(persons[labels == 1] - 128 >= point.code)
    assert point.rates["test"].false_alarms.value == np.mean(test_persons[test_labels == 0] - 128 >= point.code)


def test_operating_point_that_no_code_gives_refuses(judge):
    labels = np.arange(100) % 2
    found = judge({"eval": make_split(np.full(100, 255), labels)}, max_false_alarm_rate=0.1)
    assert found.figures.operating_point is None
    (refusal,) = found.refusals
    assert refusal.startswith("release.max_false_alarm_rate: more than 0.1 of the eval images without person have its")


def test_operating_point_without_a_positive_label_is_none(judge):
    persons, labels = hundred(wrong=0)
    found = judge({"eval": make_split(persons, labels)}, positive=None)
    assert (found.figures.operating_point, found.refusals) == (None, ())


# What is held at once.


def peak_bytes(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_codes_of_a_split_take_a_byte_for_a_value():
    rasters = np.zeros((64, 128, 128, 1), np.uint8)
    images = JudgedImages(rasters, np.zeros(64, np.int64), [""] * 64, [""] * 64)
    assert peak_bytes(lambda: images.codes) < 1.1 * rasters.nbytes


def test_float_model_answers_image_by_image_and_never_holds_the_split_as_floats(tmp_path):
    import tensorflow as tf

    spec = tf.TensorSpec([None, 128, 128, 1], tf.float32, name=features.IMAGE)
    module = tf.Module()
    module.answer = tf.function(
        lambda image: {features.PROBABILITIES: tf.reduce_mean(image, axis=[1, 2])}, input_signature=[spec]
    )
    tf.saved_model.save(module, str(tmp_path), {features.PIXELS_SIGNATURE: module.answer})
    rasters = np.repeat(np.arange(256, dtype=np.uint8), 128 * 128).reshape(256, 128, 128, 1)
    expected = np.arange(256)[:, np.newaxis] / 127.5 - 1
    images = JudgedImages(rasters, np.zeros(256, np.int64), [""] * 256, [""] * 256)
    scoring, found = ClassifierScoring(make_dataset(), None), []
    assert peak_bytes(lambda: found.append(scoring.answer(tmp_path, images, []))) < rasters.nbytes
    np.testing.assert_allclose(found[0].probabilities, expected, atol=1e-4)
