"""What a run sets anew in a step's exec properties: inputs named `set__PROPERTY__KEY__KEY`.

`set__options__images` sets `images` in the exec property `options`, a text in JSON, and
`set__job__config_yaml__data__images` goes on into the YAML text inside of `job`. The compiler binds them to the
pipeline's parameters, or to what the driver alone knows, such as the run's id.
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from components.errors import ConfigError
from components.yaml_text import parse_yaml_text, render_yaml

_PREFIX = "set__"
# Inputs for the driver, such as the container's image; KFP names them so, and executors know nothing of them.
_CHANNEL_PREFIX = "pipelinechannel--"
_YAML_SUFFIX = "_yaml"


def apply_settings(parameters: Mapping[str, Any], whole: frozenset[str]) -> dict[str, Any]:
    """The exec properties, with what a run sets anew, and without the inputs that said so.

    Args:
      parameters: a step's input parameters, by name.
      whole: names of those that are whole numbers, which JSON may have made floats.

    Raises:
      ConfigError: if there is nothing at a path, the driver left a placeholder, a value is empty, or what is to be a
        whole number is none.
    """
    properties = {name: value for name, value in parameters.items() if not name.startswith((_PREFIX, _CHANNEL_PREFIX))}
    for name, value in parameters.items():
        if name.startswith(_PREFIX):
            _check_filled(name, value)
            path = name.removeprefix(_PREFIX).split("__")
            properties = _set(properties, path, _whole(name, value) if name in whole else value, name)
    return properties


def _set(node: dict[str, Any], path: list[str], value: Any, name: str) -> dict[str, Any]:
    """A copy of a node with another value at a path below it."""
    key, *rest = path
    if key not in node:
        raise _unknown(name, key, f"one of {', '.join(sorted(node))}")
    if not rest:
        return {**node, key: value}
    inner, is_yaml = node[key], key.endswith(_YAML_SUFFIX)
    if not isinstance(inner, str):
        return {**node, key: _set(_section(inner, name, key), rest, value, name)}
    changed = _set(_section(_parse(inner, is_yaml=is_yaml), name, key), rest, value, name)
    return {**node, key: render_yaml(changed) if is_yaml else json.dumps(changed, separators=(",", ":"))}


def _parse(text: str, *, is_yaml: bool) -> Any:
    try:
        return parse_yaml_text(text) if is_yaml else json.loads(text)
    except (yaml.YAMLError, json.JSONDecodeError):
        return text


def _section(value: Any, name: str, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unknown(name, key, "a section, not a single value")
    return value


def _unknown(name: str, key: str, expected: str) -> ConfigError:
    return ConfigError(
        f"the parameter {name} sets what is not there: received {key}",
        expected=expected,
        hint="the pipeline and the image are of different versions, or the pipeline was edited; compile it anew with"
        " the vww of the image",
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise ConfigError(
            f"the parameter {_short(name)} is no whole number: received {value!r}",
            expected="a whole number",
            hint=f"the run set it; the step has it as {name}",
        )
    return int(value)


def _short(name: str) -> str:
    """What the run calls it."""
    return name.rpartition("__")[2]


def _check_filled(name: str, value: Any) -> None:
    if value in ("", [], {}):
        raise ConfigError(
            f"the parameter {_short(name)} is empty: received {value!r}",
            expected="a value; one that the run does not set is the config's",
            hint=f"the run set it; the step has it as {name}",
        )
    if isinstance(value, str) and value.startswith("{{$"):
        raise ConfigError(
            f"the parameter {name} is still {value}",
            expected="a value that the driver of Kubeflow Pipelines fills in",
            hint="a later version of Kubeflow Pipelines knows this placeholder; docs/kubeflow.md says which",
        )
