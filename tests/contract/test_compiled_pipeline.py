"""The graph as the two targets are given it: golden, the same bytes every time, and a GPU for the Trainer alone."""

import json
from pathlib import Path
from typing import get_args

import pytest
import yaml
from google.protobuf import json_format, struct_pb2

from components.kubeflow.settings import apply_settings
from components.pusher.provenance.keys import generate_key
from components.yaml_text import parse_yaml_text
from pipeline.beam import BeamOptions
from pipeline.config import read_config
from pipeline.kubeflow.compile import UNCACHED, answer_request, compile_pipeline
from pipeline.kubeflow.invariants import check_spec
from pipeline.kubeflow.options import StepName
from pipeline.kubeflow.reach import pipeline_name
from pipeline.kubeflow.requests import CompileRequest

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "pipeline/clusters"
IN_BUCKETS = ("data.annotations=gs://data/a.json", "data.images=gs://data/images", "release.uri=gs://data/releases")
ON_VOLUME = ("data.annotations=/vww/a.json", "data.images=/vww/images", "release.uri=/vww/releases")
IMAGES = ("kubeflow.image=registry/vww:1", "kubeflow.steps.Trainer.image=registry/vww:1-gpu")


def read(cluster, *overrides, config="vww_mobilenet_v1_025_96_gray"):
    section = (CLUSTERS / f"{cluster}.yaml").read_text()
    path = ROOT / f"pipeline/configs/{config}.yaml"
    return read_config(str(path), [f"kubeflow={section}", *IMAGES, *overrides])


@pytest.fixture(scope="module")
def compiled():
    """The text for each target, of the same config."""
    config = read("gke_l4", "kubeflow.pipeline_root=gs://artifacts/vww", *IN_BUCKETS)
    return {target: compile_pipeline(config, target) for target in ("kubeflow", "vertex")}


@pytest.fixture(scope="module")
def specs(compiled):
    return {target: check_spec(text) for target, text in compiled.items()}


def outline(text):
    """What a file says, but for what TFX writes of each component alone: its interface, arguments and properties."""
    documents = [json.loads(text)] if text.startswith("{") else list(yaml.safe_load_all(text))
    spec = documents[0].get("pipelineSpec", documents[0])
    del spec["components"]
    for task in spec["root"]["dag"]["tasks"].values():
        for name, source in task["inputs"].get("parameters", {}).items():
            if "runtimeValue" in source and not name.startswith("set__"):
                task["inputs"]["parameters"][name] = "…"
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"]["args"][4:] = "…"
    return yaml.safe_dump_all(documents, allow_unicode=True, width=120, default_flow_style=None)


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_compiled_pipeline_is_the_golden_one(compiled, golden, target):
    golden(f"compiled/{target}.yaml", outline(compiled[target]))


def test_pipeline_compiled_again_has_the_same_bytes(compiled):
    config = read("gke_l4", "kubeflow.pipeline_root=gs://artifacts/vww", *IN_BUCKETS)
    answer = answer_request(CompileRequest.from_json(CompileRequest(config=config, target="kubeflow").to_json()))
    assert answer.text == compiled["kubeflow"]
    assert answer.parameters == ("annotations", "epochs", "image", "image_Trainer", "images")


def test_trainer_and_nothing_else_asks_for_the_gpu_on_both_targets(specs):
    gpus = {
        target: {
            executor: json_format.MessageToDict(each.container.resources.accelerator)
            for executor, each in spec.deployment.executors.items()
            if each.container.resources.HasField("accelerator")
        }
        for target, spec in specs.items()
    }
    assert gpus == {
        "kubeflow": {"Trainer_executor": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}},
        "vertex": {"Trainer_executor": {"type": "NVIDIA_L4", "count": "1"}},
    }
    on_gpu_nodes = [executor for executor, pod in specs["kubeflow"].pods.items() if pod.tolerations]
    assert on_gpu_nodes == ["Trainer_executor"]
    for spec in specs.values():
        job = json.loads(constants(spec, "Trainer")["custom_config"])
        assert job["gpus"] == 1


def constants(spec, step):
    """A step's parameters as the driver would give them, with the placeholders of a run."""
    parameters = spec.pipeline.root.input_definitions.parameters
    values = {}
    for name, source in spec.pipeline.root.dag.tasks[step].inputs.parameters.items():
        given = source.component_input_parameter
        value = parameters[given].default_value if given else source.runtime_value.constant
        values[name] = json_format.MessageToDict(value)
    return values


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_every_parameter_of_a_run_reaches_its_place_in_the_steps(specs, target):
    spec, run = specs[target], {"annotations": "gs://n/a.json", "images": "gs://n/i", "epochs": 3.0}
    for name, value in run.items():
        spec.pipeline.root.input_definitions.parameters[name].default_value.CopyFrom(_as_value(value))
    set_in = {step: properties(spec, step) for step in ("CocoExampleGen", "Trainer", "MicroPusher")}
    options = json.loads(set_in["CocoExampleGen"]["options"])
    assert (options["annotations"], options["images"]) == ("gs://n/a.json", "gs://n/i")
    assert json.loads(json.loads(set_in["Trainer"]["custom_config"])["job"])["trainer"]["epochs"] == 3
    job = json.loads(set_in["MicroPusher"]["job"])
    assert job["run_id"] == "of this run"
    recorded = parse_yaml_text(job["config_yaml"])
    assert (recorded["data"]["images"], recorded["trainer"]["epochs"]) == ("gs://n/i", 3)


