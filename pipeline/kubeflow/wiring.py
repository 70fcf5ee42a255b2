"""What the tasks of a pipeline take from where: every input that is given is declared, and the other way round."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kfp.pipeline_spec import pipeline_spec_pb2

_Types = pipeline_spec_pb2.ParameterType
_KIND_OF_TYPE = {
    _Types.STRING: "string_value",
    _Types.NUMBER_DOUBLE: "number_value",
    _Types.NUMBER_INTEGER: "number_value",
    _Types.BOOLEAN: "bool_value",
    _Types.LIST: "list_value",
    _Types.STRUCT: "struct_value",
}
_TASK_NAME = re.compile(r"[A-Za-z0-9]([-_A-Za-z0-9]{0,126}[A-Za-z0-9])?")  # a part of artifacts' addresses

Problem = tuple[str, str]  # what is wrong, and what was expected


def find_task_problems(pipeline: Any) -> Iterator[Problem]:
    """What is wrong with the tasks of a PipelineSpec; each is told only where those before it are mended."""
    tasks = pipeline.root.dag.tasks
    for name, task in sorted(tasks.items()):
        yield from _find_own_problems(name, task, pipeline.components)
    for name, task in sorted(tasks.items()):
        for upstream in sorted({*task.dependent_tasks, *producers(task)} - {*tasks}):
            yield f"task {name} waits for the task {upstream!r}, which is not there", f"one of {_list(tasks)}"
    circle = _circle(tasks)
    if circle:
        yield f"the tasks {', '.join(circle)} wait for each other", "an order in which they can run"
    for name, task in sorted(tasks.items()):
        inputs = pipeline.components[task.component_ref.name].input_definitions
        yield from _find_binding_problems(name, task.inputs.artifacts, inputs.artifacts, "artifact")
        yield from _find_binding_problems(name, task.inputs.parameters, inputs.parameters, "parameter")
        yield from _find_artifact_problems(name, task, pipeline)
        yield from _find_parameter_problems(name, task, pipeline)


def find_default_problems(definitions: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Parameters without a type, and defaults of another."""
    for name, definition in sorted(definitions.items()):
        if definition.parameter_type not in _KIND_OF_TYPE:
            yield f"the parameter {name!r} of {where} has no type", f"parameterType, one of {', '.join(_type_names())}"
        elif _has_default(definition) and not _has_type(definition.default_value, definition):
            yield (
                f"the parameter {name!r} of {where} has the default {_as_text(definition.default_value)}",
                f"a {_Types.ParameterTypeEnum.Name(definition.parameter_type)}",
            )


def producers(task: Any) -> Iterator[str]:
    """The tasks whose outputs a task takes."""
    for source in task.inputs.artifacts.values():
        if source.HasField("task_output_artifact"):
            yield source.task_output_artifact.producer_task
    for source in task.inputs.parameters.values():
        if source.HasField("task_output_parameter"):
            yield source.task_output_parameter.producer_task


def _find_own_problems(name: str, task: Any, components: Mapping[str, Any]) -> Iterator[Problem]:
    if _TASK_NAME.fullmatch(name) is None:
        yield f"a task is named {name!r}", "up to 128 of A-Z, a-z, 0-9, '-' and '_'"
    if task.task_info.name != name:  # the backend finds a task's outputs by this name
        yield f"task {name} has the taskInfo.name {task.task_info.name!r}", f"{name!r}, as the task itself"
    if task.component_ref.name not in components:
        yield (
            f"task {name} refers to the component {task.component_ref.name!r}, which is not there",
            f"one of {_list(components)}",
        )
    if task.retry_policy.max_retry_count < 0:
        yield f"task {name} has maxRetryCount {task.retry_policy.max_retry_count}", "0 or more"


