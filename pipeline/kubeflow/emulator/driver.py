"""The driver of KFP: what a step is given (`resolve.go`, `driver.go` of its backend)."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import ConfigError, PipelineError
from pipeline.kubeflow.emulator.metadata import RecordedArtifacts

_Types = pipeline_spec_pb2.ParameterType
_KIND_OF_TYPE = {
    _Types.NUMBER_DOUBLE: "number_value",
    _Types.NUMBER_INTEGER: "number_value",
    _Types.BOOLEAN: "bool_value",
    _Types.LIST: "list_value",
    _Types.STRUCT: "struct_value",
}


@dataclass(frozen=True)
class RunFacts:
    """What the driver knows of the run.

    Attributes:
      run_id: a UUID.
      name: of the run, as its URL has it.
      display_name: as a person reads it.
      created_utc: such as `2026-11-22T03:04:05Z`.
      root: of all artifacts of this run.
    """

    run_id: str
    name: str
    display_name: str
    created_utc: str
    root: str

    def fill_in(self, task: str) -> dict[str, str]:
        """What stands for constants that are exactly these placeholders."""
        return {
            "{{$.pipeline_job_name}}": self.display_name,
            "{{$.pipeline_job_resource_name}}": self.name,
            "{{$.pipeline_job_uuid}}": self.run_id,
            "{{$.pipeline_task_name}}": task,
            "{{$.pipeline_task_uuid}}": "1",
            "{{$.pipeline_job_create_time_utc}}": self.created_utc,
            "{{$.pipeline_job_schedule_time_utc}}": self.created_utc,
        }


def root_parameters(spec: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a run: what was given, and the defaults of the rest.

    Args:
      spec: PipelineSpec.
      given: values by name; text, or JSON where the parameter is no text.

    Raises:
      ConfigError: if one is unknown, missing or of another type.
    """
    definitions = spec.root.input_definitions.parameters
    for name in given:
        if name not in definitions:
            known = ", ".join(sorted(definitions)) or "none"
            raise ConfigError(f"this pipeline has no parameter {name!r}", expected=f"one of: {known}")
    values = {name: definition.default_value for name, definition in definitions.items() if name not in given}
    for name, value in values.items():
        if value.WhichOneof("kind") is None and not definitions[name].is_optional:
            raise ConfigError(f"the parameter {name!r} has no default", hint=f"give it: --set {name}=VALUE")
    return values | {name: _parse_value(name, text, definitions[name].parameter_type) for name, text in given.items()}


def _parse_value(name: str, text: str, parameter_type: int) -> Any:
    value = pipeline_spec_pb2.google_dot_protobuf_dot_struct__pb2.Value()
    if parameter_type == _Types.STRING:
        value.string_value = text
        return value
    expected = _Types.ParameterTypeEnum.Name(parameter_type)
    try:
        json_format.Parse(text, value)
    except json_format.ParseError as error:
        raise _wrong_type(name, text, expected) from error
    if value.WhichOneof("kind") != _KIND_OF_TYPE.get(parameter_type) or (
        parameter_type == _Types.NUMBER_INTEGER and not value.number_value.is_integer()
    ):
        raise _wrong_type(name, text, expected)
    return value


def _wrong_type(name: str, text: str, expected: str) -> ConfigError:
    return ConfigError(f"the parameter {name!r} cannot be {text!r}", expected=f"a value of the type {expected}")


def executor_input(
    task: Any, component: Any, parameters: Mapping[str, Any], artifacts: RecordedArtifacts, facts: RunFacts
) -> Any:
    """What a step is given; every attempt at it is given the same.

    Args:
      task: PipelineTaskSpec.
      component: ComponentSpec.
      parameters: of the run.
      artifacts: that earlier steps have put out.
      facts: of the run.

    Returns:
      ExecutorInput.

    Raises:
      PipelineError: if a parameter does not have the type that the component says.
    """
    given = pipeline_spec_pb2.ExecutorInput()
    for name, source in task.inputs.parameters.items():
        value = _resolve(source, parameters, facts.fill_in(task.task_info.name))
        if value.WhichOneof("kind") not in {None, "null_value"}:
            given.inputs.parameter_values[name].CopyFrom(value)
    for name, definition in component.input_definitions.parameters.items():
        _convert(given.inputs.parameter_values, name, definition, task.task_info.name)
    for name, source in task.inputs.artifacts.items():
        output = source.task_output_artifact
        found = artifacts.find(output.producer_task, output.output_artifact_key)
        given.inputs.artifacts[name].artifacts.add().CopyFrom(found)
    _provide_outputs(given.outputs, component, f"{facts.root}/{task.task_info.name}/{uuid.uuid4()}")
    return given


def _resolve(source: Any, parameters: Mapping[str, Any], placeholders: Mapping[str, str]) -> Any:
    if source.WhichOneof("kind") == "component_input_parameter":
        return parameters[source.component_input_parameter]
    constant = source.runtime_value.constant
    if constant.string_value in placeholders:
        return type(constant)(string_value=placeholders[constant.string_value])
    return constant


def _convert(values: Any, name: str, definition: Any, task: str) -> None:
    """What is no text becomes text where text is asked for; everything else has to have its type."""
    if name not in values:
        if definition.is_optional or definition.default_value.WhichOneof("kind") is not None:
            return
        raise PipelineError(f"the step {task} is not given its parameter {name!r}", hint="compile the pipeline again")
    value, kind = values[name], values[name].WhichOneof("kind")
    if definition.parameter_type == _Types.STRING:
        if kind != "string_value":
            value.string_value = as_text(value)
    elif kind != _KIND_OF_TYPE.get(definition.parameter_type):
        expected = _Types.ParameterTypeEnum.Name(definition.parameter_type)
        raise PipelineError(f"the step {task} is given {name}={as_text(value)!r}", expected=f"the type {expected}")


def as_text(value: Any) -> str:
    """A parameter in a command line, or where text was asked for."""
    match value.WhichOneof("kind"):
        case "string_value":
            return str(value.string_value)
        case "number_value":
            number = value.number_value
            return str(int(number)) if number.is_integer() else repr(number)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case _:
            return json.dumps(json_format.MessageToDict(value), separators=(",", ":"))


def _provide_outputs(outputs: Any, component: Any, root: str) -> None:
    for name, definition in component.output_definitions.artifacts.items():
        artifact = outputs.artifacts[name].artifacts.add(uri=f"{root}/{name}", type=definition.artifact_type)
        if definition.HasField("metadata"):
            artifact.metadata.CopyFrom(definition.metadata)
