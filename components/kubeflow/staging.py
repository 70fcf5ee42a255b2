"""Where a step finds its artifacts as files.

    gs://bucket/key     /gcs/bucket/key
    s3://bucket/key     /s3/bucket/key
    minio://bucket/key  /minio/bucket/key

The launcher of Kubeflow Pipelines (`launcher_v2.go`) brings the inputs there before a step starts, and takes the
outputs from there when it has ended well: files alone, so that an empty folder is lost. TensorFlow reads neither
`s3://` nor `minio://`, so executors are shown the folders. Vertex AI mounts every bucket below `/gcs`, on which KFP's
own components rely (`kfp/dsl/types/artifact_types.py`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

_FOLDERS = {"gs://": "gcs", "s3://": "s3", "minio://": "minio"}
_OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"  # noqa: S108  # the launcher's choice


def is_staged(output_file: str) -> bool:
    """Whether a launcher stages artifacts; Vertex AI does not, and asks for the step's record in a bucket."""
    return "://" not in output_file


def container_root(output_file: str) -> Path:
    """The root folder of a step's container, or what takes its place where a launcher is emulated.

    Args:
      output_file: where the step has to say what it made.
    """
    return Path(output_file.removesuffix(_OUTPUT_FILE) or "/") if output_file.endswith(_OUTPUT_FILE) else Path("/")


class Staging:
    """The folders of one step's artifacts.

    Args:
      root: the container's root folder.
      uris: of all its inputs and outputs.
    """

    def __init__(self, root: Path, uris: Iterable[str]) -> None:
        self._folders = {uri: folder for uri in uris if (folder := _folder(root, uri)) is not None}
        self._uris = {folder: uri for uri, folder in self._folders.items()}

    def to_folder(self, text: str) -> str:
        """An artifact's folder for its URI, or a path in it; any other text, such as a release's URI, as it is."""
        return _swap(text, self._folders)

    def to_uri(self, text: str) -> str:
        """The inverse of `to_folder`."""
        return _swap(text, self._uris)


def _folder(root: Path, uri: str) -> str | None:
    scheme, separator, rest = uri.partition("://")
    folder = _FOLDERS.get(f"{scheme}{separator}")
    return None if folder is None else str(root / folder / rest)


def _swap(text: str, places: Mapping[str, str]) -> str:
    for old, new in places.items():
        if text == old or text.startswith(f"{old}/"):
            return new + text.removeprefix(old)
    return text
