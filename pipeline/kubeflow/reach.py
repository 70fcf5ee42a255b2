"""Whether the steps of a compiled pipeline can reach what a config names: the data, the releases, the keys."""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from components.errors import ConfigError
from components.kubeflow.staging import Staging
from components.trainer.options import IMAGENET
from pipeline.config import RunConfig
from pipeline.kubeflow.options import KubeflowOptions, StepName, StepOptions, Target, is_bucket_address

# What only the pods of a Kubernetes cluster have.
_OF_KUBERNETES = ("node_selector", "tolerations", "volumes", "secrets", "shm", "deadline_s")

_NAME_LENGTH = 63  # TFX refuses longer ones

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
    _check_name(config, target)
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
            options = kubeflow.step(step)
            check_place(
                key, path, step, _mounts(options), target,
                in_bucket=f"--set {key}=gs://BUCKET/PATH",
                on_volume=_volume_hint(step, options, _mount_for(posixpath.normpath(path))),
            )  # fmt: skip


def pipeline_name(config: RunConfig) -> str:
    """The name of the model, in the letters that a pipeline's may have."""
    return config.name.replace("_", "-").replace(".", "-").rstrip("-")


def _check_name(config: RunConfig, target: Target) -> None:
    name = pipeline_name(config)
    if len(name) > _NAME_LENGTH:
        raise ConfigError(
            f"name={config.name}: a pipeline's name has up to {_NAME_LENGTH} characters, this has {len(name)}",
            hint="--set name=SHORTER",
        )
    if target == "vertex" and not name[0].isalpha():
        raise ConfigError(
            f"name={config.name}: on Vertex AI, a pipeline's name begins with a letter", hint=f"--set name=vww-{name}"
        )


def left_out(config: RunConfig, target: Target) -> list[str]:
    """The keys of the config that have no meaning for a target or for the config's steps, and why."""
    kubeflow = kubeflow_section(config)
    tuner = ["kubeflow.steps.Tuner has no meaning without the section tuner"]
    unused = tuner if config.tuner is None and "Tuner" in kubeflow.steps else []
    if target == "kubeflow":
        return unused
    sections = {"all_steps": kubeflow.all_steps} | {f"steps.{name}": each for name, each in kubeflow.steps.items()}
    return unused + [
        f"kubeflow.{where}.{key} has no meaning on Vertex AI"
        for where, each in sections.items()
        for key in _OF_KUBERNETES
        if getattr(each, key)
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
        options = kubeflow.step(step)
        if not any(folder.is_relative_to(volume.path) for volume in options.volumes):
            raise ConfigError(
                f"beam.runner={runner}: the workers cannot reach the artifacts of {step}, which lie in its pod"
                f" at {folder}",
                expected="a volume there that the workers mount at the same path",
                hint=_volume_hint(step, options, str(PurePosixPath(*folder.parts[:2]))),
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
        for path in places(value):
            yield key, path, steps


def places(value: Any) -> list[Any]:
    """The paths and addresses of a setting that is one, several, or one for each split."""
    match value:
        case None:
            return []
        case str():
            return [value]
        case Mapping():
            return list(value.values())
        case _:
            return list(value)


def check_place(
    key: str, place: str, step: StepName, mounts: Collection[str], target: Target, *, in_bucket: str, on_volume: str
) -> None:
    """Refuses a path or address that a step cannot read.

    Args:
      key: what names it, for the error.
      place: the path or address.
      step: that reads it.
      mounts: folders of volumes and secrets of the step.
      target: that the step runs on.
      in_bucket: the hint that names an address.
      on_volume: the hint that mounts a volume.

    Raises:
      ConfigError: if it is out of reach.
    """
    if "://" in place:
        _check_address(key, place, step, in_bucket)
        return
    path = posixpath.normpath(place)
    if target == "kubeflow" and any(PurePosixPath(path).is_relative_to(mount) for mount in mounts):
        return
    where = "no volume of the step holds it" if target == "kubeflow" else "Vertex AI mounts no volumes"
    raise ConfigError(
        f"{key}={place} is out of reach of {step}: {where}",
        expected="an address such as gs://BUCKET/PATH"
        + (", or a path below that of a volume or secret of the step" if target == "kubeflow" else ""),
        hint=on_volume if target == "kubeflow" and _mount_for(path) else in_bucket,
    )


def _check_address(key: str, address: str, step: StepName, in_bucket: str) -> None:
    scheme = address.partition("://")[0]
    expected = "gs://BUCKET/PATH, or a path on a volume that is mounted into the step"
    if scheme not in _SCHEMES.get(key, ("gs",)):
        raise ConfigError(
            f"{key}={address} is out of reach of {step}, which does not speak {scheme}://",
            expected=expected,
            hint=in_bucket,
        )
    if scheme == "gs" and not is_bucket_address(address, ("gs",)):
        raise ConfigError(f"{key}={address} is no address in a bucket", expected=expected, hint=in_bucket)


def _mounts(options: StepOptions) -> list[str]:
    return [volume.path for volume in options.volumes] + [s.path for s in options.secrets if s.path is not None]


def _mount_for(path: str) -> str | None:
    """The folder at which a volume would hold a path; None where there is none that a volume can take."""
    file, root = PurePosixPath(path), PurePosixPath("/")
    if file.parent == root:  # the root folder itself cannot be mounted, so a folder in it is the volume
        return None if file.suffix else path
    return str(file.parent) if file.is_absolute() else None


def _volume_hint(step: StepName, options: StepOptions, mount: str | None) -> str:
    """How to mount one more: a list of a step's own takes the place of that of all steps."""
    volumes = [
        ", ".join(f"{key}: {value}" for key, value in volume.model_dump(exclude_none=True).items())
        for volume in options.volumes
    ]
    listed = ", ".join(f"{{{each}}}" for each in (*volumes, f"claim: NAME, path: {mount}"))
    return f"--set 'kubeflow.steps.{step}.volumes=[{listed}]' mounts one"
