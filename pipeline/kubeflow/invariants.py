"""What a compiled pipeline has to be for its target to run it; the SDKs check little of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import ConfigError

SCHEMA_VERSION = "2.1.0"  # the only one that the API server of KFP takes
_HINT = "compile it again with vww compile, rather than edit it by hand"


@dataclass(frozen=True)
class CheckedSpec:
    """A compiled pipeline that holds together.

    Attributes:
      pipeline: PipelineSpec.
      deployment: its PipelineDeploymentConfig: the containers, by executor.
      pods: KubernetesExecutorConfig by executor, of the second document.
      job: of Vertex AI, the PipelineJob around it; None of a file for Kubeflow Pipelines.
    """

    pipeline: Any
    deployment: Any
    pods: dict[str, Any]
    job: dict[str, Any] | None


def check_spec(text: str, where: str = "the pipeline") -> CheckedSpec:
    """Parses a compiled pipeline strictly and checks that its target would run all of it.

    Args:
      text: one or two YAML documents, or a PipelineJob in JSON.
      where: what it was read from, for the error.

    Raises:
      ConfigError: naming the task or field that is not as it has to be.
    """
    documents = _documents(text, where)
    job = documents[0] if "pipelineSpec" in documents[0] else None
    pipeline = _parse(documents[0]["pipelineSpec"] if job else documents[0], pipeline_spec_pb2.PipelineSpec(), where)
    if pipeline.schema_version != SCHEMA_VERSION:
        raise _refusal(where, f"schemaVersion is {pipeline.schema_version!r}", SCHEMA_VERSION)
    if not pipeline.pipeline_info.name or not pipeline.root.dag.tasks:
        raise _refusal(where, "it has no name or no tasks", "pipelineInfo.name and root.dag.tasks")
    deployment = _parse(
        json_format.MessageToDict(pipeline.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
        f"{where}: deploymentSpec",
    )
    for problem, expected in (*_find_task_problems(pipeline), *_find_executor_problems(pipeline, deployment)):
        raise _refusal(where, problem, expected)
    return CheckedSpec(pipeline, deployment, _pods(documents[1:], deployment, where), job)


def _documents(text: str, where: str) -> list[dict[str, Any]]:
    try:
        read = [json.loads(text)] if text.lstrip().startswith("{") else list(yaml.safe_load_all(text))
    except (ValueError, yaml.YAMLError) as error:
        raise _refusal(where, f"it cannot be parsed: {str(error).splitlines()[0]}", "YAML or JSON") from error
    if not 1 <= len(read) <= 2 or not all(isinstance(document, dict) for document in read):
        raise _refusal(
            where, f"it has {len(read)} documents", "a PipelineSpec, and after it at most one with `platforms`"
        )
    return read


def _parse(tree: Any, message: Any, where: str) -> Any:
    try:
        return json_format.ParseDict(tree, message)
    except json_format.ParseError as error:
        raise _refusal(where, str(error).splitlines()[0], "only fields that KFP's schema knows") from error


def _find_task_problems(pipeline: Any) -> Iterator[tuple[str, str]]:
    """Every task has a component, and what it takes is there; what is wrong, and what was expected."""
    tasks, known = pipeline.root.dag.tasks, ", ".join(sorted(pipeline.root.dag.tasks))
    parameters = pipeline.root.input_definitions.parameters
    for name, task in sorted(tasks.items()):
        component = pipeline.components[task.component_ref.name] if _has_component(pipeline, task) else None
        if component is None:
            yield f"task {name} refers to the component {task.component_ref.name!r}, which is not there", "one of it"
            continue
        for upstream in sorted({*task.dependent_tasks, *_producers(task)}):
            if upstream not in tasks:
                yield f"task {name} waits for the task {upstream!r}, which is not there", f"one of {known}"
        for key, source in sorted(task.inputs.artifacts.items()):
            output = source.task_output_artifact
            if output.producer_task in tasks and output.output_artifact_key not in _outputs(pipeline, output):
                yield (
                    f"task {name}: {output.producer_task} has no output {output.output_artifact_key!r}",
                    f"{key} of it",
                )
        for key, source in sorted(task.inputs.parameters.items()):
            if source.component_input_parameter and source.component_input_parameter not in parameters:
                wanted = source.component_input_parameter
                yield (
                    f"task {name} takes the parameter {wanted!r}, which is not there",
                    f"{key} from a known one",
                )
    circle = _circle(tasks)
    if circle:
        yield f"the tasks {', '.join(circle)} wait for each other", "an order in which they can run"


def _has_component(pipeline: Any, task: Any) -> bool:
    return task.component_ref.name in pipeline.components


def _producers(task: Any) -> Iterator[str]:
    for source in task.inputs.artifacts.values():
        yield source.task_output_artifact.producer_task
    for source in task.inputs.parameters.values():
        if source.HasField("task_output_parameter"):
            yield source.task_output_parameter.producer_task


def _outputs(pipeline: Any, output: Any) -> Any:
    producer = pipeline.root.dag.tasks[output.producer_task]
    return pipeline.components[producer.component_ref.name].output_definitions.artifacts


def _circle(tasks: Any) -> list[str]:
    """The tasks that no order reaches; none where all can run."""
    waiting = {name: {*task.dependent_tasks, *_producers(task)} & set(tasks) for name, task in tasks.items()}
    while ready := {name for name, upstream in waiting.items() if not upstream}:
        waiting = {name: upstream - ready for name, upstream in waiting.items() if name not in ready}
    return sorted(waiting)


def _find_executor_problems(pipeline: Any, deployment: Any) -> Iterator[tuple[str, str]]:
    """Every component is a container with an image, or an importer; KFP runs no other."""
    for name, component in sorted(pipeline.components.items()):
        if component.executor_label not in deployment.executors:
            yield f"component {name} has no executor {component.executor_label!r}", "one in deploymentSpec.executors"
            continue
        executor = deployment.executors[component.executor_label]
        kind = executor.WhichOneof("spec")
        if kind not in {"container", "importer"}:
            yield (
                f"{component.executor_label} is a {kind}, which Kubeflow Pipelines cannot run",
                "a container",
            )
        if kind == "container" and not executor.container.image:
            yield f"{component.executor_label} has no image", "the name of a container image"


def _pods(documents: list[dict[str, Any]], deployment: Any, where: str) -> dict[str, Any]:
    if not documents:
        return {}
    platforms = _parse(documents[0], pipeline_spec_pb2.PlatformSpec(), f"{where}, second document").platforms
    if set(platforms) != {"kubernetes"}:
        raise _refusal(where, f"its second document is for {', '.join(platforms) or 'no platform'}", "kubernetes")
    pods = {}
    for executor, settings in platforms["kubernetes"].deployment_spec.executors.items():
        if executor not in deployment.executors:
            raise _refusal(where, f"its second document places {executor!r}, which is not there", "an executor of it")
        message = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        pods[executor] = _parse(json_format.MessageToDict(settings), message, f"{where}: {executor}")
    return pods


def _refusal(where: str, problem: str, expected: str) -> ConfigError:
    return ConfigError(f"{where}: {problem}", expected=expected, hint=_HINT)