def _circle(tasks: Any) -> list[str]:
    """The tasks that no order reaches; none where all can run."""
    waiting = {name: {*task.dependent_tasks, *producers(task)} for name, task in tasks.items()}
    while ready := {name for name, upstream in waiting.items() if not upstream}:
        waiting = {name: upstream - ready for name, upstream in waiting.items() if name not in ready}
    return sorted(waiting)


def _find_binding_problems(
    name: str, given: Mapping[str, Any], declared: Mapping[str, Any], what: str
) -> Iterator[Problem]:
    for key in sorted(set(given) - set(declared)):
        yield f"task {name} is given the {what} {key!r}, which its component does not take", f"one of {_list(declared)}"
    for key, definition in sorted(declared.items()):
        is_needed = not definition.is_optional and not (what == "parameter" and _has_default(definition))
        if key not in given and is_needed:
            yield f"task {name} is not given the {what} {key!r}, which its component takes", f"inputs.{what}s.{key}"


def _find_artifact_problems(name: str, task: Any, pipeline: Any) -> Iterator[Problem]:
    for key, source in sorted(task.inputs.artifacts.items()):
        if not source.HasField("task_output_artifact"):  # a run has no artifacts to give
            yield f"task {name} takes the artifact {key!r} from no other task", "taskOutputArtifact"
            continue
        output = source.task_output_artifact
        yield from _find_output_problems(
            name, output.producer_task, output.output_artifact_key, _outputs(pipeline, output).artifacts
        )


def _find_parameter_problems(name: str, task: Any, pipeline: Any) -> Iterator[Problem]:
    of_run = pipeline.root.input_definitions.parameters
    declared = pipeline.components[task.component_ref.name].input_definitions.parameters
    for key, source in sorted(task.inputs.parameters.items()):
        match source.WhichOneof("kind"):
            case "component_input_parameter":
                if source.component_input_parameter not in of_run:
                    yield (
                        f"task {name} takes the parameter {source.component_input_parameter!r}, which is not there",
                        f"{key} from one of {_list(of_run)}",
                    )
            case "task_output_parameter":
                output = source.task_output_parameter
                yield from _find_output_problems(
                    name, output.producer_task, output.output_parameter_key, _outputs(pipeline, output).parameters
                )
            case "runtime_value":
                constant = source.runtime_value.constant
                is_text_wanted = declared[key].parameter_type == _Types.STRING  # which the driver makes of anything
                if not is_text_wanted and not _has_type(constant, declared[key]):
                    yield (
                        f"task {name} is given {key}={_as_text(constant)}",
                        f"a {_Types.ParameterTypeEnum.Name(declared[key].parameter_type)}",
                    )
            case kind:
                yield (
                    f"task {name} takes the parameter {key!r} from {kind or 'nowhere'}",
                    "a constant, a parameter of the run, or an output of another task",
                )


def _find_output_problems(name: str, producer: str, key: str, there: Mapping[str, Any]) -> Iterator[Problem]:
    if key not in there:
        yield f"task {name}: {producer} has no output {key!r}", f"one of {_list(there)}"


def _outputs(pipeline: Any, output: Any) -> Any:
    producer = pipeline.root.dag.tasks[output.producer_task]
    return pipeline.components[producer.component_ref.name].output_definitions


def _has_default(definition: Any) -> bool:
    kind: str | None = definition.default_value.WhichOneof("kind")
    return kind not in {None, "null_value"}


def _has_type(value: Any, definition: Any) -> bool:
    if value.WhichOneof("kind") != _KIND_OF_TYPE[definition.parameter_type]:
        return False
    return definition.parameter_type != _Types.NUMBER_INTEGER or float(value.number_value).is_integer()


def _as_text(value: Any) -> str:
    kind = value.WhichOneof("kind")
    return "nothing" if kind is None else f"{getattr(value, kind)!r:.40}"


def _type_names() -> list[str]:
    return [_Types.ParameterTypeEnum.Name(each) for each in _KIND_OF_TYPE]


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names)) or "(there are none)"
