"""Whether the steps of a compiled pipeline can reach what a config names: the data, the releases, the keys."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from components.errors import ConfigError
from components.kubeflow.staging import Staging
from components.trainer.options import IMAGENET
from pipeline.config import RunConfig
from pipeline.kubeflow.options import KubeflowOptions, StepName, StepOptions, Target

# What only the pods of a Kubernetes cluster have.
_OF_KUBERNETES = ("node_selector", "tolerations", "volumes", "secrets", "shm", "deadline_s")

# What is read elsewhere than in buckets of Google Cloud and on volumes.
_SCHEMES = {"trainer.initial_weights": ("gs", "https", "http")}

# The steps that Beam works for.
_BEAM_STEPS: tuple[StepName, ...] = ("CocoExampleGen", "Transform", "StatisticsGen", "Evaluator")


def kubeflow_section(config: RunConfig) -> KubeflowOptions:
    """The config's section `kubeflow`.

    Raises:
      ConfigError: if it has none.
    """
    if config.kubeflow is None:
        raise ConfigError(
            "kubeflow: missing",
            expected="kubeflow.pipeline_root and kubeflow.image, a bucket and a container image",
            hint="write the section into the config, as in docs/kubeflow.md, or pass both with --set",
        )
    return config.kubeflow


def check_reach(config: RunConfig, target: Target) -> None:
    """Refuses what would fail only once the steps run.

    Raises:
      ConfigError: naming the first key that a step could not use.
    """
    kubeflow = kubeflow_section(config)
    if target == "vertex":
        _check_vertex(kubeflow)
    else:
        _check_beam(config, kubeflow)
    if config.release.uri is None:
        raise ConfigError(
            "release.uri: missing; releases would end with the step that makes them",
            expected="gs://BUCKET/PATH, or a folder on a volume of ReleasedModel and MicroPusher",
            hint="--set release.uri=gs://BUCKET/PATH",
        )
    for key, path, steps in _named_paths(config):
        for step in steps:
            if "://" in path:
                _check_scheme(key, path, step)
            else:
                _check_mounted(key, path, step, kubeflow.step(step), target)


def left_out(config: RunConfig, target: Target) -> list[str]:
    """The keys of the config that have no meaning for a target."""
    if target == "kubeflow":
        return []
    kubeflow = kubeflow_section(config)
    sections = {"all_steps": kubeflow.all_steps} | {f"steps.{name}": each for name, each in kubeflow.steps.items()}
    return [
        f"kubeflow.{where}.{key}" for where, each in sections.items() for key in _OF_KUBERNETES if getattr(each, key)
    ]


def _check_vertex(kubeflow: KubeflowOptions) -> None:
    """Vertex AI has buckets of Google Cloud alone, and names of its own for GPUs."""
    if not kubeflow.pipeline_root.startswith("gs://"):
        raise ConfigError(
            f"kubeflow.pipeline_root={kubeflow.pipeline_root} is nothing that Vertex AI can use",
            expected="gs://BUCKET/PATH",
            hint="--set kubeflow.pipeline_root=gs://BUCKET/PATH",
        )
    for step, options in kubeflow.steps.items():
        if options.accelerator is not None and options.accelerator.vertex is None:
            raise ConfigError(
                f"kubeflow.steps.{step}.accelerator.vertex: missing; the GPU has no type",
                expected="Vertex AI's name of it, such as NVIDIA_L4",
            )


def _check_beam(config: RunConfig, kubeflow: KubeflowOptions) -> None:
    """A launcher keeps a step's artifacts in the step's pod, where Beam's workers elsewhere see nothing of them."""
    runner = config.beam.runner
    if runner == "direct":
        return
    if runner == "dataflow":
        raise ConfigError(
            "beam.runner=dataflow: its workers reach buckets, and with target=kubeflow artifacts lie in the step's pod",
            expected="direct, or flink or portable whose workers share a volume with the steps",
            hint="--set 'beam={runner: direct, workers: 4}', or --target vertex, where artifacts stay in the bucket",
        )
    folder = PurePosixPath(Staging(Path("/"), [kubeflow.pipeline_root]).to_folder(kubeflow.pipeline_root))
    for step in _BEAM_STEPS:
        if not any(folder.is_relative_to(volume.path) for volume in kubeflow.step(step).volumes):
            raise ConfigError(
                f"beam.runner={runner}: the workers cannot reach the artifacts of {step}, which lie in its pod"
                f" at {folder}",
                expected="a volume there that the workers mount at the same path",
                hint=f"--set 'kubeflow.steps.{step}.volumes=[{{claim: NAME, path: {'/'.join(folder.parts[:2])[1:]}}}]'",
            )


def _named_paths(config: RunConfig) -> Iterator[tuple[str, str, tuple[StepName, ...]]]:
    """Every path and address of the config: its key, itself, and the steps that read or write it."""
    data, release = config.data, config.release
    named: list[tuple[str, Any, tuple[StepName, ...]]] = [
        ("data.annotations", data.annotations, ("CocoExampleGen",)),
        ("data.images", data.images, ("CocoExampleGen",)),
        ("data.split_ids", data.split_ids, ("CocoExampleGen",)),
        ("release.uri", release.uri, ("ReleasedModel", "MicroPusher")),
        ("release.signing_key", release.signing_key, ("MicroPusher",)),
        ("release.trusted_keys", release.trusted_keys, ("ReleasedModel", "MicroPusher")),
    ]
    if config.trainer.initial_weights != IMAGENET:
        trains: tuple[StepName, ...] = ("Trainer",) if config.tuner is None else ("Tuner", "Trainer")
        named.append(("trainer.initial_weights", config.trainer.initial_weights, trains))
    for key, value, steps in named:
        for path in _paths(value):
            yield key, path, steps


def _paths(value: Any) -> list[str]:
    match value:
        case None:
            return []
        case str():
            return [value]
        case Mapping():
            return list(value.values())
        case _:
            return list(value)


def _check_scheme(key: str, address: str, step: StepName) -> None:
    scheme = address.partition("://")[0]
    if scheme not in _SCHEMES.get(key, ("gs",)):
        raise ConfigError(
            f"{key}={address} is out of reach of {step}, which does not speak {scheme}://",
            expected="gs://BUCKET/PATH, or a path on a volume that is mounted into the step",
            hint=f"--set {key}=gs://BUCKET/PATH",
        )


def _check_mounted(key: str, path: str, step: StepName, options: StepOptions, target: Target) -> None:
    mounts = [volume.path for volume in options.volumes] + [s.path for s in options.secrets if s.path is not None]
    if target == "kubeflow" and any(PurePosixPath(path).is_relative_to(mount) for mount in mounts):
        return
    where = "no volume of the step holds it" if target == "kubeflow" else "Vertex AI mounts no volumes"
    mount = f"{{claim: NAME, path: {PurePosixPath(path).parent}}}"
    raise ConfigError(
        f"{key}={path} is out of reach of {step}: {where}",
        expected="an address such as gs://BUCKET/PATH"
        + (", or a path below that of a volume or secret of the step" if target == "kubeflow" else ""),
        hint=f"--set 'kubeflow.steps.{step}.volumes=[{mount}]' mounts one"
        if target == "kubeflow"
        else f"--set {key}=gs://BUCKET/PATH",
    )
