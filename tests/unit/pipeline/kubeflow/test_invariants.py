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
        "Second": {"executorLabel": "Second_executor"},
    },
    "deploymentSpec": {
        "executors": {
            "First_executor": {"container": {"image": "vww", "command": ["python"]}},
            "Second_executor": {"container": {"image": "vww", "command": ["python"]}},
        }
    },
}
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
        ("root/dag/tasks/Second/componentRef/name", "Third", ": task Second refers to the component 'Third'"),
        ("root/dag/tasks/First/dependentTasks", ["Second"], ": the tasks First, Second wait for each other"),
        ("components/Second/executorLabel", "X_executor", ": component Second has no executor 'X_executor'"),
        (
            "deploymentSpec/executors/First_executor",
            {"resolver": {}},
            ": First_executor is a resolver, which Kubeflow Pipelines cannot run",
        ),
        ("deploymentSpec/executors/First_executor/container/image", None, ": First_executor has no image"),
        ("deploymentSpec/executors/First_executor/container/imagge", "x", ": deploymentSpec: Failed to parse"),
    ],
)
def test_spec_edited_by_hand_is_refused_with_what_is_wrong(path, value, said):
    assert said in refusal(edited(path, value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": it has 0 documents"),
        ("- a\n- b\n", ": it has 1 documents"),
        ("a: [", ": it cannot be parsed"),
        ('{"pipelineSpec": ', ": it cannot be parsed"),
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
