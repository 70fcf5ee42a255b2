"""Whether a step's inputs are whole, so that a damaged one is named, and not the library that tripped over it.

What is missing or empty shows in the files' sizes, before anything heavy is imported. Whether the files can be read is
asked once the executor has failed: a step that works pays nothing for it.
"""

import gzip
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.dataset import SUMMARY_FILE, DatasetSummary
from components.drift import DRIFT_FILE, Drift
from components.errors import DataError
from components.exported_model import RELEASE_NOTE, check_saved_model
from components.hyperparameters import BEST_HYPERPARAMETERS
from components.kubeflow.staging import Staging

# What an artifact of each type has in its folder; {split} stands for every split that its metadata names.
_FILES = {
    "Examples": ("Split-{split}/*",),
    "Schema": ("schema.pbtxt",),
    "TransformGraph": ("transform_fn/saved_model.pb", "transformed_metadata/schema.pbtxt"),
    "ExampleStatistics": ("Split-{split}/FeatureStats.pb",),
    "ExampleAnomalies": ("Split-{split}/SchemaDiff.pb", DRIFT_FILE),
    "HyperParameters": (BEST_HYPERPARAMETERS,),
    "Model": ("Format-Serving/saved_model.pb", "Format-Serving/variables/variables.index"),
    "ModelEvaluation": ("eval_config.json", "metrics-*"),
}

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Input:
    """One artifact that a step reads.

    Attributes:
      key: of the step's input.
      uri: as the cluster knows it.
      folder: where it lies in the container.
      kind: its type, such as `Examples`.
      metadata: without KFP's wrappings.
    """

    key: str
    uri: str
    folder: Path
    kind: str
    metadata: Mapping[str, Any]

    def patterns(self) -> Iterator[str]:
        """Of the files that have to be there, in the artifact's folder."""
        if self._is_of_no_release():
            return
        splits = json.loads(self.metadata.get("split_names") or "[]")
        for pattern in _FILES.get(self.kind, ()):
            yield from (pattern.format(split=split) for split in splits) if "{split}" in pattern else (pattern,)
        if "label_rule" in self.metadata:  # of the CocoExampleGen, and not of the Transform
            yield SUMMARY_FILE

    def _is_of_no_release(self) -> bool:
        """Whether the ReleasedModel made it while nothing was released; metadata stores may drop an empty version."""
        return self.kind == "Model" and not self.metadata.get("version") and (self.folder / RELEASE_NOTE).exists()


def staged_inputs(prepared: Mapping[str, Any], staging: Staging) -> list[Input]:
    """The inputs that lie in local folders.

    Args:
      prepared: an ExecutorInput, as `components.kubeflow.invocation.prepare` leaves it.
      staging: of the same step.
    """
    return [
        Input(
            key, staging.to_uri(artifact["uri"]), Path(artifact["uri"]), _kind(artifact["type"]), artifact["metadata"]
        )
        for key, listed in prepared["inputs"]["artifacts"].items()
        for artifact in listed.get("artifacts", [])
        if "://" not in artifact["uri"]
    ]


def check_complete(inputs: Sequence[Input]) -> None:
    """Checks, from sizes alone, that nothing is missing or empty.

    Raises:
      DataError: naming the input, its URI, and what is not there.
    """
    for given in inputs:
        for pattern in given.patterns():
            if not any(path.stat().st_size for path in given.folder.glob(pattern)):
                raise _damaged(given, f"{pattern.removesuffix('/*')} is missing or empty")


def find_damage(inputs: Sequence[Input]) -> DataError | None:
    """The first input with a file that cannot be read to its end; imports TensorFlow."""
    for given in inputs:
        logging.info("the step failed; looking whether the input %s is damaged", given.key)
        for path in sorted(path for path in given.folder.rglob("*") if path.is_file()):
            form = _unreadable_as(path)
            if form is not None:
                return _damaged(given, f"{path.relative_to(given.folder)} cannot be read as {form}")
    return None


def _unreadable_as(path: Path) -> str | None:
    """What a file ought to be and is not; None where it is, or where nothing is known of it."""
    for pattern, form, read in _READERS:
        if path.match(pattern):
            try:
                read(path)
            except Exception as error:  # noqa: BLE001  # TensorFlow's, protobuf's and pydantic's have nothing in common
                logging.error("%s cannot be read as %s: %s", path, form, error)  # noqa: TRY400  # the executor's shows
                return form
    return None


def _read_records(path: Path) -> None:
    import tensorflow as tf

    compression = ""
    if path.suffix == ".gz":
        compression = "GZIP"
        with gzip.open(path) as file:  # TensorFlow takes some that were cut short for whole
            while file.read(_CHUNK_BYTES):
                pass
    records = tf.data.TFRecordDataset([str(path)], compression_type=compression)
    records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1)


def _read_statistics(path: Path) -> None:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def _read_anomalies(path: Path) -> None:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    anomalies_pb2.Anomalies.FromString(path.read_bytes())


def _read_schema(path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    text_format.Parse(path.read_text(), schema_pb2.Schema())


# By the end of a file's path.
_READERS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("Split-*/FeatureStats.pb", "statistics", _read_statistics),
    ("Split-*/SchemaDiff.pb", "anomalies", _read_anomalies),
    ("Split-*/*tfrecord-*", "TFRecords", _read_records),
    ("Split-*/*.gz", "TFRecords", _read_records),
    ("*.tfrecord", "TFRecords", _read_records),
    ("schema.pbtxt", "a schema", _read_schema),
    ("saved_model.pb", "a SavedModel with its variables", lambda path: check_saved_model(path.parent)),
    (SUMMARY_FILE, "the summary of a data set", lambda path: DatasetSummary.from_json(path.read_text())),
    (DRIFT_FILE, "measurements of drift", lambda path: Drift.from_json(path.read_text())),
    ("eval_config.json", "JSON", lambda path: json.loads(path.read_text())),
    (BEST_HYPERPARAMETERS, "JSON", lambda path: json.loads(path.read_text())),
)


def _kind(artifact_type: Mapping[str, str]) -> str:
    """`Examples` of `title: tfx.Examples`; empty for a type of another form."""
    schema = yaml.safe_load(artifact_type.get("instanceSchema", ""))
    title = schema.get("title", "") if isinstance(schema, dict) else ""
    return str(title).removeprefix("tfx.")


def _damaged(given: Input, problem: str) -> DataError:
    return DataError(
        f"input {given.key}: {given.uri} is damaged: {problem}",
        expected="its files as the step that made it left them",
        hint="run again with caching off (vww submit --no-cache), so that it is made again",
    )
