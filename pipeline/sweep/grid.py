"""The grid of a sweep: config paths and their values in, one validated config for each point out."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import ConfigError
from pipeline.config import RunConfig, parse_yaml, read_config

# What a sweep sets for every point itself, and what it takes from the config as it stands.
_OWN_PATHS = ("name", "run.root", "release.uri")


@dataclass(frozen=True)
class Axis:
    """One config path and the values that it takes, as YAML gives them."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Attributes:
      label: the swept keys and their values, as a person reads them.
      values: the same by path.
      settings: the same as `--set` takes them.
      config: of the whole run, with the root and release store that the user named.
    """

    label: str
    values: dict[str, Any]
    settings: tuple[str, ...]
    config: RunConfig

    @property
    def identity(self) -> str:
        """JSON that is equal for points that run the same, wherever they work and write."""
        return self.config.model_dump_json(by_alias=True, exclude={"run": {"root"}, "beam": True, "release": {"uri"}})


def parse_axis(text: str, option: str) -> Axis:
    """An axis from `path.to.key=V1,V2`.

    Args:
      text: what was given; the values in YAML, so that `{name: adam}` is one.
      option: which option it was given to, for errors.

    Raises:
      ConfigError: if there is no path or no value, or the values are not YAML.
    """
    path, equals, listed = (part.strip() for part in text.partition("="))
    example = "path.to.key=V1,V2, such as trainer.learning_rate=0.003,0.01"
    if not equals or not path:
        raise ConfigError(f"{option} received {text!r}", expected=example)
    if path in _OWN_PATHS or path in {"run", "release"}:
        raise ConfigError(
            f"{option} {path}: a sweep gives every point a root and a release store of its own",
            expected=f"any path but {', '.join(_OWN_PATHS)}",
        )
    values = parse_yaml(f"[{listed}]", f"the list of {option} {text}")
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{option} {path}: received no value", expected=example)
    return Axis(path, tuple(values))


def build_grid(config_file: str, overrides: Sequence[str], axes: Sequence[Axis]) -> tuple[list[Point], int]:
    """Every combination of the axes' values as a validated config, the last axis fastest.

    Args:
      config_file: the YAML file that all points share.
      overrides: `--set`, for all points alike.
      axes: what to sweep.

    Returns:
      The points, and how many combinations were left out since they run the same as an earlier one.

    Raises:
      ConfigError: naming every point that cannot be built.
    """
    paths = [axis.path for axis in axes]
    if not axes:
        raise ConfigError(
            "nothing to sweep",
            expected="--alpha LIST, --side LIST or --over PATH=V1,V2",
            hint="vww run runs one config",
        )
    if repeated := sorted({path for path in paths if paths.count(path) > 1}):
        raise ConfigError(f"{', '.join(repeated)}: swept twice", expected="each path once; --alpha is trainer.alpha")
    points: dict[str, Point] = {}
    refused: dict[str, list[str]] = {}
    combinations = list(itertools.product(*(axis.values for axis in axes)))
    for combination in combinations:
        values = dict(zip(paths, combination, strict=True))
        label = describe(values)
        settings = tuple(f"{path}={json.dumps(value)}" for path, value in values.items())
        try:
            config = read_config(config_file, [*overrides, *settings])
        except ConfigError as error:
            refused.setdefault(error.message.removeprefix(f"{config_file}: ").strip(), []).append(label)
            continue
        point = Point(label, values, settings, config)
        points.setdefault(point.identity, point)
    if refused:
        raise ConfigError(
            f"{sum(map(len, refused.values()))} of {len(combinations)} points cannot be built:"
            + "".join(f"\n  {message}\n    at {'; '.join(labels)}" for message, labels in refused.items()),
            hint="nothing was run; docs/configuration.md lists every key",
        )
    return list(points.values()), len(combinations) - len(points)


def describe(values: dict[str, Any]) -> str:
    """`alpha=0.25 side=96`: the swept keys without their sections where these are not needed to tell them apart."""
    return " ".join(
        f"{name}={_text(value)}" for name, value in zip(short_names(list(values)), values.values(), strict=True)
    )


def short_names(paths: Sequence[str]) -> list[str]:
    """The last part of each path, or all of it where two would read the same."""
    last = [path.rpartition(".")[2] for path in paths]
    return [path if last.count(name) > 1 else name for path, name in zip(paths, last, strict=True)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
