"""The YAML of config files: YAML 1.2's numbers and booleans, finite ones, and no key twice."""

import math
import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers and booleans: 4e-5 is a float, `no` and dates are words; a key given twice is an error."""


class _Dumper(yaml.SafeDumper):
    """Quotes every word that `_Loader`, or a reader of YAML 1.1, would take for something else."""


_BOOL, _FLOAT, _TIMESTAMP = (f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "timestamp"))
_FLOAT_PATTERN = re.compile(r"^[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d[\d_]*(?=[eE]))([eE][-+]?\d+)?$")
_FLOAT_STARTS = list("-+0123456789.")

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {_BOOL, _FLOAT, _TIMESTAMP}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|false|True|False|TRUE|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_FLOAT, _FLOAT_PATTERN, _FLOAT_STARTS)
_Dumper.add_implicit_resolver(_FLOAT, _FLOAT_PATTERN, _FLOAT_STARTS)


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is a list or section", key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is no finite number", node.start_mark)
    return number


_Loader.add_constructor(_FLOAT, _construct_float)


def parse_yaml_text(text: str) -> Any:
    """The value that a text stands for.

    Raises:
      yaml.YAMLError: if it is not YAML, a key stands twice, or a number is beyond all floats.
    """
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader with stricter rules


def render_yaml(tree: Any) -> str:
    """The text of a value, keys in their order; `parse_yaml_text` gives the value back."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
