"""The parameters of a compiled pipeline: what a run may set anew, and which values in which steps that changes.

A step takes them as inputs named `set__PROPERTY__KEY__KEY`; its entry point, `components.kubeflow.step`, writes each
value to that place before the executor sees its properties.
"""

from dataclasses import dataclass
from typing import Any

from kfp.compiler.pipeline_spec_builder import to_protobuf_value
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config import RunConfig
from pipeline.kubeflow.options import KubeflowOptions, Target

IMAGE_INPUT = "pipelinechannel--image"  # KFP's own name of an input that no executor is meant to see

_Types = pipeline_spec_pb2.ParameterType.ParameterTypeEnum
_TYPES = {str: _Types.STRING, int: _Types.NUMBER_INTEGER, list: _Types.LIST, dict: _Types.STRUCT}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the pipeline.

    Attributes:
      name: by which a run sets it.
      default: what holds where a run does not.
      description: for a person.
      places: in which step it sets which path.
    """

    name: str
    default: str | int | list[Any] | dict[str, Any]
    description: str
    places: tuple[tuple[str, str], ...]


def add_parameters(spec: Any, config: RunConfig) -> None:
    """Gives a pipeline the parameters that its runs may set, and its MicroPusher the run's own id.

    Args:
      spec: PipelineSpec; changed in place.
      config: what it was compiled from.
    """
    for parameter in config_parameters(config):
        _define(spec, parameter.name, parameter.default, parameter.description)
        for step, path in parameter.places:
            _add_input(
                spec, step, f"set__{path}", _TYPES[type(parameter.default)]
            ).component_input_parameter = parameter.name
    run_id = _add_input(spec, "MicroPusher", "set__job__run_id", _Types.STRING)
    run_id.runtime_value.constant.string_value = "{{$.pipeline_job_uuid}}"


def config_parameters(config: RunConfig) -> list[Parameter]:
    """The values of a config that a run of the compiled pipeline may set anew, and where each of them is read."""
    data = config.data.model_dump(mode="json", by_alias=True)
    parameters = [
        Parameter(key, data[key], f"data.{key}", (("CocoExampleGen", f"options__{key}"), _recorded(f"data__{key}")))
        for key in ("annotations", "images")
        if data[key] is not None
    ]
    if config.trainer.epochs is not None:  # otherwise trainer.stages says how long each is
        trains = ["Trainer"] if config.tuner is None else ["Tuner", "Trainer"]
        places = tuple((step, "custom_config__job__trainer__epochs") for step in trains)
        parameters.append(
            Parameter("epochs", config.trainer.epochs, "trainer.epochs", (*places, _recorded("trainer__epochs")))
        )
    return parameters


def _recorded(path: str) -> tuple[str, str]:
    """Where the release says what it was made with."""
    return "MicroPusher", f"job__config_yaml__{path}"


def add_images(spec: Any, deployment: Any, kubeflow: KubeflowOptions, target: Target) -> None:
    """Names the container image of every step.

    Args:
      spec: PipelineSpec; changed in place.
      deployment: PipelineDeploymentConfig; changed in place.
      kubeflow: the images.
      target: on Kubeflow Pipelines, whose driver fills in an image's name, they become parameters `image` and, of a
        step with one of its own, `image_STEP`; Vertex AI is not known to do that, and gets the names.
    """
    for step in sorted(spec.root.dag.tasks):
        image = kubeflow.step(step).image
        container = deployment.executors[f"{step}_executor"].container
        if target == "vertex":
            container.image = image or kubeflow.image
            continue
        name = "image" if image is None else f"image_{step}"
        of_whom = "of every step that has none of its own" if image is None else f"of {step}"
        _define(spec, name, image or kubeflow.image, f"container image {of_whom}")
        _add_input(spec, step, IMAGE_INPUT, _Types.STRING).component_input_parameter = name
        container.image = f"{{{{$.inputs.parameters['{IMAGE_INPUT}']}}}}"


def _define(spec: Any, name: str, default: Any, description: str) -> None:
    definition = spec.root.input_definitions.parameters[name]
    definition.parameter_type = _TYPES[type(default)]
    definition.is_optional = True
    definition.description = description
    definition.default_value.CopyFrom(to_protobuf_value(default))


def _add_input(spec: Any, step: str, name: str, parameter_type: int) -> Any:
    """One more input of a step, for the caller to say where it comes from."""
    spec.components[step].input_definitions.parameters[name].parameter_type = parameter_type
    return spec.root.dag.tasks[step].inputs.parameters[name]
