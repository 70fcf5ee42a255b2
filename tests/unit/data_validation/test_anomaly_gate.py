"""The curated schema and the gate, on statistics that TFX's StatisticsGen made of real examples."""

import json
from collections.abc import Callable

import pytest
import tensorflow as tf
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.types import artifact_utils, standard_artifacts

from components import features
from components.data_validation.executor import Executor
from components.data_validation.schema import CuratedSchema, schema_text
from components.errors import DataError

BEAM = ["--direct_running_mode=in_memory"]


def values(example: tf.train.Example, key: str):
    feature = example.features.feature[key]
    return getattr(feature, feature.WhichOneof("kind")).value


def drop(key: str) -> Callable[[tf.train.Example], None]:
    return lambda example: example.features.feature.pop(key)


def put(key: str, *new) -> Callable[[tf.train.Example], None]:
    def change(example: tf.train.Example) -> None:
        values(example, key)[:] = list(new)

    return change


# Split name to the changes of one of its examples, by the feature that the gate has to name.
BROKEN = {
    "wrong_values": {
        features.LABEL: put(features.LABEL, 7),
        features.FORMAT: put(features.FORMAT, b"webp"),
        features.LARGEST_OBJECT: put(features.LARGEST_OBJECT, b"huge"),
        features.XMAX: put(features.XMAX, 1.5),
        features.WIDTH: put(features.WIDTH, 0),
        "image/surprise": lambda example: example.features.feature["image/surprise"].int64_list.value.append(1),
    },
    "missing": {features.LABEL: drop(features.LABEL), features.ENCODED: drop(features.ENCODED)},
    "two_values": {features.LABEL: put(features.LABEL, 0, 1)},
}
GOOD = ("good", "without_objects")


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    artifact = standard_artifacts.Schema()
    artifact.uri = str(tmp_path_factory.mktemp("schema"))
    CuratedSchema.EXECUTOR_SPEC.executor_class().Do({}, {"schema": [artifact]}, {"text": schema_text()})
    return artifact


@pytest.fixture(scope="module")
def statistics(raw_examples, tmp_path_factory):
    """Statistics of every split of GOOD and BROKEN, from one run of StatisticsGen."""
    root = tmp_path_factory.mktemp("validation")
    bare = [example for number, example in enumerate(raw_examples) if number % 2 == 0]
    splits = {"good": raw_examples, "without_objects": bare}
    for name, changes in BROKEN.items():
        example = tf.train.Example.FromString(raw_examples[1])
        for change in changes.values():
            change(example)
        splits[name] = [*raw_examples, example.SerializeToString()]
    examples = standard_artifacts.Examples()
    examples.uri = str(root / "examples")
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    for name, serialized in splits.items():
        path = root / "examples" / f"Split-{name}/data_tfrecord-00000-of-00001"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in serialized:
                writer.write(record)
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(root / "statistics")
    context = statistics_gen.Executor.Context(beam_pipeline_args=BEAM, tmp_dir=str(root / "tmp"), unique_id="1")
    statistics_gen.Executor(context).Do(
        {"examples": [examples]}, {"statistics": [artifact]}, {"exclude_splits": "[]", "stats_options_json": None}
    )
    return artifact


@pytest.fixture
def validate(schema, statistics, tmp_path):
    """Runs the gate on some of the splits."""

    def run(*splits):
        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        excluded = [name for name in (*GOOD, *BROKEN) if name not in splits]
        Executor().Do(
            {"statistics": [statistics], "schema": [schema]},
            {"anomalies": [anomalies]},
            {"exclude_splits": json.dumps(excluded)},
        )
        return anomalies

    return run


def test_anomaly_gate_good_examples_pass(validate):
    anomalies = validate(*GOOD)
    assert artifact_utils.decode_split_names(anomalies.split_names) == list(GOOD)
    assert anomalies.get_json_value_custom_property("blessed") == dict.fromkeys(GOOD, 1)


@pytest.mark.parametrize(("split", "feature"), [(split, feature) for split in BROKEN for feature in BROKEN[split]])
def test_anomaly_gate_broken_example_stops_the_run_and_names_the_feature(validate, split, feature):
    with pytest.raises(DataError) as caught:
        validate("good", split)
    assert f"{split}: {feature}: " in caught.value.message
    assert caught.value.message.count(f"{split}: ") == len(BROKEN[split])
    assert "good: " not in caught.value.message
    assert "schema.pbtxt" in caught.value.expected
    assert caught.value.hint is not None


def test_anomaly_gate_names_the_anomalies_of_every_split(validate):
    with pytest.raises(DataError) as caught:
        validate("missing", "good", "two_values")
    for place in (f"missing: {features.ENCODED}: ", f"missing: {features.LABEL}: ", f"two_values: {features.LABEL}: "):
        assert place in caught.value.message


def test_anomaly_gate_keeps_the_anomalies_that_stopped_it(validate, tmp_path):
    with pytest.raises(DataError):
        validate("missing")
    assert (tmp_path / "anomalies/Split-missing/SchemaDiff.pb").stat().st_size > 0