def _as_value(value):
    return json_format.ParseDict(value, struct_pb2.Value())


def properties(spec, step):
    given = {
        name: "of this run" if value == "{{$.pipeline_job_uuid}}" else value
        for name, value in constants(spec, step).items()
    }
    return apply_settings(given, frozenset(name for name in given if name.endswith("__epochs")))


def test_steps_that_depend_on_the_world_outside_are_never_served_from_a_cache(specs):
    for spec in specs.values():
        tasks = spec.pipeline.root.dag.tasks
        assert {name for name, task in tasks.items() if not task.caching_options.enable_cache} == set(UNCACHED)


def test_tuner_is_a_step_that_may_have_a_gpu_and_takes_the_epochs():
    config = read(
        "gke_l4",
        *IN_BUCKETS,
        "kubeflow.pipeline_root=gs://artifacts/vww",
        "kubeflow.steps.Tuner.accelerator={vertex: NVIDIA_L4}",
        "tuner={max_trials: 2, epochs: 1, space: {trainer.learning_rate: {min: 0.01, max: 0.1}}}",
    )
    spec = check_spec(compile_pipeline(config, "kubeflow"))
    assert set(spec.pipeline.root.dag.tasks) == set(get_args(StepName))
    assert spec.deployment.executors["Tuner_executor"].container.resources.accelerator.resource_count == "1"
    assert "set__custom_config__job__trainer__epochs" in spec.pipeline.root.dag.tasks["Tuner"].inputs.parameters


def test_cluster_with_a_shared_volume_mounts_it_into_every_step():
    spec = check_spec(compile_pipeline(read("minio", *ON_VOLUME), "kubeflow"))
    assert len(spec.pods) == len(spec.pipeline.root.dag.tasks) == 10
    assert {pod.pvc_mount[0].mount_path for pod in spec.pods.values()} == {"/vww"}
    assert json.loads(constants(spec, "Trainer")["custom_config"])["checkpoint_root"] == "/vww/work/checkpoints"


def test_detector_is_compiled_with_the_same_parameters():
    config = read(
        "gke_l4", *IN_BUCKETS, "kubeflow.pipeline_root=gs://artifacts/vww", config="person_ssd_mobilenet_v1_025_96_gray"
    )
    spec = check_spec(compile_pipeline(config, "kubeflow"))
    assert "epochs" in spec.pipeline.root.input_definitions.parameters
    assert spec.pipeline.pipeline_info.name == pipeline_name(config) == "person-ssd-mobilenet-v1-025-96-gray"


def test_credentials_of_whoever_compiles_are_nowhere_in_the_pipeline(tmp_path, monkeypatch):
    (tmp_path / "account.json").write_text('{"private_key": "-----BEGIN PRIVATE KEY----- of the account"}')
    generate_key(tmp_path / "release.key")
    secrets = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"),
        "AWS_SECRET_ACCESS_KEY": "the-key-of-minio",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "ya29.of-the-person",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    unwanted = [*secrets.values(), "PRIVATE KEY", (tmp_path / "release.key").read_text().splitlines()[1]]
    key = (
        f"kubeflow.steps.MicroPusher.secrets=[{{name: signing, path: {tmp_path}}}]",
        f"release.signing_key={tmp_path}/release.key",
    )
    config = read("gke_l4", "kubeflow.pipeline_root=gs://artifacts/vww", *IN_BUCKETS)
    signed = read("gke_l4", "kubeflow.pipeline_root=gs://artifacts/vww", *IN_BUCKETS, *key)
    for text in (compile_pipeline(config, "vertex"), compile_pipeline(signed, "kubeflow")):
        assert [each for each in unwanted if each in text] == []
    assert "secretName: signing" in compile_pipeline(signed, "kubeflow")


def test_beam_on_dataflow_reaches_the_arguments_of_its_steps():
    beam = "beam={runner: dataflow, project: my-project, region: a-b1, temp_location: 'gs://b/t', container_image: v:1}"
    spec = check_spec(
        compile_pipeline(read("gke_l4", "kubeflow.pipeline_root=gs://a/vww", *IN_BUCKETS, beam), "vertex")
    )
    for step in ("CocoExampleGen", "Transform", "StatisticsGen", "Evaluator"):
        arguments = list(spec.deployment.executors[f"{step}_executor"].container.args)
        assert set(BeamOptions(**yaml.safe_load(beam.partition("=")[2])).arguments()) <= set(arguments)
