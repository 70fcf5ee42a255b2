"""What a compiled pipeline starts: containers that a pod can be made of."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.kubeflow.wiring import Problem

QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_QUANTITIES = {
    "resourceCpuLimit": "resource_cpu_limit",
    "resourceCpuRequest": "resource_cpu_request",
    "resourceMemoryLimit": "resource_memory_limit",
    "resourceMemoryRequest": "resource_memory_request",
}
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
_ENV_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_PLACEHOLDER = re.compile(r"\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\['(.+?)'\]")


def find_executor_problems(components: Mapping[str, Any], executors: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the executors of the components; KFP runs containers and importers, and no others."""
    for name, component in sorted(components.items()):
        label = component.executor_label
        if label not in executors:
            yield f"component {name} has no executor {label!r}", "one in deploymentSpec.executors"
            continue
        kind = executors[label].WhichOneof("spec")
        if kind not in {"container", "importer"}:
            yield f"{label} is a {kind}, which Kubeflow Pipelines cannot run", "a container"
        if kind == "container":
            yield from _find_container_problems(label, executors[label].container, component)


def _find_container_problems(label: str, container: Any, component: Any) -> Iterator[Problem]:
    if not container.image:
        yield f"{label} has no image", "the name of a container image"
    if not container.command:
        yield f"{label} has no command", "the program that the step is, and its arguments"
    for text in (container.image, *container.command, *container.args):
        yield from _find_placeholder_problems(label, text, component)
    for variable in container.env:
        if _ENV_NAME.fullmatch(variable.name) is None:
            yield f"{label} sets the variable {variable.name!r}", "a name of A-Z, a-z, 0-9, '_', '-' and '.'"
    if any("\0" in text for text in (*container.command, *container.args, *(each.value for each in container.env))):
        yield f"{label} has a zero byte in its command or environment", "text that a program can be given"
    yield from _find_quantity_problems(label, container.resources)


def _find_quantity_problems(label: str, resources: Any) -> Iterator[Problem]:
    given = {name: getattr(resources, field) for name, field in _QUANTITIES.items()}
    for name, quantity in (given | {"accelerator.resourceCount": resources.accelerator.resource_count}).items():
        if quantity and "{{$" not in quantity and QUANTITY.fullmatch(quantity) is None:
            yield f"{label} asks for {name}={quantity!r}", "a quantity such as 8, 500m or 32Gi"


def _find_placeholder_problems(label: str, text: str, component: Any) -> Iterator[Problem]:
    for way, what, name in _PLACEHOLDER.findall(text):
        definitions = component.input_definitions if way == "inputs" else component.output_definitions
        if name not in getattr(definitions, what):
            yield (
                f"{label} names {way}.{what}['{name}'], which its component does not have",
                f"one of {', '.join(sorted(getattr(definitions, what))) or '(there are none)'}",
            )
