"""Which gates a release must have passed, by its own config, and whether its manifest says so."""

import json
from collections.abc import Iterable, Iterator

import yaml
from pydantic import ValidationError

from components.gate_options import GateOptions, Task
from components.quantization.budget import ALLOWED_OPS
from components.verdicts import Gate, Verdict
from components.yaml_text import parse_yaml_text

_FLOAT: dict[Task, tuple[str, ...]] = {
    "classification": ("min_accuracy", "min_auc"),
    "detection": ("min_ap", "min_ap50"),
}
_INT8: dict[Task, tuple[str, ...]] = {
    "classification": ("min_accuracy", "min_auc", "max_accuracy_drop", "min_agreement"),
    "detection": ("min_ap", "min_ap50", "max_ap_drop"),
}
_INT8_OF_BOTH = ("max_parity_lsb", "max_flatbuffer_bytes", "max_arena_bytes", "max_macs")


def find_gate_problems(gates: Iterable[Gate], config_yaml: str) -> list[str]:
    """Holds the gates of a manifest against its config and its values against their limits.

    Args:
      gates: as the manifest has them.
      config_yaml: the release's `config.yaml`.

    Returns:
      One sentence for every gate that is missing, has another limit than the config, or does not hold.
    """
    found = {gate.name: gate for gate in gates}
    try:
        tree = parse_yaml_text(config_yaml)
        stated = GateOptions.model_validate_json(json.dumps(tree["gates"]))
        required = dict(required_limits(stated, tree.get("task", "classification")))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        return [f"its config.yaml states no gates that it could have passed: {type(error).__name__}"]
    problems = [f"its config asks for {name}, which was not applied" for name in required if name not in found]
    problems += [
        f"{name} was applied with the limit {found[name].limit:g}, its config says {limit:g}"
        for name, limit in required.items()
        if name in found and found[name].limit != limit
    ]
    return problems + [f"refused by its gates: {reason}" for reason in Verdict(gates=tuple(found.values())).reasons()]


def required_limits(gates: GateOptions, task: Task) -> Iterator[tuple[str, float]]:
    """Name and limit of every gate that does not depend on what was released before."""
    for key in _FLOAT[task]:
        limit = getattr(gates.float_, key)
        if limit is not None:
            yield f"gates.float.{key}", limit
    for key in (*_INT8[task], *_INT8_OF_BOTH):
        limit = getattr(gates.int8, key)
        if limit is not None:
            yield f"gates.int8.{key}", limit
    for label, limit in gates.int8.min_recall.items():
        yield f"gates.int8.min_recall.{label}", limit
    for section, options in (("float", gates.float_), ("int8", gates.int8)):
        for label, limit in options.min_category_ap50.items():
            yield f"gates.{section}.min_category_ap50.{label}", limit
    if gates.int8.allowed_ops is not None:
        yield ALLOWED_OPS, 0
