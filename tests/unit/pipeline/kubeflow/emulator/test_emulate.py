"""Small pipelines of a maker and a taker, whose steps are scripts that see what a launcher gives them."""

import json
import re

import pytest
import yaml

from components.errors import ConfigError, GateError, PipelineError, StorageError
from pipeline.console import RunView
from pipeline.kubeflow.emulator.emulate import emulate

SCHEMA = "title: tfx.Examples\ntype: object\n"
# What every script begins with: `given`, the folder of an artifact, and how to say what was made.
PRELUDE = """
import json, os, pathlib, signal, sys
given = json.loads(sys.argv[1])
record = pathlib.Path(given["outputs"]["outputFile"])
root = record.parents[2]
def folder(artifact):
    scheme, _, key = artifact["uri"].partition("://")
    return root / {"gs": "gcs", "s3": "s3", "minio": "minio"}[scheme] / key
def put_out(key, **artifact):
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"artifacts": {key: {"artifacts": [artifact]}}}))
"""
MAKE = """
made = folder(given["outputs"]["artifacts"]["made"]["artifacts"][0])
(made / "Split-train").mkdir(parents=True)
(made / "nothing").mkdir()
(made / "Split-train" / "data").write_text("27")
"""
TAKE = """
taken = given["inputs"]["artifacts"]["taken"]["artifacts"][0]
report = {"artifact": taken, "parameters": given["inputs"].get("parameterValues", {}),
          "files": sorted(str(p.relative_to(folder(taken))) for p in folder(taken).rglob("*")),
          "work": os.listdir("."), "variable": os.environ.get("COLOUR"), "words": sys.argv[2:]}
seen = folder(given["outputs"]["artifacts"]["seen"]["artifacts"][0])
seen.mkdir()
(seen / "report.json").write_text(json.dumps(report))
"""


def pipeline(make=MAKE, take=TAKE):
    def component(name, inputs, output):
        return {
            "executorLabel": f"{name}_executor",
            "inputDefinitions": inputs,
            "outputDefinitions": {"artifacts": {output: {"artifactType": {"instanceSchema": SCHEMA}}}},
        }

    def container(script, *words):
        return {
            "container": {"image": "vww:1", "command": ["python", "-c", PRELUDE + script, "{{$}}"], "args": [*words]}
        }

    return {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "two"},
        "defaultPipelineRoot": "minio://bucket/root",
        "components": {
            "Make": component("Make", {}, "made"),
            "Take": component("Take", {"artifacts": {"taken": {"artifactType": {"instanceSchema": SCHEMA}}}}, "seen"),
        },
        "deploymentSpec": {"executors": {"Make_executor": container(make), "Take_executor": container(take)}},
        "root": {
            "dag": {
                "tasks": {
                    # By name it would be the first.
                    "Take": {
                        "componentRef": {"name": "Take"},
                        "taskInfo": {"name": "Take"},
                        "dependentTasks": ["Make"],
                        "inputs": {
                            "artifacts": {
                                "taken": {"taskOutputArtifact": {"producerTask": "Make", "outputArtifactKey": "made"}}
                            }
                        },
                    },
                    "Make": {"componentRef": {"name": "Make"}, "taskInfo": {"name": "Make"}},
                }
            }
        },
    }


def add_parameter(spec, name, kind, source):
    """A parameter of the step Take."""
    definitions = spec["components"]["Take"]["inputDefinitions"].setdefault("parameters", {})
    definitions[name] = {"parameterType": kind}
    spec["root"]["dag"]["tasks"]["Take"]["inputs"].setdefault("parameters", {})[name] = source


def root_parameter(spec, name, kind, default):
    parameters = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    parameters[name] = {"parameterType": kind, "defaultValue": default, "isOptional": True}


@pytest.fixture
def run(tmp_path):
    def run_pipeline(spec, *others, **parameters):
        text = yaml.safe_dump_all([spec, *others])
        return emulate(text, root=tmp_path, parameters=parameters, processes="fresh", view=RunView())

    return run_pipeline


def report_of(emulation):
    return json.loads((emulation.artifacts["Take"]["seen"] / "report.json").read_text())


def test_steps_run_after_those_that_they_wait_for(run):
    emulation = run(pipeline())
    assert [(step.task, step.attempts) for step in emulation.steps] == [("Make", 1), ("Take", 1)]
    assert emulation.outcome is None


def test_input_arrives_without_its_type_and_without_empty_folders(run):
    report = report_of(run(pipeline()))
    assert report["artifact"]["type"] == {"instanceSchema": ""}
    assert re.fullmatch(r"minio://bucket/root/two/[0-9a-f-]{36}/Make/[0-9a-f-]{36}/made", report["artifact"]["uri"])
    assert report["files"] == ["Split-train", "Split-train/data"]
    assert report["work"] == []


