"""The curated schema, the gate and the drift, on statistics that TFX's StatisticsGen made of transformed examples."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from components import features
from components.data_validation.executor import Executor
from components.data_validation.schema import CuratedSchema, raw_schema_text, statistics_schema_text
from components.data_validation.statistics import statistics_options
from components.drift import DRIFT_FILE, Distance, Drift
from components.errors import DataError, GateError
from components.gate_options import DataGates
from components.pusher.training_statistics import canonical_statistics
from pipeline.beam import BeamOptions

BEAM = BeamOptions().arguments()
LABELS = 3
COUNT = 300


def transformed_example(number: int, random: np.random.Generator, *, darkness: float, share: float):
    """One transformed example; `share` of them have label 2, the others 0 and 1 in turn."""
    label = 2 if number < share * COUNT else number % 2

    def ints(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    def floats(value):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))

    return tf.train.Example(
        features=tf.train.Features(
            feature={
                features.RASTER: tf.train.Feature(bytes_list=tf.train.BytesList(value=[random.bytes(1000)])),
                features.TRANSFORMED_SOURCE_ID: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[str(number).encode()])
                ),
                features.TRANSFORMED_LABEL: ints(label),
                features.BRIGHTNESS: floats(np.clip(random.normal(0.5 - darkness, 0.1), 0, 1)),
                features.CONTRAST: floats(random.uniform(0.1, 0.3)),
                features.TRANSFORMED_WIDTH: ints(640),
                features.TRANSFORMED_HEIGHT: ints(random.choice([427, 480])),
                features.OBJECT_COUNT: ints(random.poisson(4)),
            }
        )
    )


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
        features.TRANSFORMED_LABEL: put(features.TRANSFORMED_LABEL, LABELS),
        features.BRIGHTNESS: put(features.BRIGHTNESS, 1.5),
        features.CONTRAST: put(features.CONTRAST, -0.1),
        features.TRANSFORMED_WIDTH: put(features.TRANSFORMED_WIDTH, 0),
        features.OBJECT_COUNT: put(features.OBJECT_COUNT, -1),
    },
    "missing": {
        features.TRANSFORMED_LABEL: drop(features.TRANSFORMED_LABEL),
        features.CONTRAST: drop(features.CONTRAST),
    },
    "two_values": {features.TRANSFORMED_HEIGHT: put(features.TRANSFORMED_HEIGHT, 480, 640)},
}
GOOD = (features.TRAIN, features.EVAL, features.TEST)


def compute_statistics(root: Path, splits: dict[str, list[tf.train.Example]]):
    """Runs StatisticsGen as the graph does."""
    examples = standard_artifacts.Examples()
    examples.uri = str(root / "examples")
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    for name, split in splits.items():
        path = root / "examples" / f"Split-{name}/transformed_examples-00000-of-00001.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
            for example in split:
                writer.write(example.SerializeToString())
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(root / "statistics")
    context = statistics_gen.Executor.Context(beam_pipeline_args=BEAM, tmp_dir=str(root / "tmp"), unique_id="1")
    statistics_gen.Executor(context).Do(
        {"examples": [examples], "schema": [curated_schema(root)["statistics"]]},
        {"statistics": [artifact]},
        {"exclude_splits": "[]", "stats_options_json": statistics_options().to_json()},
    )
    return artifact


def curated_schema(root: Path):
    made = {}
    for name in ("raw", "statistics"):
        made[name] = standard_artifacts.Schema()
        made[name].uri = str(root / f"{name}-schema")
    texts = {"raw_text": raw_schema_text(LABELS), "statistics_text": statistics_schema_text(LABELS)}
    CuratedSchema.EXECUTOR_SPEC.executor_class().Do({}, {name: [artifact] for name, artifact in made.items()}, texts)
    return made


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    """Statistics of good splits, and of splits with one broken example each."""
    random = np.random.default_rng(0)

    def split():
        return [transformed_example(n, random, darkness=0.0, share=1 / 3) for n in range(COUNT)]

    splits = {name: split() for name in (*GOOD, *BROKEN)}
    for name, changes in BROKEN.items():
        for change in changes.values():
            change(splits[name][0])
    return compute_statistics(tmp_path_factory.mktemp("statistics"), splits)


@pytest.fixture(scope="module")
def dark_statistics(tmp_path_factory):
    """Of a train split that is darker, and has half the share of label 2."""
    random = np.random.default_rng(5)
    split = [transformed_example(n, random, darkness=0.3, share=1 / 6) for n in range(COUNT)]
    return compute_statistics(tmp_path_factory.mktemp("dark"), {features.TRAIN: split})


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return curated_schema(tmp_path_factory.mktemp("schema"))["statistics"]


@pytest.fixture
def validate(schema, statistics, tmp_path):
    """Runs the gate on some of the splits, beside a released model's statistics if there are any."""

    def run(*splits, released=None, gates=None, found=statistics):
        nothing = standard_artifacts.ExampleStatistics()
        nothing.uri = str(tmp_path / "nothing")
        nothing.split_names = artifact_utils.encode_split_names([])
        output = standard_artifacts.ExampleAnomalies()
        output.uri = str(tmp_path / "anomalies")
        taken = standard_artifacts.ExampleStatistics()
        taken.uri = found.uri
        taken.split_names = artifact_utils.encode_split_names(list(splits))
        Executor().Do(
            {"statistics": [taken], "released_statistics": [released or nothing], "schema": [schema]},
            {"anomalies": [output]},
            {"gates": (gates or DataGates()).to_json(), "code_digest": ""},
        )
        return output

    return run


