"""Inputs of a step: what is missing, empty or damaged, and is named."""

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.data_validation.schema import statistics_schema_text
from components.drift import Drift
from components.errors import DataError
from components.exported_model import RELEASE_NOTE
from components.kubeflow.inputs import check_complete, find_damage, staged_inputs
from components.kubeflow.staging import Staging

URI = "minio://bucket/run/Step/1/it"
SPLITS = {"split_names": '["train", "eval"]'}
EVALUATION = "metrics-00000-of-00001.tfrecord"


def write_records(path, options=None):
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for number in range(21):  # half of them is no whole number
            writer.write(bytes([number]) * 1000)


def write_splits(folder, write, name):
    for split in ("train", "eval"):
        (folder / f"Split-{split}").mkdir()
        write(folder / f"Split-{split}" / name)


def write_examples(folder):
    write_splits(folder, write_records, "data_tfrecord-00000-of-00001")


def write_transformed(folder):
    write_splits(folder, lambda path: write_records(path, "GZIP"), "transformed_examples-00000-of-00001.gz")


def write_statistics(folder):
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    statistics.datasets.add(name="all", num_examples=21)
    write_splits(folder, lambda path: path.write_bytes(statistics.SerializeToString()), "FeatureStats.pb")


def write_anomalies(folder):
    anomalies = anomalies_pb2.Anomalies(anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH)
    write_splits(folder, lambda path: path.write_bytes(anomalies.SerializeToString()), "SchemaDiff.pb")
    (folder / "drift.json").write_text(Drift(baseline=None).to_json())


def write_schema(folder):
    (folder / "schema.pbtxt").write_text(statistics_schema_text(2))


def write_model(folder):
    model = tf.Module()
    model.weights = tf.Variable(tf.ones([1000]))
    tf.saved_model.save(model, str(folder / "Format-Serving"))


def write_evaluation(folder):
    (folder / "eval_config.json").write_text("{}")
    write_records(folder / EVALUATION)


@pytest.fixture
def given(tmp_path):
    """One input as a step gets it, of a type, and written by a function."""

    def stage(kind, write, metadata):
        staging = Staging(tmp_path, [URI])
        folder = Path(staging.to_folder(URI))
        folder.mkdir(parents=True)
        write(folder)
        artifact_type = {"instanceSchema": f"title: tfx.{kind}\ntype: object\n"}
        artifact = {"uri": str(folder), "type": artifact_type, "metadata": metadata}
        return folder, staged_inputs({"inputs": {"artifacts": {"it": {"artifacts": [artifact]}}}}, staging)

    return stage


WHOLE = [
    ("Examples", write_examples, SPLITS),
    ("Examples", write_transformed, SPLITS),
    ("ExampleStatistics", write_statistics, SPLITS),
    ("ExampleStatistics", lambda _: None, {"split_names": "[]", "version": ""}),
    ("ExampleAnomalies", write_anomalies, SPLITS),
    ("Schema", write_schema, {}),
    ("Model", write_model, {}),
    ("Model", lambda folder: (folder / RELEASE_NOTE).touch(), {"version": ""}),
    ("Model", lambda folder: (folder / RELEASE_NOTE).touch(), {}),
    ("ModelEvaluation", write_evaluation, {}),
    ("ModelBlessing", lambda folder: (folder / "BLESSED").touch(), {}),
]


@pytest.mark.parametrize(("kind", "write", "metadata"), WHOLE)
def test_whole_input_is_complete_and_undamaged(given, kind, write, metadata):
    _, inputs = given(kind, write, metadata)
    check_complete(inputs)
    assert find_damage(inputs) is None


@pytest.mark.parametrize(
    ("kind", "write", "metadata", "emptied", "said"),
    [
        ("Examples", write_examples, SPLITS, "Split-eval/data_tfrecord-00000-of-00001", "Split-eval"),
        ("Examples", write_examples, {**SPLITS, "label_rule": "slim"}, None, "dataset.json"),
        ("Examples", write_examples, {"split_names": '["train", "eval", "test"]'}, None, "Split-test"),
        ("ExampleStatistics", write_statistics, SPLITS, "Split-train/FeatureStats.pb", "Split-train/FeatureStats.pb"),
        ("Schema", write_schema, {}, "schema.pbtxt", "schema.pbtxt"),
        ("ModelEvaluation", write_evaluation, {}, EVALUATION, "metrics-*"),
        ("Model", lambda _: None, {}, None, "Format-Serving/saved_model.pb"),
        (
            "Model",
            lambda folder: (folder / RELEASE_NOTE).touch(),
            {"version": "0123456789ab"},
            None,
            "Format-Serving/saved_model.pb",
        ),
    ],
)
def test_check_complete_names_what_is_missing_or_empty(given, kind, write, metadata, emptied, said):
    folder, inputs = given(kind, write, metadata)
    if emptied is not None:
        (folder / emptied).write_bytes(b"")
    with pytest.raises(DataError) as raised:
        check_complete(inputs)
    assert raised.value.message == f"input it: {URI} is damaged: {said} is missing or empty"
    assert "--no-cache" in raised.value.hint


@pytest.mark.parametrize(
    ("kind", "write", "metadata", "halved", "form"),
    [
        ("Examples", write_examples, SPLITS, "Split-train/data_tfrecord-00000-of-00001", "TFRecords"),
        ("Examples", write_transformed, SPLITS, "Split-eval/transformed_examples-00000-of-00001.gz", "TFRecords"),
        ("ExampleStatistics", write_statistics, SPLITS, "Split-eval/FeatureStats.pb", "statistics"),
        ("ExampleAnomalies", write_anomalies, SPLITS, "drift.json", "measurements of drift"),
        ("Schema", write_schema, {}, "schema.pbtxt", "a schema"),
        ("Model", write_model, {}, "Format-Serving/saved_model.pb", "a SavedModel with its variables"),
        ("ModelEvaluation", write_evaluation, {}, EVALUATION, "TFRecords"),
    ],
)
def test_find_damage_names_the_file_that_was_cut_in_half(given, kind, write, metadata, halved, form):
    folder, inputs = given(kind, write, metadata)
    content = (folder / halved).read_bytes()
    (folder / halved).write_bytes(content[: len(content) // 2])
    check_complete(inputs)  # sizes alone do not tell
    assert find_damage(inputs).message == f"input it: {URI} is damaged: {halved} cannot be read as {form}"


def test_find_damage_of_variables_with_other_bytes_names_their_model(given):
    folder, inputs = given("Model", write_model, {})
    variables = folder / "Format-Serving/variables/variables.data-00000-of-00001"
    variables.write_bytes(bytes(len(variables.read_bytes())))
    assert "Format-Serving/saved_model.pb cannot be read as a SavedModel" in find_damage(inputs).message


def test_staged_inputs_leave_out_what_lies_in_no_folder():
    artifact = {"uri": "file:///bucket/raw", "type": {"instanceSchema": ""}, "metadata": {}}
    assert staged_inputs({"inputs": {"artifacts": {"raw": {"artifacts": [artifact]}}}}, Staging(Path("/"), [])) == []
