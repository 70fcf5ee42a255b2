"""The pod that the driver of KFP asks for (`initPodSpecPatch` and `extendPodSpecPatch` of its backend)."""

import re
from typing import Any

from google.protobuf import json_format

from components.errors import PipelineError
from pipeline.kubeflow.containers import QUANTITY

_PARAMETER = re.compile(r"\$.inputs.parameters\['(.+?)'\]")
_RESOURCES = (
    ("limits", "memory", "resource_memory_limit", "memory_limit", "G"),
    ("requests", "memory", "resource_memory_request", "memory_request", "G"),
    ("limits", "cpu", "resource_cpu_limit", "cpu_limit", ""),
    ("requests", "cpu", "resource_cpu_request", "cpu_request", ""),
)


def pod_of(task: str, container: Any, settings: Any | None, executor_input: Any) -> dict[str, Any]:
    """What Kubernetes is asked for.

    Args:
      task: name of the step.
      container: PipelineContainerSpec.
      settings: KubernetesExecutorConfig; None where the second document says nothing of the step.
      executor_input: ExecutorInput, which fills in the placeholders.

    Returns:
      `image`, `env`, `resources` with `limits` and `requests`, and the `settings` as JSON has them.

    Raises:
      PipelineError: if Kubernetes would refuse a quantity, or a placeholder has no value.
    """
    values = executor_input.inputs.parameter_values
    resources: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
    for kind, name, field, old_field, unit in _RESOURCES:
        quantity, old = getattr(container.resources, field), getattr(container.resources, old_field)
        if quantity or old:
            given = _fill_in(quantity, values, task) if quantity else f"{old:g}{unit}"
            resources[kind][name] = _check_quantity(given, f"{kind}.{name}", task)
    accelerator = container.resources.accelerator
    name = _fill_in(accelerator.resource_type, values, task) or accelerator.type
    count = _fill_in(accelerator.resource_count, values, task) or str(accelerator.count or "")
    if name and count:
        resources["limits"][name] = _check_quantity(count, f"limits.{name}", task)
    return {
        "image": _fill_in(container.image, values, task),
        "env": {variable.name: variable.value for variable in container.env},
        "resources": resources,
        "settings": {} if settings is None else json_format.MessageToDict(settings),
    }


def _fill_in(text: str, values: Any, task: str) -> str:
    """The value of the parameter that a text names, which stands for the whole text; or the text itself."""
    found = _PARAMETER.search(text)
    if found is None:
        return text
    if found[1] not in values:
        raise PipelineError(f"the step {task} asks for {text}, and is not given that parameter")
    return str(values[found[1]].string_value)


def _check_quantity(quantity: str, what: str, task: str) -> str:
    if QUANTITY.fullmatch(quantity) is None:
        raise PipelineError(
            f"the step {task} asks for {what}={quantity!r}", expected="a quantity such as 8, 500m or 32Gi"
        )
    return quantity