def test_metadata_comes_back_as_the_metadata_store_gives_it(run):
    metadata = {"name": "x", "count": 3, "yes": True, "splits": ["train"], "shape": {"side": 96}}
    report = report_of(run(pipeline(make=f"{MAKE}put_out('made', metadata={metadata!r})")))
    assert report["artifact"]["metadata"] == {
        "name": "x",
        "count": 3.0,
        "yes": 1.0,
        "splits": {"list": ["train"]},
        "shape": {"struct": {"side": 96.0}},
        "display_name": "made",
        "store_session_info": "{}",
    }


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "put_out('made', metadata={'blessed': None})",
            "the metadata 'blessed' of the output 'made' of the step Make is",
        ),
        ("put_out('made', uri='/minio/bucket/root')", "the step Make says that it wrote to '/minio/bucket/root'"),
        ("put_out('made', sort='x')", "the step Make wrote an output_metadata.json that the launcher cannot read"),
    ],
)
def test_output_that_the_launcher_refuses_stops_the_run(run, written, message):
    with pytest.raises(PipelineError, match=message):
        run(pipeline(make=MAKE + written))


# Parameters.


def test_parameters_are_defaults_or_what_is_given_with_their_types(run):
    spec = pipeline()
    root_parameter(spec, "epochs", "NUMBER_INTEGER", 2)
    root_parameter(spec, "images", "STRING", "gs://data/images")
    add_parameter(spec, "set__epochs", "NUMBER_INTEGER", {"componentInputParameter": "epochs"})
    add_parameter(spec, "set__images", "STRING", {"componentInputParameter": "images"})
    add_parameter(spec, "number_as_text", "STRING", {"runtimeValue": {"constant": 3}})
    assert report_of(run(spec, epochs="5"))["parameters"] == {
        "set__epochs": 5.0,
        "set__images": "gs://data/images",
        "number_as_text": "3",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": "5"}, "no parameter 'epoch'"),
        ({"epochs": "five"}, "cannot be 'five'"),
        ({"epochs": "2.5"}, "cannot be '2.5'"),
        ({"epochs": "0"}, "received epochs=0"),
        ({"images": ""}, "received images="),
        ({"images": "/data/images"}, "images=/data/images is out of reach of CocoExampleGen: no volume"),
        ({"image": "vww:"}, "received image=vww:"),
    ],
)
def test_parameter_that_the_pipeline_cannot_take_is_refused_before_anything_runs(run, tmp_path, given, message):
    spec = pipeline()
    root_parameter(spec, "epochs", "NUMBER_INTEGER", 2)
    root_parameter(spec, "images", "STRING", "gs://data/images")
    root_parameter(spec, "image", "STRING", "vww:1")
    with pytest.raises(ConfigError, match=message):
        run(spec, **given)
    assert list(tmp_path.iterdir()) == []


def test_constants_that_the_driver_knows_are_filled_in_and_others_stay(run):
    spec = pipeline()
    for name in ("pipeline_job_uuid", "pipeline_job_create_time_utc", "pipeline_task_name", "no_such_thing"):
        add_parameter(spec, name, "STRING", {"runtimeValue": {"constant": f"{{{{$.{name}}}}}"}})
    emulation = run(spec)
    parameters = report_of(emulation)["parameters"]
    assert parameters["pipeline_job_uuid"] == emulation.run_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", parameters["pipeline_job_create_time_utc"])
    assert parameters["pipeline_task_name"] == "Take"
    assert parameters["no_such_thing"] == "{{$.no_such_thing}}"


def test_command_has_its_placeholders_filled_in_and_its_environment(run):
    spec = pipeline()
    add_parameter(spec, "epochs", "NUMBER_INTEGER", {"runtimeValue": {"constant": 7}})
    container = spec["deploymentSpec"]["executors"]["Take_executor"]["container"]
    container["args"] = ["n={{$.inputs.parameters['epochs']}}", "{{$.inputs.artifacts['taken'].uri}}"]
    container["env"] = [{"name": "COLOUR", "value": "gray"}]
    report = report_of(run(spec))
    assert report["words"] == ["n=7", report["artifact"]["uri"]]
    assert report["variable"] == "gray"


# What a pod is asked for.


def test_pod_has_the_image_and_the_resources_that_the_driver_computes(run):
    spec = pipeline()
    root_parameter(spec, "image", "STRING", "vww:1")
    add_parameter(spec, "pipelinechannel--image", "STRING", {"componentInputParameter": "image"})
    container = spec["deploymentSpec"]["executors"]["Take_executor"]["container"]
    container["image"] = "{{$.inputs.parameters['pipelinechannel--image']}}"
    container["resources"] = {
        "cpuLimit": 8.0,
        "memoryLimit": 32.0,
        "resourceMemoryLimit": "16Gi",
        "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"},
    }
    placed = {"Take_executor": {"nodeSelector": {"labels": {"pool": "gpu"}}}}
    made, took = run(
        spec, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": placed}}}}, image="vww:2"
    ).steps
    assert took.pod == {
        "image": "vww:2",
        "env": {},
        "resources": {"limits": {"memory": "16Gi", "cpu": "8", "nvidia.com/gpu": "1"}, "requests": {}},
        "settings": {"nodeSelector": {"labels": {"pool": "gpu"}}},
    }
    assert made.pod["resources"] == {"limits": {}, "requests": {}}


