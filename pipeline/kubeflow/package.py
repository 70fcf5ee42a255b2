"""A compiled pipeline as it is submitted: for which target, with which parameters and labels.

Whether it holds together is for `pipeline.kubeflow.invariants` to say, which has to import kfp.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.errors import ConfigError
from pipeline.kubeflow.options import Target

_PLATFORMS = "platforms"
# What is read of a file before all of it is checked: mappings below each other, `*` for every key that is
# there, and lists of mappings.
_SPEC_SHAPE: dict[str, Any] = {
    "pipelineInfo": {},
    "root": {"dag": {"tasks": {"*": {}}}, "inputDefinitions": {"parameters": {"*": {}}}},
    "deploymentSpec": {"executors": {"*": {}}},
}
_MOUNTS = ("pvcMount", "secretAsVolume")
_POD_SHAPE: dict[str, Any] = {"podMetadata": {"labels": {}}} | {kind: [{}] for kind in _MOUNTS}
_PLATFORM_SHAPE: dict[str, Any] = {_PLATFORMS: {"kubernetes": {"deploymentSpec": {"executors": {"*": _POD_SHAPE}}}}}
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_KUBERNETES_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KUBERNETES_LABEL = re.compile(rf"([a-z0-9][-a-z0-9.]{{0,252}}/)?{_KUBERNETES_NAME}=({_KUBERNETES_NAME})?")
# https://cloud.google.com/vertex-ai/docs/general/labels-and-tags
_VERTEX_LABEL = re.compile(r"[a-z][-_a-z0-9]{0,62}=[-_a-z0-9]{0,63}")


@dataclass(frozen=True)
class Package:
    """One compiled pipeline.

    Attributes:
      path: its file.
      target: what it was compiled for.
      text: of the file.
      spec: the PipelineSpec.
      platform: the PlatformSpec of the second document; empty where there is none.
    """

    path: Path
    target: Target
    text: str
    spec: dict[str, Any]
    platform: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return str(self.spec.get("pipelineInfo", {}).get("name", ""))

    @property
    def pipeline_root(self) -> str | None:
        """That it was compiled with; None leaves it to the cluster."""
        root = self.spec.get("defaultPipelineRoot")
        return str(root) if root else None

    @property
    def step_count(self) -> int:
        """How many steps a run has."""
        return len(self.spec.get("root", {}).get("dag", {}).get("tasks", {}))

    @property
    def parameters(self) -> dict[str, Any]:
        """The runtime parameters by name: `parameterType`, and `defaultValue` where there is one."""
        return dict(self.spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {}))

    @property
    def values(self) -> dict[str, Any]:
        """The runtime parameters' own values."""
        return {name: each["defaultValue"] for name, each in self.parameters.items() if "defaultValue" in each}

    def mounts(self, step: str) -> list[str]:
        """The folders of the volumes and secrets of a step."""
        tree = self.platform
        for key in (_PLATFORMS, "kubernetes", "deploymentSpec", "executors", f"{step}_executor"):
            tree = tree.get(key, {})
        return [str(each.get("mountPath", "")) for kind in _MOUNTS for each in tree.get(kind, ())]


def is_compiled(source: str) -> bool:
    """Whether a file is a compiled pipeline, and no config; False where it cannot be read."""
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(r'\b(pipelineInfo|pipelineSpec)"?\s*:', text) is not None


def read_package(path: Path, target: Target) -> Package:
    """Reads a compiled pipeline for the target that it is to be submitted to.

    Raises:
      ConfigError: if it cannot be read, or was compiled for another target.
    """
    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, yaml.CSafeLoader))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", expected="a compiled pipeline") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {error}", expected="a compiled pipeline") from error
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise _no_pipeline(path)
    first = documents[0]
    if "pipelineSpec" not in first and "pipelineInfo" not in first:
        raise _no_pipeline(path)
    found: Target = "vertex" if "pipelineSpec" in first else "kubeflow"
    if found != target:
        raise ConfigError(
            f"{path} was compiled for {found}, and is to be submitted to {target}",
            hint=f"vww compile CONFIG --target {target} -o FILE, or vww submit --target {found}",
        )
    spec, platform = first.get("pipelineSpec", first), documents[1] if len(documents) > 1 else {}
    _check_shape(spec, _SPEC_SHAPE, str(path), "pipelineSpec" if target == "vertex" else "")
    _check_shape(platform, _PLATFORM_SHAPE, f"{path}, second document")
    return Package(path=path, target=target, text=text, spec=spec, platform=platform)


