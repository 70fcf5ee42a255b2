"""Checkpoints of a training, so that a killed one goes on where it was.

    <run.root>/checkpoints/<digest of job, code and examples>/
        checkpoint.npz     the latest, replaced at once or not at all
        *.rasters          decoded rasters that do not fit in memory

TFX deletes the output folder of an interrupted execution, so they lie beside the artifacts. The digest keeps
checkpoints of another config, other images or older code out; the folder is deleted when the model is exported.
"""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.errors import StorageError
from components.options import Options

FILE_NAME = "checkpoint.npz"
_STAGING_NAME = f".{FILE_NAME}"
_POSITION = "position"
_JOB = "job"
_PARTS = ("variables", "weights", "best")


class Epoch(Options):
    """What one finished epoch came to.

    Attributes:
      learning_rate: at its last step.
      train: by name, means over its steps as they were taken, penalties and augmentation included.
      eval: by name, on the eval split; what that split does not define, such as an AUC of one label, is left out.
    """

    learning_rate: float
    train: dict[str, float]
    eval: dict[str, float]


class Position(Options):
    """How far a training is.

    Attributes:
      step: finished steps.
      stage: the stage that the next step belongs to, counted from 0; the number of stages after the last.
      stage_step: finished steps of that stage.
      sums: by name, over the finished steps of the current epoch.
      history: the finished epochs.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    sums: dict[str, float] = Field(default_factory=dict)
    history: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """Everything that decides how a training goes on.

    Attributes:
      position: how far it is.
      variables: of model, optimizer and averages, in the training loop's order.
      weights: the ones that would be evaluated now, averaged where there are averages, in the model's order.
      best: the weights of the best epoch so far, in the model's order; empty before the first.
    """

    position: Position
    variables: Sequence[npt.NDArray[Any]]
    weights: Sequence[npt.NDArray[Any]]
    best: Sequence[npt.NDArray[Any]]


class CheckpointFolder:
    """The one place where a job's checkpoint lies.

    Args:
      root: folder of the checkpoints of all jobs.
      job: the `TrainingJob` as JSON.
      code_digest: of the code; a checkpoint must not outlive it.
      files: the examples; their content is part of the digest.

    Attributes:
      path: the job's own folder; it exists once something was written.
    """

    def __init__(self, root: Path, job: str, code_digest: str, files: Sequence[str]) -> None:
        self._job = job
        digest = hashlib.sha256()
        for text in (job, code_digest):
            digest.update(f"{text}\0".encode())
        for file in files:
            with Path(file).open("rb") as examples:
                digest.update(hashlib.file_digest(examples, "sha256").digest())
        self.path = root / digest.hexdigest()[:16]

    def write(self, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint; whoever reads, even after a crash, finds the old one or the new one.

        Raises:
          StorageError: if the disk refuses; the earlier checkpoint is still there.
        """
        content = io.BytesIO()
        arrays = {f"{part}_{n:05d}": array for part in _PARTS for n, array in enumerate(getattr(checkpoint, part))}
        texts = {_POSITION: np.array(checkpoint.position.to_json()), _JOB: np.array(self._job)}
        np.savez(content, allow_pickle=False, **texts, **arrays)
        staging = self.path / _STAGING_NAME
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with staging.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            staging.replace(self.path / FILE_NAME)
        except OSError as error:
            with suppress(OSError):
                staging.unlink(missing_ok=True)
            raise StorageError(
                f"the Trainer's checkpoint in {self.path} cannot be written: {error.strerror}: "
                f"step={checkpoint.position.step}, bytes={content.tell():,}",
                expected="room below run.root, and the right to write there",
                hint="make room; the next run goes on from the checkpoint before",
            ) from error

    def read(self) -> Checkpoint | None:
        """The checkpoint, or None if there is none.

        Raises:
          StorageError: if it is damaged.
        """
        path = self.path / FILE_NAME
        return read_checkpoint(path)[1] if path.exists() else None

    def delete(self) -> None:
        """Removes the folder and all in it, and the one above it if nothing else is there."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # another config's checkpoints
            self.path.parent.rmdir()


def read_checkpoint(path: Path) -> tuple[str, Checkpoint]:
    """Reads a checkpoint file, also of a training that goes on: the job as JSON, and the checkpoint.

    Raises:
      StorageError: if it is none, or a damaged one.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {
                part: [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{part}_")] for part in _PARTS
            }
            return str(arrays[_JOB]), Checkpoint(Position.from_json(str(arrays[_POSITION])), **parts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{path} is no checkpoint, or a damaged one: {error}",
            hint=f"delete {path.parent} to train from the start",
        ) from error