def test_quantity_that_kubernetes_would_refuse_stops_the_run(run):
    spec = pipeline()
    add_parameter(spec, "cpu", "STRING", {"runtimeValue": {"constant": "8 CPUs"}})
    resources = {"resourceCpuLimit": "{{$.inputs.parameters['cpu']}}"}
    spec["deploymentSpec"]["executors"]["Take_executor"]["container"]["resources"] = resources
    with pytest.raises(PipelineError, match=r"step Take asks for limits\.cpu='8 CPUs'"):
        run(spec)


def test_volume_that_is_no_folder_here_is_refused(run):
    mount = {"constant": "data", "pvcNameParameter": {"runtimeValue": {"constant": "data"}}, "mountPath": "/no/such"}
    executors = {"Take_executor": {"pvcMount": [mount]}}
    with pytest.raises(ConfigError, match="Take has a volume at /no/such, which is no folder here"):
        run(pipeline(), {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}})


# Failures.


def test_step_killed_half_way_is_tried_again_and_nothing_half_written_is_seen(run, tmp_path):
    killed_once = f"""
once = pathlib.Path({str(tmp_path / "once")!r})
if not once.exists():
    once.touch()
    half = folder(given["outputs"]["artifacts"]["made"]["artifacts"][0])
    half.mkdir(parents=True)
    (half / "half").write_text("written")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    spec = pipeline(make=killed_once + MAKE)
    spec["root"]["dag"]["tasks"]["Make"]["retryPolicy"] = {"maxRetryCount": 2}
    emulation = run(spec)
    assert [step.attempts for step in emulation.steps] == [2, 1]
    assert report_of(emulation)["files"] == ["Split-train", "Split-train/data"]


def test_step_that_fails_in_every_attempt_names_its_last_words_and_its_log(run):
    spec = pipeline(make="sys.exit('no such image')")
    spec["root"]["dag"]["tasks"]["Make"]["retryPolicy"] = {"maxRetryCount": 1}
    with pytest.raises(PipelineError) as caught:
        run(spec)
    message = str(caught.value)
    assert "the step Make failed in the last of 2 attempts (exit code 1):\n  | no such image\n" in message
    assert re.search(r"log: \S+/01-Make/attempt-2\.log\n", message)


def test_step_that_a_gate_stops_is_a_gates_refusal_and_tells_its_last_line_alone(run):
    with pytest.raises(GateError) as caught:
        run(pipeline(make="print('INFO: measured')\nsys.exit('Make: GateError: too large; hint: a smaller alpha')"))
    assert "(exit code 1):\n  | Make: GateError: too large; hint: a smaller alpha\n  hint: log: " in str(caught.value)


def test_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"--root \S+/file cannot be written: Not a directory"):
        emulate(yaml.safe_dump(pipeline()), root=tmp_path / "file", parameters={}, processes="fresh", view=RunView())


def test_program_that_is_not_there_is_named(run):
    spec = pipeline()
    spec["deploymentSpec"]["executors"]["Make_executor"]["container"]["command"] = ["no-such-program"]
    with pytest.raises(PipelineError, match="cannot start 'no-such-program': No such file or directory"):
        run(spec)


# What KFP would refuse, or this does not cover.


def unknown_task(spec):
    spec["root"]["dag"]["tasks"]["Take"]["dependentTasks"] = ["Mak"]


def wrong_version(spec):
    spec["schemaVersion"] = "2.0.0"


def condition(spec):
    spec["root"]["dag"]["tasks"]["Take"]["triggerPolicy"] = {"condition": "true"}


def output_parameter(spec):
    spec["components"]["Make"]["outputDefinitions"]["parameters"] = {"loss": {"parameterType": "NUMBER_DOUBLE"}}


def local_root(spec):
    spec["defaultPipelineRoot"] = "/data/artifacts"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (unknown_task, "'Mak', which is not there"),
        (wrong_version, "schemaVersion is '2.0.0'"),
        (condition, "the task Take runs on a condition or in a loop, which is not emulated"),
        (output_parameter, "the task Make puts out a parameter, which is not emulated"),
        (local_root, "the pipeline: defaultPipelineRoot is /data/artifacts"),
    ],
)
def test_pipeline_that_cannot_be_run_is_refused_before_anything_runs(run, tmp_path, edit, message):
    spec = pipeline()
    edit(spec)
    with pytest.raises(ConfigError, match=message):
        run(spec)
    assert list(tmp_path.iterdir()) == []


def test_pipeline_for_vertex_ai_is_refused(run):
    with pytest.raises(ConfigError, match="is compiled for Vertex AI"):
        run({"pipelineSpec": pipeline()})