def _check_shape(tree: Any, shape: Any, where: str, place: str = "") -> None:
    """Raises ConfigError naming the first place that is to hold a mapping, or a list, and holds something else."""
    if isinstance(shape, list) and isinstance(tree, list):
        for number, each in enumerate(tree):
            _check_shape(each, shape[0], where, f"{place}.{number}")
        return
    if isinstance(shape, list) or not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise ConfigError(
            f"{where}: {place or 'it'} holds " + ("nothing" if tree is None else f"{tree!r:.40}"),
            expected="a list" if isinstance(shape, list) else "names, each with what belongs to it",
            hint="compile it again with vww compile, rather than edit it by hand",
        )
    for key, below in shape.items():
        for each in tree if key == "*" else tree.keys() & {key}:
            _check_shape(tree[each], below, where, f"{place}.{each}" if place else each)


def _no_pipeline(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is no compiled pipeline",
        expected="what vww compile writes: a pipeline specification, and its Kubernetes part where there is one",
    )


def parse_parameters(package: Package, assignments: Sequence[str]) -> dict[str, Any]:
    """The runtime parameters that `NAME=VALUE` texts set, each of the type that the pipeline declares.

    Raises:
      ConfigError: on an unknown name, a value of another type, or a parameter left without a value.
    """
    declared = package.parameters
    values = {}
    for assignment in assignments:
        name, is_given, text = assignment.partition("=")
        if not is_given or name not in declared:
            raise ConfigError(
                f"received --set-parameter {assignment}",
                expected=f"NAME=VALUE, NAME one of {', '.join(sorted(declared)) or '(this pipeline has none)'}",
            )
        values[name] = _parse_value(name, text, str(declared[name].get("parameterType")))
    unset = [
        name
        for name, each in declared.items()
        if name not in values and "defaultValue" not in each and not each.get("isOptional")
    ]
    if unset:
        raise ConfigError(
            f"the pipeline's parameters {', '.join(sorted(unset))} have no value", hint="--set-parameter NAME=VALUE"
        )
    return values


def _parse_value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    wanted: dict[str, tuple[type, ...]] = {
        "NUMBER_INTEGER": (int,),
        "NUMBER_DOUBLE": (int, float),
        "BOOLEAN": (bool,),
        "LIST": (list,),
        "STRUCT": (dict,),
    }
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    types = wanted.get(kind, ())
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ConfigError(f"received --set-parameter {name}={text}", expected=f"a value of type {kind}, as JSON")
    return value


def parse_labels(target: Target, labels: Sequence[str]) -> dict[str, str]:
    """Labels from `KEY=VALUE` texts.

    Raises:
      ConfigError: if one is none that the target takes.
    """
    pattern = _KUBERNETES_LABEL if target == "kubeflow" else _VERTEX_LABEL
    for label in labels:
        if pattern.fullmatch(label) is None:
            raise ConfigError(
                f"received --label {label}",
                expected="KEY=VALUE as Kubernetes takes it: up to 63 of A-Z, a-z, 0-9, '-', '_' and '.' each"
                if target == "kubeflow"
                else "KEY=VALUE as Vertex AI takes it: up to 63 of a-z, 0-9, '-' and '_' each, beginning with a letter",
            )
    return dict(label.split("=", 1) for label in labels)


def label_pods(package: Package, labels: dict[str, str]) -> str:
    """The package's text with labels on every step's pod: a run of Kubeflow Pipelines has no labels of its own."""
    platform = json.loads(json.dumps(package.platform))
    kubernetes = platform.setdefault(_PLATFORMS, {}).setdefault("kubernetes", {}).setdefault("deploymentSpec", {})
    executors = kubernetes.setdefault("executors", {})
    for executor in package.spec["deploymentSpec"]["executors"]:
        executors.setdefault(executor, {}).setdefault("podMetadata", {}).setdefault("labels", {}).update(labels)
    return yaml.safe_dump_all([package.spec, platform], sort_keys=False)
