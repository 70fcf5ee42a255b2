"""What a compiled pipeline has to be for its target to run it; the SDKs check little of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import ConfigError
from pipeline.kubeflow.containers import find_executor_problems
from pipeline.kubeflow.wiring import Problem, find_default_problems, find_task_problems

SCHEMA_VERSION = "2.1.0"  # the only one that the API server of KFP takes
# What TFX and KFP take; it is a part of the artifacts' addresses.
_NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,127}")
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

    def mounts(self, step: str) -> list[str]:
        """The folders of the volumes and secrets of a step."""
        pod = self.pods.get(f"{step}_executor")
        return [] if pod is None else [mount.mount_path for mount in (*pod.pvc_mount, *pod.secret_as_volume)]


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
    if _NAME.fullmatch(pipeline.pipeline_info.name) is None:
        raise _refusal(where, f"its name is {pipeline.pipeline_info.name!r}", "up to 128 of a-z, 0-9 and '-'")
    deployment = _parse(
        json_format.MessageToDict(pipeline.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
        f"{where}: deploymentSpec",
    )
    for problem, expected in _find_problems(pipeline, deployment):
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
    if not isinstance(tree, dict):
        raise _refusal(where, f"it holds {tree!r:.40}", "names, each with what belongs to it")
    try:
        return json_format.ParseDict(tree, message)
    except (json_format.ParseError, TypeError) as error:  # the last of a key that is no text
        raise _refusal(where, str(error).splitlines()[0], "only fields that KFP's schema knows") from error


def _find_problems(pipeline: Any, deployment: Any) -> Iterator[Problem]:
    yield from find_default_problems(pipeline.root.input_definitions.parameters, "the run")
    for name, component in sorted(pipeline.components.items()):
        yield from find_default_problems(component.input_definitions.parameters, f"the component {name}")
    yield from find_task_problems(pipeline)
    yield from find_executor_problems(pipeline.components, deployment.executors)


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
