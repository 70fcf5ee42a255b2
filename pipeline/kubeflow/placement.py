"""What each step is given, and where it runs: resources, retries, environment, and its pod on a Kubernetes cluster."""

from types import SimpleNamespace
from typing import Any

from kfp import kubernetes

from pipeline.kubeflow.options import SHM, Accelerator, Retries, Secret, StepOptions, Target

_GB = 1000**3
_BYTES = {"k": 1000, "M": 1000**2, "G": _GB, "T": 1000**4, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def place_step(task: Any, container: Any, options: StepOptions, target: Target) -> None:
    """Writes what both targets know into a step.

    Args:
      task: PipelineTaskSpec; changed in place.
      container: PipelineContainerSpec; changed in place.
      options: of the step.
      target: which names and units the resources have.
    """
    _set_resources(container.resources, options, target)
    if options.accelerator is not None:
        _set_accelerator(container.resources.accelerator, options.accelerator, target)
    for name, value in sorted(options.env.items()):
        container.env.add(name=name, value=value)
    if options.retries is not None:
        _set_retries(task.retry_policy, options.retries)


def _set_resources(resources: Any, options: StepOptions, target: Target) -> None:
    if options.cpu is not None:
        cpu = f"{options.cpu:g}"
        resources.resource_cpu_request = resources.resource_cpu_limit = cpu
        if target == "vertex":  # which reads the older fields: CPUs and GB
            resources.cpu_request = resources.cpu_limit = options.cpu
    if options.memory is not None:
        resources.resource_memory_request = resources.resource_memory_limit = options.memory
        if target == "vertex":
            resources.memory_request = resources.memory_limit = _quantity_bytes(options.memory) / _GB


def _set_accelerator(field: Any, accelerator: Accelerator, target: Target) -> None:
    if target == "kubeflow":
        field.resource_type, field.resource_count = accelerator.kubeflow, str(accelerator.count)
    else:
        assert accelerator.vertex is not None  # `check_reach` has seen to it
        field.type, field.count = accelerator.vertex, accelerator.count


def _set_retries(policy: Any, retries: Retries) -> None:
    policy.max_retry_count = retries.count
    policy.backoff_duration.seconds = retries.backoff_s
    policy.backoff_factor = retries.backoff_factor
    policy.backoff_max_duration.seconds = retries.max_backoff_s


def _quantity_bytes(quantity: str) -> float:
    digits = quantity.rstrip("KMGTik")
    return float(digits) * _BYTES[quantity[len(digits) :]]


def pod_settings(options: StepOptions) -> dict[str, Any]:
    """What only a Kubernetes cluster knows, as KFP's `KubernetesExecutorConfig`; empty where there is nothing."""
    pod: Any = SimpleNamespace(platform_config={})  # all that KFP's functions touch of a task
    for label, value in sorted(options.node_selector.items()):
        kubernetes.add_node_selector(pod, label, value)
    for each in options.tolerations:
        kubernetes.add_toleration(pod, each.key, each.operator, each.value, each.effect)
    for volume in options.volumes:
        kubernetes.mount_pvc(pod, volume.claim, volume.path, volume.sub_path or "")
    for secret in options.secrets:
        _use_secret(pod, secret)
    if options.shm is not None:
        kubernetes.empty_dir_mount(pod, "shm", SHM, "Memory", options.shm)
    if options.deadline_s is not None:
        kubernetes.set_timeout(pod, options.deadline_s)
    settings: dict[str, Any] = pod.platform_config.get("kubernetes", {})
    return settings


def _use_secret(pod: Any, secret: Secret) -> None:
    if secret.path is not None:
        kubernetes.use_secret_as_volume(pod, secret.name, secret.path)
    else:
        kubernetes.use_secret_as_env(pod, secret.name, {key: name for name, key in sorted(secret.env.items())})
