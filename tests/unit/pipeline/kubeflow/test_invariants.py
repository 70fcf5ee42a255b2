"""A compiled pipeline that its target would not run, or not all of, is refused in one line."""

import copy
import json

import pytest
import yaml

from components.errors import ConfigError
from pipeline.kubeflow.invariants import check_spec

SPEC = {
    "schemaVersion": "2.1.0",
    "pipelineInfo": {"name": "two-steps"},
    "root": {
        "inputDefinitions": {"parameters": {"epochs": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {
            "tasks": {
                "First": {"componentRef": {"name": "First"}, "taskInfo": {"name": "First"}},
                "Second": {
                    "componentRef": {"name": "Second"},
                    "taskInfo": {"name": "Second"},
                    "dependentTasks": ["First"],
                    "inputs": {
                        "artifacts": {
                            "examples": {
                                "taskOutputArtifact": {"producerTask": "First", "outputArtifactKey": "examples"}
                            }
                        },
                        "parameters": {"epochs": {"componentInputParameter": "epochs"}},
                    },
                },
            }
        },
    },
    "components": {
        "First": {
            "executorLabel": "First_executor",
            "outputDefinitions": {"artifacts": {"examples": {"artifactType": {"schemaTitle": "tfx.Examples"}}}},
        },
        "Second": {
            "executorLabel": "Second_executor",
            "inputDefinitions": {
                "artifacts": {"examples": {"artifactType": {"schemaTitle": "tfx.Examples"}}},
                "parameters": {"epochs": {"parameterType": "NUMBER_INTEGER"}},
            },
        },
    },
    "deploymentSpec": {
        "executors": {
            "First_executor": {"container": {"image": "vww", "command": ["python"]}},
            "Second_executor": {"container": {"image": "vww", "command": ["python"]}},
        }
    },
}
TASK, COMPONENT = "root/dag/tasks/Second", "components/Second"
CONTAINER = "deploymentSpec/executors/Second_executor/container"
PODS = {
    "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"Second_executor": {"activeDeadlineSeconds": "60"}}}}}
}


def edited(path, value):
    """The text of SPEC with another value at a path; None takes it out."""
    spec = copy.deepcopy(SPEC)
    *folders, last = path.split("/")
    node = spec
    for key in folders:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return yaml.safe_dump(spec)


def refusal(text):
    with pytest.raises(ConfigError) as raised:
        check_spec(text, "pipeline.yaml")
    error = raised.value
    assert "\n" not in error.message
    assert error.hint is not None
    return error.message.removeprefix("pipeline.yaml")


def test_spec_that_holds_together_is_taken_with_one_document_two_or_as_a_job():
    assert check_spec(yaml.safe_dump(SPEC)).pods == {}
    checked = check_spec(yaml.safe_dump_all([SPEC, PODS]))
    assert checked.pods["Second_executor"].active_deadline_seconds == 60
    assert set(checked.deployment.executors) == {"First_executor", "Second_executor"}
    job = check_spec(json.dumps({"displayName": "two-steps", "pipelineSpec": SPEC}))
    assert job.job["displayName"] == "two-steps"
    assert job.pipeline == checked.pipeline


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schemaVersion", "2.0.0", ": schemaVersion is '2.0.0'"),
        ("schemaVersion", None, ": schemaVersion is ''"),
        ("rooot", {}, "rooot"),
        ("pipelineInfo", None, ": it has no name or no tasks"),
        ("root/dag/tasks", {}, ": it has no name or no tasks"),
        ("root/dag/tasks/Second/dependentTasks", ["Frist"], ": task Second waits for the task 'Frist', which is not"),
        (
            "root/dag/tasks/Second/inputs/artifacts/examples/taskOutputArtifact/producerTask",
            "X_task",
            ": task Second waits for the task 'X_task', which is not there",
        ),
        (
            "root/dag/tasks/Second/inputs/artifacts/examples/taskOutputArtifact/outputArtifactKey",
            "example",
            ": task Second: First has no output 'example'",
        ),
        (
            "root/dag/tasks/Second/inputs/parameters/epochs/componentInputParameter",
            "epoch",
            ": task Second takes the parameter 'epoch', which is not there",
        ),
        (f"{TASK}/componentRef/name", "Third", ": task Second refers to the component 'Third'"),
        ("components/First", None, ": task First refers to the component 'First'"),
        (f"{TASK}/taskInfo", None, ": task Second has the taskInfo.name ''"),
        ("root/dag/tasks/A b", {"componentRef": {"name": "First"}, "taskInfo": {"name": "A b"}}, "is named 'A b'"),
        (f"{TASK}/retryPolicy", {"maxRetryCount": -1}, ": task Second has maxRetryCount -1"),
        (
            f"{TASK}/inputs/artifacts/examples",
            {"componentInputArtifact": "x"},
            ": task Second takes the artifact 'examples' from no other task",
        ),
        (
            f"{TASK}/inputs/parameters/epochs",
            {"taskOutputParameter": {"producerTask": "First", "outputParameterKey": "loss"}},
            ": task Second: First has no output 'loss'",
        ),
        (f"{TASK}/inputs/parameters/epochs", {}, ": task Second takes the parameter 'epochs' from nowhere"),
        (
            f"{TASK}/inputs/parameters/epochs",
            {"runtimeValue": {"constant": 2.5}},
            ": task Second is given epochs=2.5",
        ),
        (
            f"{TASK}/inputs/parameters/colour",
            {"runtimeValue": {"constant": "red"}},
            ": task Second is given the parameter 'colour', which its component does not take",
        ),
        (f"{TASK}/inputs/parameters", {}, ": task Second is not given the parameter 'epochs'"),
        (f"{COMPONENT}/inputDefinitions/artifacts", {}, ": task Second is given the artifact 'examples', which"),
        (f"{TASK}/inputs/artifacts", {}, ": task Second is not given the artifact 'examples'"),
        *(
            (
                "root/inputDefinitions/parameters/epochs/defaultValue",
                value,
                f"'epochs' of the run has the default {value!r}",
            )
            for value in ("two", 2.5)
        ),
        (
            f"{COMPONENT}/inputDefinitions/parameters/epochs",
            {"isOptional": True},
            ": the parameter 'epochs' of the component Second has no type",
        ),
        *(("pipelineInfo/name", name, f": its name is {name!r}") for name in ("../../x", "ünï code", "Two")),
        ("root/dag/tasks/First/dependentTasks", ["Second"], ": the tasks First, Second wait for each other"),
        ("components/Second/executorLabel", "X_executor", ": component Second has no executor 'X_executor'"),
        (
            "deploymentSpec/executors/First_executor",
            {"resolver": {}},
            ": First_executor is a resolver, which Kubeflow Pipelines cannot run",
        ),
        ("deploymentSpec/executors/First_executor/container/image", None, ": First_executor has no image"),
        (f"{CONTAINER}/command", None, ": Second_executor has no command"),
        (f"{CONTAINER}/args", ["a\0b"], ": Second_executor has a zero byte"),
        (f"{CONTAINER}/env", [{"name": "A=B", "value": "x"}], ": Second_executor sets the variable 'A=B'"),
        (f"{CONTAINER}/env", [{"name": "A", "value": "x\0y"}], ": Second_executor has a zero byte"),
        (
            f"{CONTAINER}/image",
            "{{$.inputs.parameters['image']}}",
            ": Second_executor names inputs.parameters['image'], which its component does not have",
        ),
        (
            f"{CONTAINER}/args",
            ["--to={{$.outputs.artifacts['model'].uri}}"],
            ": Second_executor names outputs.artifacts['model']",
        ),
        (f"{CONTAINER}/resources", {"resourceCpuLimit": "two"}, ": Second_executor asks for resourceCpuLimit='two'"),
        (f"{CONTAINER}/resources", {"resourceMemoryLimit": "-8Gi"}, ": Second_executor asks for resourceMemoryLimit"),
        *((place, 3, "Failed to parse") for place in ("root", "root/dag/tasks/Second", "deploymentSpec")),
        ("deploymentSpec/executors/First_executor/container/imagge", "x", ": deploymentSpec: Failed to parse"),
    ],
)
def test_spec_edited_by_hand_is_refused_with_what_is_wrong(path, value, said):
    assert said in refusal(edited(path, value))


