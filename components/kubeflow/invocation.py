"""A step's invocation, as the launcher of Kubeflow Pipelines gives it, into one that TFX's executors can take.

Both are an ExecutorInput in JSON. The launcher's differs from what TFX was written for (`driver.go`, `client.go`):

    type of an input        {"instanceSchema": ""}; the compiled inputs still have it
    metadata of an input    lists and structs wrapped as {"list": …} and {"struct": …}, and what KFP adds for itself
    uri                     of a bucket, while the files lie in a local folder
    output folders          not there; TFX's own runner makes them
"""

import copy
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.errors import ConfigError, DataError
from components.kubeflow.arguments import Json
from components.kubeflow.staging import Staging, is_staged

_OF_KFP = frozenset({"display_name", "store_session_info"})
_WRAPPINGS = ("list", "struct")


def prepare(invocation: Json, inputs_spec: Json, root: Path) -> tuple[Json, Staging]:
    """The same invocation, with types, plain metadata and local folders; empties those of the outputs.

    Args:
      invocation: an ExecutorInput in JSON.
      inputs_spec: the step's compiled ComponentInputsSpec in JSON.
      root: of the container.

    Raises:
      DataError: naming the input that is not there.
      ConfigError: naming the input that is not of this step.
    """
    prepared = copy.deepcopy(invocation)
    inputs = prepared.setdefault("inputs", {}).setdefault("artifacts", {})
    outputs = prepared["outputs"].get("artifacts", {})
    output_file = prepared["outputs"]["outputFile"]
    staging = Staging(root, [artifact["uri"] for side in (inputs, outputs) for _, artifact in _each(side)])
    wanted = inputs_spec.get("artifacts", {})
    _check_present(inputs, wanted)
    for key, artifact in _each(inputs):
        artifact["type"] = wanted[key]["artifactType"]
        artifact["metadata"] = _plain_metadata(artifact.get("metadata", {}), staging)
        artifact.setdefault("name", key)  # KFP's number in the metadata store; TFX refers to models by it
        folder = staging.to_folder(artifact["uri"])
        _check_filled(key, artifact["uri"], folder)
        artifact["uri"] = folder
    if is_staged(output_file):
        _clear_record(Path(output_file))
    for _, artifact in _each(outputs):
        artifact["uri"] = staging.to_folder(artifact["uri"])
        _make_empty(artifact["uri"])
    return prepared, staging


def publish(output: Json, staging: Staging) -> Json:
    """What a step says that it made, as the launcher takes it: URIs for local folders, and no null in the metadata.

    Args:
      output: an ExecutorOutput in JSON.
      staging: of the invocation.
    """
    published = copy.deepcopy(output)
    for _, artifact in _each(published.get("artifacts", {})):
        artifact["uri"] = staging.to_uri(artifact["uri"])
        artifact["metadata"] = {
            key: staging.to_uri(value) if isinstance(value, str) else value
            for key, value in artifact.get("metadata", {}).items()
            if value is not None
        }
    return published


def _each(artifacts: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for key, listed in artifacts.items():
        for artifact in listed.get("artifacts", []):
            yield key, artifact


def _check_present(inputs: Mapping[str, Json], wanted: Mapping[str, Json]) -> None:
    given = {key for key, _ in _each(inputs)}
    for key in sorted(given - wanted.keys()):
        raise ConfigError(
            f"input {key}: not one of this step's",
            expected=f"one of {', '.join(sorted(wanted))}" if wanted else "no input",
            hint="the pipeline was edited; compile it anew with the vww of the image",
        )
    for key, definition in sorted(wanted.items()):
        if key not in given and not definition.get("isOptional", False):
            raise DataError(
                f"input {key}: missing",
                expected="an artifact of the step before",
                hint="the pipeline was edited, or run in part; run it as it was compiled",
            )


def _check_filled(key: str, uri: str, folder: str) -> None:
    if "://" in folder or _has_files(folder):  # no step of this pipeline leaves an artifact without a file
        return
    raise DataError(
        f"input {key}: there is no file at {uri}",
        expected="what the step before wrote",
        hint="was it deleted since, perhaps by a rule of the bucket? run again with caching off, so that it is made"
        " again",
    )


def _has_files(folder: str) -> bool:
    return Path(folder).is_file() or any(files for _, _, files in os.walk(folder))


def _plain_metadata(metadata: Mapping[str, Any], staging: Staging) -> Json:
    plain = {}
    for key, value in metadata.items():
        if key in _OF_KFP or value is None:
            continue
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _WRAPPINGS:
            (value,) = value.values()  # noqa: PLW2901
        plain[key] = staging.to_folder(value) if isinstance(value, str) else value
    return plain


def _clear_record(output_file: Path) -> None:
    """Takes away what an attempt before this one left, so that nothing of it is taken for this one's."""
    output_file.unlink(missing_ok=True)
    shutil.rmtree(output_file.parent / ".temp", ignore_errors=True)  # TFX's own, for executors


def _make_empty(folder: str) -> None:
    if "://" not in folder:
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(parents=True)
