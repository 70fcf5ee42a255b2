"""The object store of an emulated cluster: folders, laid out as buckets are.

<root>/
  gs/<bucket>/<key>         also s3/ and minio/
"""

import shutil
from pathlib import Path, PurePosixPath

from components.errors import ConfigError

# Where the launcher of KFP keeps its copy of an object (`LocalPathForURI` of its launcher_v2.go), by scheme.
STAGED_BELOW = {"gs": "gcs", "s3": "s3", "minio": "minio"}


class ObjectStore:
    """Files by URI; like a bucket, it knows no folder that holds nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, uri: str) -> Path:
        """Where the object, or all objects below a prefix, lie."""
        scheme, key = split_uri(uri)
        return self._root / scheme / key

    def download(self, uri: str, folder: Path) -> None:
        """Copies all objects below a URI; where there are none, no folder is made either."""
        source = self.path(uri)
        for file in _files(source):
            _copy(file, folder / file.relative_to(source))

    def upload(self, folder: Path, uri: str) -> None:
        """Copies the files, and only the files, of a folder, or one file; a step may have written neither."""
        for file in _files(folder):
            _copy(file, self.path(uri) / file.relative_to(folder))


def split_uri(uri: str) -> tuple[str, PurePosixPath]:
    """Scheme, and bucket with key.

    Raises:
      ConfigError: if the launcher could not copy from or to there.
    """
    scheme, separator, key = uri.partition("://")
    if not separator or scheme not in STAGED_BELOW or not key or ".." in PurePosixPath(key).parts:
        raise ConfigError(
            f"a step cannot reach artifacts at {uri!r}",
            expected="a pipeline root such as gs://bucket/folder, s3://bucket/folder or minio://bucket/folder",
        )
    return scheme, PurePosixPath(key)


def staged_path(uri: str) -> PurePosixPath:
    """Where a step finds its copy of an artifact, below the root folder of its container."""
    scheme, key = split_uri(uri)
    return PurePosixPath(STAGED_BELOW[scheme]) / key


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
