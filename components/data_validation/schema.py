"""CuratedSchema: the schemas that are checked in, as artifacts of the pipeline."""

from collections.abc import Collection
from importlib import resources

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from components import features


def raw_schema_text(label_count: int) -> str:
    """The curated schema of the raw examples with so many labels, in protobuf's text format."""
    return _schema_text("raw_schema.pbtxt", (features.LABEL, features.OBJECT_LABEL), label_count)


def statistics_schema_text(label_count: int) -> str:
    """The curated schema of `features.DESCRIPTIVE` with so many labels, in protobuf's text format."""
    return _schema_text("statistics_schema.pbtxt", (features.TRANSFORMED_LABEL,), label_count)


def _schema_text(file: str, label_keys: Collection[str], label_count: int) -> str:
    text = resources.files(__package__).joinpath(file).read_text()
    schema = text_format.Parse(text, schema_pb2.Schema())
    for feature in schema.feature:
        if feature.name in label_keys:
            feature.int_domain.max = label_count - 1
    return str(text_format.MessageToString(schema))


@component  # type: ignore[untyped-decorator]  # TFX publishes no types
def CuratedSchema(  # noqa: N802  # a component, named like TFX's own
    raw: OutputArtifact[standard_artifacts.Schema],
    statistics: OutputArtifact[standard_artifacts.Schema],
    raw_text: Parameter[str],
    statistics_text: Parameter[str],
) -> None:
    """Writes a `schema.pbtxt` each; the texts themselves are the parameters, so that no cache hides an edited one."""
    for artifact, text in ((raw, raw_text), (statistics, statistics_text)):
        io_utils.write_pbtxt_file(f"{artifact.uri}/schema.pbtxt", text_format.Parse(text, schema_pb2.Schema()))
