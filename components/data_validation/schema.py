"""CuratedSchema: the schema that is checked in, as an artifact of the pipeline."""

from importlib import resources

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils


def schema_text() -> str:
    """The curated schema, in protobuf's text format."""
    return resources.files(__package__).joinpath("schema.pbtxt").read_text()


@component  # type: ignore[untyped-decorator]  # TFX publishes no types
def CuratedSchema(  # noqa: N802  # a component, named like TFX's own
    schema: OutputArtifact[standard_artifacts.Schema],
    text: Parameter[str],
) -> None:
    """Writes `schema.pbtxt`; the text itself is the parameter, so that no cache hides an edited schema."""
    io_utils.write_pbtxt_file(f"{schema.uri}/schema.pbtxt", text_format.Parse(text, schema_pb2.Schema()))
