"""The launcher of KFP: brings a step its inputs, starts its command, takes its outputs (`launcher_v2.go`)."""

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import PipelineError
from pipeline.kubeflow.emulator.driver import as_text
from pipeline.kubeflow.emulator.metadata import RecordedArtifacts
from pipeline.kubeflow.emulator.processes import Ended, Processes
from pipeline.kubeflow.emulator.store import ObjectStore, staged_path

_OUTPUT_FILE = "tmp/kfp_outputs/output_metadata.json"  # /tmp/kfp_outputs/… of a container


@dataclass(frozen=True)
class Container:
    """One attempt at a step.

    Attributes:
      task: name of the step.
      given: ExecutorInput.
      command: what is started.
      env: that the pipeline asks for.
      root: takes the place of the container's root folder.
    """

    task: str
    given: Any
    command: list[str]
    env: Mapping[str, str]
    root: Path


def prepare(task: str, container: Any, component: Any, given: Any, root: Path) -> Container:
    """An attempt at a step, before anything is done.

    Args:
      task: name of the step.
      container: PipelineContainerSpec.
      component: ComponentSpec.
      given: ExecutorInput, as the driver made it.
      root: an empty folder.
    """
    given = copy.deepcopy(given)
    given.outputs.output_file = str(root / _OUTPUT_FILE)
    values = _placeholders(_with_defaults(given, component), root)
    command = [_fill_in(part, values) for part in (*container.command, *container.args)]
    return Container(task, given, command, {each.name: each.value for each in container.env}, root)


def launch(container: Container, store: ObjectStore, processes: Processes, log: Path) -> Ended:
    """Fetches the inputs and runs the command to its end, good or bad."""
    for artifacts in container.given.inputs.artifacts.values():
        for artifact in artifacts.artifacts:
            store.download(artifact.uri, container.root / staged_path(artifact.uri))
    for artifacts in container.given.outputs.artifacts.values():
        for artifact in artifacts.artifacts:  # the folder around it, not the folder that it may be
            (container.root / staged_path(artifact.uri)).parent.mkdir(parents=True, exist_ok=True)
    cwd = container.root / "work"
    cwd.mkdir(parents=True)
    return processes.run(container.command, env=dict(container.env), cwd=cwd, log=log)


def take_outputs(container: Container, store: ObjectStore, artifacts: RecordedArtifacts) -> None:
    """Uploads what a step wrote, and records its metadata; then its folder is gone.

    Raises:
      PipelineError: if the step's own record is not what the launcher reads.
    """
    written = _read_output(container)
    for key, listed in container.given.outputs.artifacts.items():
        (artifact,) = listed.artifacts
        if written.artifacts[key].artifacts:
            _merge(written.artifacts[key].artifacts[0], artifact, container.task)
        store.upload(container.root / staged_path(artifact.uri), artifact.uri)
        artifacts.record(container.task, key, artifact)
    shutil.rmtree(container.root)


def _read_output(container: Container) -> Any:
    output = pipeline_spec_pb2.ExecutorOutput()
    file = container.root / _OUTPUT_FILE
    if not file.exists():
        return output
    try:
        return json_format.Parse(file.read_text(), output)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"the step {container.task} wrote an output_metadata.json that the launcher cannot read: {error}",
            expected="an ExecutorOutput, and no field that it does not have",
            hint=f"see {file}",
        ) from error


def _merge(written: Any, artifact: Any, task: str) -> None:
    if written.uri not in {"", artifact.uri}:  # the launcher would upload from there, or not at all
        raise PipelineError(
            f"the step {task} says that it wrote to {written.uri!r}",
            expected=artifact.uri,
            hint="its entry point has to give back the address that it was given, not the folder that stands for it",
        )
    for name, value in written.metadata.fields.items():
        artifact.metadata.fields[name].CopyFrom(value)


def _with_defaults(given: Any, component: Any) -> Any:
    completed = copy.deepcopy(given)
    for name, definition in component.input_definitions.parameters.items():
        if name not in completed.inputs.parameter_values and definition.HasField("default_value"):
            completed.inputs.parameter_values[name].CopyFrom(definition.default_value)
    return completed


def _placeholders(given: Any, root: Path) -> dict[str, str]:
    values = {"{{$}}": json_format.MessageToJson(given, indent=None)}
    for side, artifacts in (("inputs", given.inputs.artifacts), ("outputs", given.outputs.artifacts)):
        for name, listed in artifacts.items():
            uri = listed.artifacts[0].uri
            values[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = uri
            values[f"{{{{$.{side}.artifacts['{name}'].path}}}}"] = str(root / staged_path(uri))
    for name, value in given.inputs.parameter_values.items():
        values[f"{{{{$.inputs.parameters['{name}']}}}}"] = as_text(value)
    return values


def _fill_in(part: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        part = part.replace(placeholder, value)
    return part