def test_input_that_is_optional_or_has_a_default_need_not_be_given():
    for change in ({"isOptional": True}, {"defaultValue": 3}):
        spec = copy.deepcopy(SPEC)
        spec["components"]["Second"]["inputDefinitions"]["parameters"]["epochs"] |= change
        del spec["root"]["dag"]["tasks"]["Second"]["inputs"]["parameters"]
        check_spec(yaml.safe_dump(spec))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": it has 0 documents"),
        ("- a\n- b\n", ": it has 1 documents"),
        ("a: [", ": it cannot be parsed"),
        ('{"pipelineSpec": ', ": it cannot be parsed"),
        ("pipelineSpec: 3", ": it holds 3"),
        ("pipelineInfo: {name: two}\n1: 2", ": expected string"),
        (yaml.safe_dump_all([SPEC, SPEC]), ", second document"),
        (yaml.safe_dump_all([SPEC, {"platforms": {"mesos": {}}}]), ": its second document is for mesos"),
        (
            yaml.safe_dump_all([SPEC, yaml.safe_load(yaml.safe_dump(PODS).replace("Second", "Third"))]),
            ": its second document places 'Third_executor', which is not there",
        ),
    ],
)
def test_file_that_is_no_pipeline_is_refused(text, said):
    assert said in refusal(text)
