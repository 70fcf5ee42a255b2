"""Steps run as the launcher of Kubeflow Pipelines runs them: its ExecutorInput in, its ExecutorOutput out.

The artifacts are as the metadata store gives them back: without types, their lists wrapped, in a store of files alone.
"""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.types import artifact_utils

from components import features
from components.data_validation.schema import raw_schema_text, statistics_schema_text
from components.drift import DRIFT_FILE
from components.exported_model import RELEASE_NOTE
from components.gate_options import DataGates
from components.in_step import IN_STEP
from components.kubeflow.step import main, works_through_beam

LABELS = 2
SPLITS = (features.TRAIN, features.EVAL)
TITLES = {
    "raw": "Schema",
    "schema": "Schema",
    "model": "Model",
    "statistics": "ExampleStatistics",
    "released_statistics": "ExampleStatistics",
    "anomalies": "ExampleAnomalies",
}
# Of CuratedSchema, whose `statistics` is a schema too.
SCHEMAS = {"raw": "Schema", "statistics": "Schema"}
GATE = ("statistics", "released_statistics", "schema")


def instance_schema(title):
    return {"instanceSchema": f"title: tfx.{title}\ntype: object\n"}


class Cluster:
    """A store, and the launcher that runs steps on what lies there.

    Args:
      root: takes the place of a container's root folder.
      scheme: of the store, such as `gs://`.
    """

    def __init__(self, root, scheme):
        self.scheme = scheme
        self.output_file = root / "tmp/kfp_outputs/output_metadata.json"
        self.output_file.parent.mkdir(parents=True)
        self.folder = root / {"gs": "gcs"}.get(scheme, scheme) / "bucket/run"
        self._made = {}

    def run(self, step, executor, inputs=(), outputs=None, **properties):
        """Runs one; `inputs` are names, and from which output of an earlier step each comes."""
        outputs = outputs or {}
        given = {
            "inputs": {
                "parameterValues": properties,
                "artifacts": {key: {"artifacts": [self._stored(source)]} for key, source in dict(inputs).items()},
            },
            "outputs": {
                "outputFile": str(self.output_file),
                "artifacts": {key: {"artifacts": [self._new(step, key, outputs[key])]} for key in outputs},
            },
        }
        spec = {
            "artifacts": {key: {"artifactType": instance_schema(TITLES[key])} for key in dict(inputs)},
            "parameters": {key: {"parameterType": "STRING"} for key in properties},
        }
        code = main(arguments(step, executor, given, spec))
        if code == 0:
            self._take(step, outputs)
        return code

    def uri(self, step, key):
        return f"{self.scheme}://bucket/run/{step}/{key}"

    def path(self, step, key):
        return self.folder / step / key

    def made(self, step, key):
        """The metadata of an output, as the store has it."""
        return self._made[step, key]["metadata"]

    def put(self, step, key, metadata):
        """An output of a step that ran long ago."""
        self._made[step, key] = {"uri": self.uri(step, key), "metadata": metadata, "name": str(len(self._made) + 1)}
        self.path(step, key).mkdir(parents=True)
        return self.path(step, key)

    def _new(self, step, key, title):
        return {"uri": self.uri(step, key), "type": instance_schema(title), "metadata": {}}

    def _stored(self, source):
        """As the driver gives an artifact to the next step."""
        stored = copy.deepcopy(self._made[source])
        stored["type"] = {"instanceSchema": ""}
        stored["metadata"] |= {"display_name": "d", "store_session_info": "{}", "listed": {"list": ["a"]}}
        return stored

    def _take(self, step, outputs):
        text = self.output_file.read_text()
        json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())  # as strict as the launcher
        written = json.loads(text)["artifacts"]
        for key in outputs:
            (artifact,) = written[key]["artifacts"]
            assert artifact["uri"] == self.uri(step, key)
            assert None not in artifact["metadata"].values()
            self._made[step, key] = {**artifact, "name": str(len(self._made) + 1)}
        for folder in sorted(self.folder.rglob("*"), reverse=True):  # the store keeps files
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def arguments(step, executor, given, spec):
    return [
        *("--step", step, "--executor_class_path", executor),
        *("--json_serialized_invocation_args", json.dumps(given)),
        *("--json_serialized_inputs_spec_args", json.dumps(spec)),
        *("--direct_running_mode=in_memory", "--direct_num_workers=1"),
    ]