@pytest.fixture
def read_drift(tmp_path):
    return lambda: Drift.from_json((tmp_path / "anomalies" / DRIFT_FILE).read_text())


def released_as(statistics, version="v1"):
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = statistics.uri
    artifact.split_names = artifact_utils.encode_split_names([features.TRAIN])
    artifact.set_string_custom_property("version", version)
    return artifact


# Statistics.


def test_statistics_are_of_the_descriptive_features_only(statistics):
    path = Path(statistics.uri) / "Split-train/FeatureStats.pb"
    (dataset,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets
    assert {feature.path.step[0] for feature in dataset.features} == set(features.DESCRIPTIVE)
    assert dataset.num_examples == COUNT
    label = next(f for f in dataset.features if f.path.step[0] == features.TRANSFORMED_LABEL)
    shares = {bucket.label: bucket.sample_count for bucket in label.string_stats.rank_histogram.buckets}
    assert shares == {"0": 100, "1": 100, "2": 100}


# Anomalies.


def test_data_gate_good_examples_pass_and_leave_a_file_for_each_split(validate, tmp_path):
    anomalies = validate(*GOOD)
    assert artifact_utils.decode_split_names(anomalies.split_names) == list(GOOD)
    for split in GOOD:
        found = anomalies_pb2.Anomalies.FromString((tmp_path / f"anomalies/Split-{split}/SchemaDiff.pb").read_bytes())
        assert not found.anomaly_info


@pytest.mark.parametrize(("split", "feature"), [(split, feature) for split in BROKEN for feature in BROKEN[split]])
def test_data_gate_broken_example_stops_the_run_and_names_the_feature(validate, split, feature):
    with pytest.raises(DataError) as caught:
        validate(features.TRAIN, split)
    assert f"{split}: {feature}: " in caught.value.message
    assert caught.value.message.count(f"{split}: ") == len(BROKEN[split])
    assert "train: " not in caught.value.message
    assert "statistics_schema.pbtxt" in caught.value.expected
    assert caught.value.hint is not None


def test_data_gate_names_the_anomalies_of_every_split(validate):
    with pytest.raises(DataError) as caught:
        validate("missing", features.TRAIN, "two_values")
    for place in (
        f"missing: {features.CONTRAST}: ",
        f"missing: {features.TRANSFORMED_LABEL}: ",
        f"two_values: {features.TRANSFORMED_HEIGHT}: ",
    ):
        assert place in caught.value.message


# Drift.


def test_data_gate_without_a_release_measures_no_drift_and_asks_nothing(validate, read_drift):
    validate(*GOOD, gates=DataGates(max_label_drift=0.0, max_feature_drift=0.0))
    assert read_drift() == Drift(baseline=None, features=())
    assert read_drift().gates == ()


def test_data_gate_same_data_has_drift_zero_of_every_feature(validate, read_drift, statistics):
    limits = DataGates(max_label_drift=0.0, max_feature_drift=0.0)
    validate(features.TRAIN, released=released_as(statistics), gates=limits)
    drift = read_drift()
    assert drift.baseline == "v1"
    assert {row.feature: row.value for row in drift.features} == dict.fromkeys(features.DESCRIPTIVE, 0.0)
    assert [gate.passed for gate in drift.gates] == [True, True]


def test_data_gate_drift_is_what_the_definitions_say(validate, read_drift, statistics, dark_statistics):
    validate(features.TRAIN, released=released_as(statistics), found=dark_statistics)
    rows = {row.feature: row for row in read_drift().features}
    label = rows[features.TRANSFORMED_LABEL]
    assert (label.distance, label.limit) == (Distance.L_INFINITY, None)
    assert label.value == pytest.approx(1 / 3 - 1 / 6, abs=1e-6)
    assert rows[features.BRIGHTNESS].distance == Distance.JENSEN_SHANNON
    assert rows[features.BRIGHTNESS].value > 0.5
    assert rows[features.TRANSFORMED_WIDTH].value == 0.0
    assert max(rows[key].value for key in (features.CONTRAST, features.OBJECT_COUNT, features.TRANSFORMED_HEIGHT)) < 0.1
    assert read_drift().gates == ()


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_feature_drift": 0.2}, ["gates.data.max_feature_drift", "(brightness, Jensen-Shannon)"]),
        ({"max_label_drift": 0.1}, ["gates.data.max_label_drift: 0.166667 is not <= 0.1 (label, L-infinity)"]),
    ],
)
def test_data_gate_drift_beyond_a_limit_is_a_gate_error_that_names_it(
    validate, read_drift, statistics, dark_statistics, limits, named
):  # fmt: skip
    with pytest.raises(GateError) as caught:
        validate(
            features.TRAIN, released=released_as(statistics, "76e7"), found=dark_statistics, gates=DataGates(**limits)
        )
    assert caught.value.exit_code == 3
    for words in ("released 76e7", *named):
        assert words in caught.value.message
    assert "contrast" not in caught.value.message
    for feature in features.DESCRIPTIVE:
        assert f"{feature} 0" in caught.value.expected
    assert "--set gates.data." in caught.value.hint
    # What was measured is there all the same.
    (gate,) = read_drift().gates
    assert not gate.passed


