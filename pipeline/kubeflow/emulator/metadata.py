"""What becomes of an artifact on its way through KFP's metadata store (`metadata/converter.go` of its backend)."""

from typing import Any

import yaml
from google.protobuf import struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import PipelineError


class RecordedArtifacts:
    """The artifacts that steps have put out, as later steps are given them."""

    def __init__(self) -> None:
        self._by_output: dict[tuple[str, str], Any] = {}

    def record(self, task: str, key: str, artifact: Any) -> None:
        """Takes one that the launcher has uploaded.

        Args:
          task: that put it out.
          key: of the output.
          artifact: RuntimeArtifact.

        Raises:
          PipelineError: if the metadata store would not take it.
        """
        where = f"output {key!r} of the step {task}"
        _check_type(artifact.type, where)
        number = len(self._by_output) + 1
        # Its type is not kept: later steps are given an empty one.
        recorded = pipeline_spec_pb2.RuntimeArtifact(
            name=str(number), uri=artifact.uri, type=pipeline_spec_pb2.ArtifactTypeSchema(instance_schema="")
        )
        for name, value in artifact.metadata.fields.items():
            recorded.metadata.fields[name].CopyFrom(_stored(value, f"{name!r} of the {where}"))
        recorded.metadata.fields["display_name"].string_value = key
        recorded.metadata.fields["store_session_info"].string_value = "{}"
        self._by_output[task, key] = recorded

    def find(self, task: str, key: str) -> Any:
        """RuntimeArtifact of an output that was recorded."""
        return self._by_output[task, key]

    def uris(self) -> dict[tuple[str, str], str]:
        """Of all, by task and key."""
        return {output: artifact.uri for output, artifact in self._by_output.items()}


def _stored(value: Any, where: str) -> Any:
    """A metadata value as it comes back: no booleans, and lists and structs wrapped."""
    stored = struct_pb2.Value()
    match value.WhichOneof("kind"):
        case "string_value" | "number_value":
            stored.CopyFrom(value)
        case "bool_value":
            stored.number_value = int(value.bool_value)
        case "list_value":
            stored.struct_value.fields["list"].CopyFrom(value)
        case "struct_value":
            stored.struct_value.fields["struct"].CopyFrom(value)
        case _:
            raise PipelineError(
                f"the metadata {where} is null, which the launcher of Kubeflow Pipelines refuses",
                hint="the step's entry point has to leave such values out",
            )
    return stored


def _check_type(artifact_type: Any, where: str) -> None:
    """The metadata store names types by the title of their schema."""
    match artifact_type.WhichOneof("kind"):
        case "instance_schema":
            schema = yaml.safe_load(artifact_type.instance_schema)
            titled = isinstance(schema, dict) and bool(schema.get("title"))
        case "schema_title":
            titled = True
        case _:
            titled = False
    if not titled:
        raise PipelineError(f"the {where} has a type without a title, which the launcher of Kubeflow Pipelines refuses")