def put_statistics(cluster, **changes):
    import tensorflow_data_validation as tfdv  # works only once TFX was imported

    folder = cluster.put("StatisticsGen", "statistics", {"split_names": artifact_utils.encode_split_names(SPLITS)})
    random = np.random.default_rng(0)
    columns = {
        features.TRANSFORMED_LABEL: random.integers(0, LABELS, 60),
        features.BRIGHTNESS: random.random(60),
        features.CONTRAST: random.random(60) / 2,
        features.TRANSFORMED_WIDTH: np.full(60, 640),
        features.TRANSFORMED_HEIGHT: np.full(60, 480),
        features.OBJECT_COUNT: random.integers(0, 4, 60),
        **changes,
    }
    statistics = tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns)).SerializeToString()
    for split in SPLITS:
        (folder / f"Split-{split}").mkdir()
        (folder / f"Split-{split}" / "FeatureStats.pb").write_bytes(statistics)


def make_schemas(cluster):
    return cluster.run(
        "CuratedSchema",
        "components.data_validation.schema.CuratedSchema_Executor",
        outputs=SCHEMAS,
        raw_text=raw_schema_text(LABELS),
        statistics_text=statistics_schema_text(LABELS),
    )


def find_released(cluster, release_uri, **more):
    return cluster.run(
        "ReleasedModel",
        "components.pusher.released_model.Executor",
        outputs={"model": "Model", "statistics": "ExampleStatistics"},
        release_uri=release_uri,
        model_name="person_detect",
        version=IN_STEP,
        trusted_keys="[]",
        **more,
    )


def validate(cluster, **more):
    return cluster.run(
        "ExampleValidator",
        "components.data_validation.executor.Executor",
        inputs={
            "statistics": ("StatisticsGen", "statistics"),
            "released_statistics": ("ReleasedModel", "statistics"),
            "schema": ("CuratedSchema", "statistics"),
        },
        outputs={"anomalies": "ExampleAnomalies"},
        gates=DataGates().to_json(),
        code_digest="",
        **more,
    )


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def start(tmp_path):
    """A cluster on which the steps before the ExampleValidator have ended."""

    def on(scheme="minio", **changes):
        cluster = Cluster(tmp_path / "container", scheme)
        assert make_schemas(cluster) == 0
        assert find_released(cluster, str(tmp_path / "releases")) == 0
        put_statistics(cluster, **changes)
        return cluster

    return on


@pytest.mark.parametrize("scheme", ["gs", "s3", "minio"])
def test_steps_from_schema_to_gate_run_in_a_store_of_any_kind(start, scheme):
    cluster = start(scheme)
    assert validate(cluster) == 0
    found = {path.relative_to(cluster.folder).as_posix() for path in cluster.folder.rglob("*") if path.is_file()}
    assert found >= {
        "CuratedSchema/raw/schema.pbtxt",
        "CuratedSchema/statistics/schema.pbtxt",
        f"ReleasedModel/model/{RELEASE_NOTE}",
        f"ReleasedModel/statistics/{RELEASE_NOTE}",
        f"ExampleValidator/anomalies/{DRIFT_FILE}",
    }
    made = cluster.made("ExampleValidator", "anomalies")
    assert artifact_utils.decode_split_names(made["split_names"]) == list(SPLITS)
    assert cluster.made("ReleasedModel", "model")["version"] == ""


def test_step_with_drifted_data_ends_with_one_line_that_names_it(start, capsys):
    cluster = start(**{features.BRIGHTNESS: np.full(60, 1.5)})
    assert validate(cluster) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("ExampleValidator: DataError: the examples do not fit the schema: train")
    assert "; hint: " in said.splitlines()[-1]
    assert "Traceback" not in said


def test_step_with_an_input_that_was_deleted_names_it_before_anything_is_imported(start, capsys):
    cluster = start()
    shutil.rmtree(cluster.path("StatisticsGen", "statistics"))
    assert validate(cluster) == 1
    assert last_line(capsys).startswith(
        "ExampleValidator: DataError: input statistics: there is no file at minio://bucket/run/StatisticsGen/statistics;"
    )


def test_step_with_an_input_left_out_names_it(start, capsys):
    cluster = start()
    spec = {"artifacts": {key: {"artifactType": instance_schema(TITLES[key])} for key in GATE}}
    given = {"inputs": {}, "outputs": {"outputFile": str(cluster.output_file), "artifacts": {}}}
    assert main(arguments("ExampleValidator", "components.data_validation.executor.Executor", given, spec)) == 1
    assert last_line(capsys).startswith("ExampleValidator: DataError: input released_statistics: missing; expected: ")


def test_step_tried_again_starts_with_empty_outputs(start):
    cluster = start()
    killed = cluster.path("ExampleValidator", "anomalies")
    killed.mkdir(parents=True)
    (killed / "half written").write_text("x")
    cluster.output_file.write_text('{"parameterValues": {"gates": "of the killed attempt"}}')
    assert validate(cluster) == 0
    assert not (killed / "half written").exists()


def test_step_that_a_run_gives_other_settings_uses_them(start, capsys):
    cluster = start()
    assert validate(cluster, set__gates__max_label_drift=2.5) == 1
    assert last_line(capsys).startswith("ExampleValidator: ConfigError: DataGates: max_label_drift: ")


