"""What a step is given and where it runs, as the two targets read it."""

import json

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.kubeflow.options import StepOptions
from pipeline.kubeflow.placement import place_step, pod_settings


def step(**keys):
    return StepOptions.from_json(json.dumps(keys))


def placed(options, target):
    """The task and the container of a step that had neither resources nor anything else."""
    task = pipeline_spec_pb2.PipelineTaskSpec()
    container = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec()
    place_step(task, container, options, target)
    return json_format.MessageToDict(task), json_format.MessageToDict(container)


def test_resources_for_kubeflow_are_kubernetes_own_words():
    _, container = placed(step(cpu=0.5, memory="24Gi", accelerator={"count": 2}), "kubeflow")
    assert container["resources"] == {
        "resourceCpuRequest": "0.5",
        "resourceCpuLimit": "0.5",
        "resourceMemoryRequest": "24Gi",
        "resourceMemoryLimit": "24Gi",
        "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "2"},
    }


def test_resources_for_vertex_are_numbers_and_its_own_name_of_the_gpu():
    options = step(cpu=8, memory="30Gi", accelerator={"vertex": "NVIDIA_L4", "count": 2})
    resources = placed(options, "vertex")[1]["resources"]
    assert resources["cpuLimit"] == resources["cpuRequest"] == 8.0
    assert resources["memoryLimit"] == resources["memoryRequest"] == 32.21225472  # GB
    assert resources["accelerator"] == {"type": "NVIDIA_L4", "count": "2"}


def test_step_that_asks_for_nothing_is_left_as_it_was():
    for target in ("kubeflow", "vertex"):
        assert placed(step(), target) == ({}, {})
    assert pod_settings(step()) == {}


def test_retries_and_env_are_written_into_the_step():
    task, container = placed(step(retries={"count": 3}, env={"B": "2", "A": "1"}), "kubeflow")
    assert task["retryPolicy"] == {
        "maxRetryCount": 3,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "3600s",
    }
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def test_pod_settings_are_what_kfps_driver_reads():
    settings = pod_settings(
        step(
            node_selector={"cloud.google.com/gke-accelerator": "nvidia-l4"},
            tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            volumes=[{"claim": "datasets", "path": "/data", "sub_path": "coco"}],
            secrets=[{"name": "reg", "env": {"API": "token"}}, {"name": "keys", "path": "/keys"}],
            shm="2Gi",
            deadline_s=3600,
        )
    )
    read = json_format.ParseDict(settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    assert dict(read.node_selector.labels) == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    (toleration,) = read.tolerations
    assert (toleration.key, toleration.operator, toleration.effect) == ("nvidia.com/gpu", "Exists", "NoSchedule")
    (volume,) = read.pvc_mount
    assert (volume.constant, volume.mount_path, volume.sub_path) == ("datasets", "/data", "coco")
    assert volume.pvc_name_parameter.runtime_value.constant.string_value == "datasets"
    (as_env,), (as_files,) = read.secret_as_env, read.secret_as_volume
    (variable,) = as_env.key_to_env
    assert (as_env.secret_name, variable.secret_key, variable.env_var) == ("reg", "token", "API")
    assert (as_files.secret_name, as_files.mount_path) == ("keys", "/keys")
    (shm,) = read.empty_dir_mounts
    assert (shm.mount_path, shm.medium, shm.size_limit) == ("/dev/shm", "Memory", "2Gi")
    assert read.active_deadline_seconds == 3600
