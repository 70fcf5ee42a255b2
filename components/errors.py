"""Every error that a person can cause or has to act on.

    VwwError                exit code 1
    ├── ConfigError         exit code 2: the command line or the config file
    ├── DataError           annotations, images, splits
    ├── GateError           exit code 3: a gate that refuses before anything is trained
    ├── ModelError          a flatbuffer or SavedModel that cannot be read, converted or run
    ├── ReleaseError        the release store, or a release in it
    ├── StorageError        a disk or bucket that refuses to be written
    ├── ClusterError        Kubeflow Pipelines or Vertex AI: refuses, or a run there ended badly
    │   └── NoAnswerError   does not answer just now (`pipeline.kubeflow.server`)
    └── PipelineError       a node that stopped for any other reason

A model that a gate refused is no error: it is a verdict (`components.verdicts`).
Components raise these and let them rise; only `pipeline.cli` turns them into an exit code.
"""

import json
from collections.abc import Iterator
from typing import ClassVar


class VwwError(Exception):
    """What is wrong, what was expected instead, and what to do next.

    Args:
      message: one sentence that names the file, key or record, and what was received.
      expected: what would have been right.
      hint: the next step for the person who reads it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.message}"]
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """One line of JSON, for the boundary between two processes."""
        return json.dumps(
            {"type": type(self).__name__, "message": self.message, "expected": self.expected, "hint": self.hint}
        )

    @staticmethod
    def from_json(text: str) -> "VwwError":
        """The inverse of `to_json`, with the same class."""
        fields = json.loads(text)
        name = fields.pop("type")
        classes: list[type[VwwError]] = [VwwError, *VwwError.__subclasses__()]
        cls = next(c for c in classes if c.__name__ == name)
        return cls(fields.pop("message"), **fields)


class ConfigError(VwwError):
    """The command line or the config file asks for something that does not exist."""

    exit_code = 2


class DataError(VwwError):
    """The annotations, the images or their splits cannot be used."""


class GateError(VwwError):
    """A gate refuses the data, or what the model would ask of a device, before anything is trained."""

    exit_code = 3


class ModelError(VwwError):
    """A flatbuffer or SavedModel cannot be read, converted or run."""


class ReleaseError(VwwError):
    """The release store, or a release in it, is not what it should be."""


class StorageError(VwwError):
    """A disk or bucket refuses to be written."""


class ClusterError(VwwError):
    """Kubeflow Pipelines or Vertex AI does not answer or refuses, or a run there ended badly."""


class PipelineError(VwwError):
    """A node of the pipeline stopped for a reason that has no class of its own."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came from, the nearest first; libraries wrap what their callees raise."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