def test_data_gate_drift_within_its_limits_passes_and_the_worst_feature_is_the_gate(
    validate, read_drift, statistics, dark_statistics
):  # fmt: skip
    limits = DataGates(max_label_drift=0.2, max_feature_drift=1.0)
    validate(features.TRAIN, released=released_as(statistics), found=dark_statistics, gates=limits)
    brightness = next(row for row in read_drift().features if row.feature == features.BRIGHTNESS)
    by_name = {gate.name: gate for gate in read_drift().gates}
    assert by_name.keys() == {"gates.data.max_label_drift", "gates.data.max_feature_drift"}
    assert by_name["gates.data.max_feature_drift"].value == brightness.value
    assert by_name["gates.data.max_feature_drift"].note == "brightness, Jensen-Shannon"


# What a release keeps.


def test_canonical_statistics_do_not_depend_on_the_last_bits_or_the_order(statistics):
    serialized = (Path(statistics.uri) / "Split-train/FeatureStats.pb").read_bytes()
    other = statistics_pb2.DatasetFeatureStatisticsList.FromString(serialized)
    (dataset,) = other.datasets
    turned = list(dataset.features)[::-1]
    del dataset.features[:]
    dataset.features.extend(turned)
    for feature in (feature for feature in dataset.features if feature.HasField("num_stats")):
        feature.num_stats.mean = float(np.nextafter(feature.num_stats.mean, 1e9))
        feature.num_stats.std_dev = float(np.nextafter(feature.num_stats.std_dev, 0.0))
    assert other.SerializeToString(deterministic=True) != serialized
    assert canonical_statistics(other.SerializeToString()) == canonical_statistics(serialized)


def test_canonical_statistics_have_no_drift_from_their_own(statistics, validate, read_drift, tmp_path):
    kept = tmp_path / "kept/Split-train"
    kept.mkdir(parents=True)
    serialized = (Path(statistics.uri) / "Split-train/FeatureStats.pb").read_bytes()
    (kept / "FeatureStats.pb").write_bytes(canonical_statistics(serialized))
    released = standard_artifacts.ExampleStatistics()
    released.uri = str(kept.parent)
    validate(features.TRAIN, released=released_as(released))
    assert {row.value for row in read_drift().features} == {0.0}
