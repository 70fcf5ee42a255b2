"""RunConfig: one frozen, validated model of a run, and how it is read from YAML and `--set`."""

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from components.detection.feature_maps import anchor_maps
from components.errors import ConfigError
from components.example_gen.options import ExampleGenOptions
from components.gate_options import GateOptions, Task, check_task_gates
from components.options import Options
from components.pusher.options import ReleaseOptions
from components.trainer.augmentation.options import needs_colour
from components.trainer.options import IMAGENET, TrainerOptions
from components.trainer.tuner_options import TunerOptions, check_space
from components.transform.options import TransformOptions
from components.yaml_text import parse_yaml_text, render_yaml
from pipeline.beam import BeamOptions
from pipeline.kubeflow.options import KubeflowOptions


class RunOptions(Options):
    """Where a run happens.

    Attributes:
      root: folder of everything that the run writes, its metadata store included.
      seed: of everything random but the splits.
    """

    root: str
    seed: int = Field(default=1, ge=0, le=2**32 - 1)


class RunConfig(Options):
    """One run, its sections in the order of the pipeline.

    Attributes:
      name: of the model; also the folder of its releases.
      task: `classification` labels an image, `detection` finds the objects in it.
      tuner: how the trainer's settings are searched; None takes them as they are.
      kubeflow: how the run is laid out on a cluster; None where it only ever runs on one machine.
      run, beam, data, transform, trainer, gates, release: see their classes.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    task: Task = "classification"
    run: RunOptions
    beam: BeamOptions = BeamOptions()
    data: ExampleGenOptions
    transform: TransformOptions = TransformOptions()
    trainer: TrainerOptions
    tuner: TunerOptions | None = None
    gates: GateOptions
    release: ReleaseOptions = ReleaseOptions()
    kubeflow: KubeflowOptions | None = None

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        if self.task == "classification" and self.trainer.detector is not None:
            raise ValueError("trainer.detector: has no meaning with task=classification; pass --set task=detection")
        if self.task == "detection" and self.trainer.detector is None:
            raise ValueError("trainer.detector: missing; pass --set trainer.detector={} for the default one")
        if self.task == "classification" and self.data.boxes is not None:
            raise ValueError("data.boxes: has no meaning with task=classification; pass --set task=detection")
        if self.task == "detection" and self.data.boxes is None:
            raise ValueError("data.boxes: missing; pass --set data.boxes={} for the default ones")
        check_task_gates(self.gates, self.task)
        return self

    @model_validator(mode="after")
    def _check_trainer(self) -> Self:
        self._check_fits(self.trainer)
        return self

    def _check_fits(self, trainer: TrainerOptions) -> None:
        """Checks what of the trainer depends on the rasters."""
        self._check_colour(trainer)
        if trainer.detector is not None:
            try:
                anchor_maps(trainer.backbone, self.transform.side, trainer.detector)
            except ConfigError as error:
                raise ValueError(f"{error.message}; expected {error.expected}; {error.hint}") from error

    def _check_colour(self, trainer: TrainerOptions) -> None:
        training = self.transform.training_raster
        channels = self.transform.channels if training is None else training.channels
        if channels == 1 and needs_colour(trainer.augmentation):
            side = self.transform.side if training is None else training.side
            raise ValueError(
                "trainer.augmentation: saturation needs colour, which gray rasters have not; pass "
                f"--set transform.training_raster='{{side: {side}, channels: 3}}', or leave saturation out"
            )

    @model_validator(mode="after")
    def _check_tuner(self) -> Self:
        if self.tuner is not None:
            check_space(self.trainer, self.tuner, self._check_fits)
        return self

    @property
    def release_uri(self) -> str:
        """Where releases go."""
        return f"{self.run.root}/releases" if self.release.uri is None else self.release.uri

    def to_yaml(self) -> str:
        """The resolved config, defaults included, as `vww run` reads it."""
        return render_yaml(self.model_dump(mode="json", by_alias=True))


def read_config(path: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads one YAML file, applies `--set` overrides and validates the result.

    Args:
      path: the YAML file.
      overrides: `path.to.key=value`, the value in YAML.

    Raises:
      ConfigError: naming every key that is unknown, missing or of the wrong type.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the config file {path}: {error}",
            expected="a YAML file such as pipeline/configs/demo.yaml",
        ) from error
    tree = parse_yaml(text, path)
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds {type(tree).__name__}, not sections", expected="a mapping, as in demo.yaml")
    for override in overrides:
        _apply_override(tree, override)
    _default_detection(tree)
    try:
        return _absolute(RunConfig.model_validate_json(json.dumps(tree, default=str)))
    except ValidationError as error:
        problems = [_describe(problem, tree) for problem in _told_once(error.errors())]
        raise ConfigError(
            f"{path}:" + (" " if len(problems) == 1 else "\n  ") + "\n  ".join(problems),
            hint="docs/configuration.md lists every key; --set path.to.key=value overrides one",
        ) from error


def _default_detection(tree: dict[str, Any]) -> None:
    """Without a word, a detector and its boxes are the default ones."""
    if tree.get("task") != "detection":
        return
    for section, key in (("trainer", "detector"), ("data", "boxes")):
        part = tree.get(section)
        if isinstance(part, dict) and part.get(key) is None:
            part[key] = {}


def parse_yaml(text: str, where: str) -> Any:
    """A value of the config, from text.

    Raises:
      ConfigError: if it is not YAML.
    """
    try:
        return parse_yaml_text(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML: {error}", expected="a mapping of sections, as in demo.yaml") from error


def _apply_override(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(
            f"--set received {override!r}", expected="path.to.key=value, such as --set trainer.batch_size=64"
        )
    *sections, key = path.strip().split(".")
    node: Any = tree
    for section in sections:
        node = node.setdefault(section, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise ConfigError(
            f"--set {path}: {'.'.join(sections)} is a value, not a section", expected="a path to a single key"
        )
    node[key] = parse_yaml(text, f"the value of --set {path}")


def _told_once(problems: Sequence[Any]) -> list[Any]:
    """Without the lists that pydantic calls too short for having left out their bad items, which are told of."""
    inside = {problem["loc"][:-1] for problem in problems}
    return [each for each in problems if each["type"] != "too_short" or each["loc"] not in inside]


def _describe(problem: Any, tree: Any) -> str:
    """One line for one of pydantic's problems, with the path as a person would write it."""
    ends_in_key = problem["type"] in {"extra_forbidden", "missing"}
    path, received = _locate(problem["loc"], tree, ends_in_key=ends_in_key)
    match problem["type"]:
        case "extra_forbidden":
            known = _known_keys(problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=3)
            advice = f"did you mean {' or '.join(near)}?" if near else f"expected one of: {', '.join(known)}"
            return f"{path}: unknown key; {advice}"
        case "missing" if any(isinstance(part, int) for part in problem["loc"]):  # --set takes a list as a whole
            return f"{path}: missing; write it into the list"
        case "missing":
            return f"{path}: missing; pass --set {path}=VALUE or write it into the file"
        case "value_error":
            said = str(problem["ctx"]["error"])
            names_key = re.match(r"[A-Za-z_.]+(, [a-z_]+)*: ", said)
            return said if not path else f"{path}.{said}" if names_key else f"{path}: {said}"
        case _:
            return f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}; received {received!r}"