def test_step_with_an_input_without_a_file_in_a_split_names_it_before_anything_is_imported(start, capsys):
    cluster = start()
    (cluster.path("StatisticsGen", "statistics") / "Split-eval" / "FeatureStats.pb").write_bytes(b"")
    assert validate(cluster) == 1
    assert last_line(capsys).startswith(
        "ExampleValidator: DataError: input statistics: minio://bucket/run/StatisticsGen/statistics is damaged:"
        " Split-eval/FeatureStats.pb is missing or empty; expected: "
    )


def test_step_stopped_by_a_damaged_input_names_it_below_the_traceback(start, caplog, capsys):
    cluster = start()
    (cluster.path("CuratedSchema", "statistics") / "schema.pbtxt").write_text("no schema")
    assert validate(cluster) == 1
    assert last_line(capsys).startswith(
        "ExampleValidator: DataError: input schema: minio://bucket/run/CuratedSchema/statistics is damaged:"
        " schema.pbtxt cannot be read as a schema; expected: "
    )
    assert caplog.text.count("Traceback") == 1
    assert "ParseError: 1:1" in caplog.text


def test_step_stopped_by_a_fault_shows_where_above_its_last_line(start, caplog, capsys):
    cluster = start()
    assert cluster.run("ExampleValidator", "components.data_validation.executor.NoExecutor",
                       inputs={"schema": ("CuratedSchema", "statistics")}) == 1  # fmt: skip
    assert last_line(capsys).startswith("ExampleValidator: PipelineError: ImportError: ")
    assert "Traceback" in caplog.text


def test_step_with_an_input_that_is_not_its_own_names_it(start, capsys):
    cluster = start()
    given = {
        "inputs": {"artifacts": {"zz": {"artifacts": [{"uri": cluster.uri("CuratedSchema", "statistics")}]}}},
        "outputs": {"outputFile": str(cluster.output_file)},
    }
    assert main(arguments("Trainer", "a.B", given, {})) == 1
    assert last_line(capsys).startswith("Trainer: ConfigError: input zz: not one of this step's; expected: ")


def test_step_of_a_uid_without_a_home_gets_one(start, monkeypatch):
    cluster = start()
    monkeypatch.delenv("HOME")
    assert validate(cluster) == 0
    assert Path.home() == Path(tempfile.gettempdir())


def test_step_without_an_invocation_in_json_says_so(capsys):
    assert main(["--step", "Trainer", "--executor_class_path", "a.B", "--json_serialized_invocation_args", "{{$}}",
                 "--json_serialized_inputs_spec_args", "{}"]) == 1  # fmt: skip
    assert last_line(capsys).startswith("Trainer: ConfigError: the step's invocation cannot be read as JSON")


def test_step_on_vertex_ai_writes_its_record_into_a_bucket(tmp_path):
    """`file://`, which TensorFlow reads as it reads `gs://`, stands for it."""
    folder = tmp_path / "bucket"
    output = {
        "uri": f"file://{folder}/raw",
        "type": instance_schema("Schema"),
        "metadata": {},
        "name": "projects/1/a/2",
    }
    outputs = {key: {"artifacts": [{**output, "uri": f"file://{folder}/{key}"}]} for key in SCHEMAS}
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "of another task").touch()
    given = {
        "inputs": {
            "parameterValues": {"raw_text": "", "statistics_text": "", "set__raw_text": raw_schema_text(LABELS)}
        },
        "outputs": {"outputFile": f"file://{folder}/executor_output.json", "artifacts": outputs},
    }
    spec = {"parameters": {key: {"parameterType": "STRING"} for key in given["inputs"]["parameterValues"]}}
    executor = "components.data_validation.schema.CuratedSchema_Executor"
    assert main(arguments("CuratedSchema", executor, given, spec)) == 0
    assert (folder / "raw" / "of another task").exists()
    assert "image/encoded" in (folder / "raw" / "schema.pbtxt").read_text()
    written = json.loads((folder / "executor_output.json").read_text())["artifacts"]
    assert written["raw"]["artifacts"][0]["uri"] == f"file://{folder}/raw"


@pytest.mark.parametrize(
    ("executor", "expected"),
    [
        ("components.example_gen.executor.Executor", True),
        ("tfx.components.statistics_gen.executor.Executor", True),
        ("tfx.components.transform.executor.Executor", True),
        ("components.evaluator.executor.Executor", True),
        ("tfx.components.trainer.executor.GenericExecutor", False),
        ("components.pusher.executor.Executor", False),
        ("components.pusher.released_model.Executor", False),
    ],
)
def test_works_through_beam_tells_who_needs_a_buckets_uri(executor, expected):
    assert works_through_beam(executor) is expected
