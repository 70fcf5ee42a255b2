"""What a step is told in its arguments, and whether it has the form that the launcher of Kubeflow Pipelines gives it.

Only what this package reads is looked at; the rest is the executor's.
"""

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from components.errors import ConfigError

Json = dict[str, Any]


class _Artifact(BaseModel):
    uri: str = Field(min_length=1)
    metadata: Json = {}


class _Artifacts(BaseModel):
    artifacts: list[_Artifact] = []


class _Inputs(BaseModel):
    parameter_values: Json = Field({}, alias="parameterValues")
    artifacts: dict[str, _Artifacts] = {}


class _Outputs(BaseModel):
    output_file: str = Field(min_length=1, alias="outputFile")
    artifacts: dict[str, _Artifacts] = {}


class _ExecutorInput(BaseModel):
    inputs: _Inputs = _Inputs()
    outputs: _Outputs


class _ArtifactDefinition(BaseModel):
    artifact_type: Json = Field(alias="artifactType")


class _ParameterDefinition(BaseModel):
    parameter_type: str = Field(alias="parameterType")


class _ComponentInputsSpec(BaseModel):
    artifacts: dict[str, _ArtifactDefinition] = {}
    parameters: dict[str, _ParameterDefinition] = {}


def parse_invocation(text: str) -> Json:
    """An ExecutorInput in JSON.

    Raises:
      ConfigError: naming what is missing or of another form, such as an input's URI.
    """
    return _parse(text, "invocation", _ExecutorInput)


def parse_inputs_spec(text: str) -> Json:
    """A compiled ComponentInputsSpec in JSON; errors as of `parse_invocation`."""
    return _parse(text, "inputs", _ComponentInputsSpec)


def _parse(text: str, what: str, form: type[BaseModel]) -> Json:
    try:
        tree = json.loads(text)
        form.model_validate_json(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"the step's {what} cannot be read as JSON: {error}: {text[:100]!r}",
            expected="what the launcher of Kubeflow Pipelines fills in for {{$}}",
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(
            f"the step's {what}{_place(problem['loc'])}: {problem['msg']}; received {repr(problem['input'])[:100]}",
            expected=f"{form.__name__.removeprefix('_')} of Kubeflow Pipelines, as its launcher and compiler write it",
            hint="the pipeline was edited, or something else than the launcher started the step",
        ) from error
    parsed: Json = tree
    return parsed


def _place(path: tuple[int | str, ...]) -> str:
    """`, input model: uri` for the path of an artifact's key; any other path with dots."""
    match path:
        case ("inputs" | "outputs" as side, "artifacts", key, "artifacts", int(), *rest):
            return f", {side.removesuffix('s')} {key}: {'.'.join(map(str, rest))}"
    return f": {'.'.join(map(str, path))}" if path else ""
