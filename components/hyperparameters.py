"""What a Tuner chose, as config paths and values.

KerasTuner knows numbers, and choices among texts. A choice is therefore kept as the JSON of its value, so that it can
be a number, a word, nothing at all or a whole section, such as `{"name": "adam"}`.
"""

import json
from collections.abc import Mapping
from typing import Any

BEST_HYPERPARAMETERS = "best_hyperparameters.txt"  # in the artifact that TFX's Tuner writes
_OWN_PREFIX = "tuner/"  # what Hyperband adds for itself


def chosen_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by config path.

    Args:
      config: of KerasTuner's `HyperParameters`, as TFX hands it on.
    """
    return {
        path: json.loads(value) if isinstance(value, str) else value
        for path, value in config["values"].items()
        if not path.startswith(_OWN_PREFIX)
    }


def set_path(tree: dict[str, Any], path: str, value: Any) -> None:
    """Puts a value into nested sections, `trainer.optimizer.rho`; what is on the way and no section becomes one."""
    *sections, key = path.split(".")
    node: Any = tree
    for section in sections:
        if not isinstance(node.get(section), dict):
            node[section] = {}
        node = node[section]
    node[key] = value


def describe_values(values: Mapping[str, Any]) -> str:
    """One line, without the section that all paths share."""
    return ", ".join(
        f"{path.removeprefix('trainer.')}={f'{value:.4g}' if isinstance(value, float) else json.dumps(value)}"
        for path, value in values.items()
    )
