"""The config of a tuned run as its release keeps it: what was trained, and how it was found."""

from collections.abc import Mapping
from typing import Any

from components.hyperparameters import set_path
from components.yaml_text import parse_yaml_text, render_yaml


def tuned_config(config_yaml: str, chosen: Mapping[str, Any] | None) -> str:
    """The resolved config with the values that the Tuner chose.

    Run again, it trains with these values and searches nothing; the search stands above it as a comment.

    Args:
      config_yaml: the run's resolved config.
      chosen: values by config path; None where there was no Tuner.
    """
    if chosen is None:
        return config_yaml
    tree = parse_yaml_text(config_yaml)
    search, tree["tuner"] = tree["tuner"], None
    search["space"] = {path: _without_none(dimension) for path, dimension in search["space"].items()}
    for path, value in chosen.items():
        set_path(tree, path, value)
    note = render_yaml({"tuner": _without_none(search)})
    lines = [f"{', '.join(chosen)}: chosen by the Tuner, out of", *note.splitlines()]
    return "".join(f"# {line}\n" for line in lines) + render_yaml(tree)


def _without_none(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}