def _locate(location: tuple[int | str, ...], tree: Any, *, ends_in_key: bool) -> tuple[str, Any]:
    """The dotted path and the value there; pydantic's own tags, of a union or a mapping's key, are left out.

    Args:
      location: keys, places in lists, and tags.
      tree: what was read.
      ends_in_key: whether the last part is a key even where the tree does not have it.
    """
    parts: list[str] = []
    node = tree
    for depth, part in enumerate(location):
        inside = (isinstance(node, Mapping) and part in node) or (isinstance(node, list) and isinstance(part, int))
        if part == "[key]":
            return ".".join(parts), parts[-1]
        if not inside and (depth < len(location) - 1 or not ends_in_key):
            continue
        parts.append(str(part))
        node = node[part] if inside else None
    return ".".join(parts), node


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the options class at a location has."""
    models: list[Any] = [RunConfig]
    for part in location:
        fields = {info.alias or name: info.annotation for model in models for name, info in model.model_fields.items()}
        if part in fields:
            models = _option_classes(fields[str(part)])
        else:  # pydantic's tag of one class of a union, where its name tells it apart
            named = [m for m in models if part in get_args(getattr(m.model_fields.get("name"), "annotation", None))]
            models = named or models
    return [info.alias or name for model in models for name, info in model.model_fields.items()]


def _option_classes(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return [annotation]
    return [found for part in get_args(annotation) for found in _option_classes(part)]


def _absolute(config: RunConfig) -> RunConfig:
    """The same config with paths that hold from any working directory."""

    def absolute(path: str) -> str:
        return path if "://" in path else str(Path(os.path.normpath(Path(path).expanduser().absolute())))

    def each(paths: Any) -> Any:
        match paths:
            case None:
                return None
            case str():
                return absolute(paths)
            case tuple():
                return tuple(map(absolute, paths))
            case _:
                return {split: absolute(path) for split, path in paths.items()}

    data = config.data.model_copy(
        update={key: each(getattr(config.data, key)) for key in ("annotations", "images", "split_ids")}
    )
    run = config.run.model_copy(update={"root": absolute(config.run.root)})
    uri = config.release.uri
    release = config.release.model_copy(
        update={
            "uri": None if uri is None else absolute(uri),
            "signing_key": each(config.release.signing_key),
            "trusted_keys": each(config.release.trusted_keys),
        }
    )
    weights = config.trainer.initial_weights
    trainer = config.trainer.model_copy(
        update={"initial_weights": weights if weights in {None, IMAGENET} else absolute(str(weights))}
    )
    return config.model_copy(update={"data": data, "run": run, "trainer": trainer, "release": release})
