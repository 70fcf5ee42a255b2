"""What a release is made of: files, their digests, and the version that follows from them.

    <uri>/
    └── <model>/
        ├── channels.json               which version each channel holds, and how that came (components.pusher.channels)
        └── <version>/                  never changed once it is there
            ├── manifest.json           sha256 and size of every other file (components.pusher.manifest)
            ├── MODEL_CARD.md           the manifest in words
            ├── provenance.json         what it was made from and by what (components.pusher.provenance)
            ├── provenance.intoto.jsonl the same, signed; only where there is a key
            ├── sbom.cdx.json           the environment that made it
            ├── training_statistics.pb  of the train split, for the drift of the next one
            └── ...                     the rest of the payload

In a bucket, the four that speak of the manifest lie one folder deeper (components.pusher.gcs_store); fetching a
release puts them where they are drawn here.

The version is a digest of the payload: equal releases have equal names, and a name says what it holds. The manifest
and the files that speak of it, SIDE_FILES, are no part of the payload; they are those of the run that was first.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from components.errors import ReleaseError
from components.options import Options

MANIFEST_NAME = "manifest.json"
TRAINING_STATISTICS_NAME = "training_statistics.pb"
CONFIG_NAME = "config.yaml"
MODEL_CARD_NAME = "MODEL_CARD.md"
STATEMENT_NAME = "provenance.json"
ENVELOPE_NAME = "provenance.intoto.jsonl"
SBOM_NAME = "sbom.cdx.json"
SIDE_FILES = (MODEL_CARD_NAME, SBOM_NAME, STATEMENT_NAME, ENVELOPE_NAME)
CHANNELS_NAME = "channels.json"
VERSION_DIGITS = 12

_MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_VERSION = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=f"^[0-9a-f]{{{VERSION_DIGITS}}}$")]


def is_model(name: str) -> bool:
    """Whether `name` can be a model: one folder name in any store."""
    return _MODEL.fullmatch(name) is not None and ".." not in name


def is_version(name: str) -> bool:
    """Whether `name` can be a version; see `release_version`."""
    return _VERSION.fullmatch(name) is not None


def check_model(name: str) -> None:
    """Raises ReleaseError unless `is_model(name)`."""
    if not is_model(name):
        raise ReleaseError(
            f"not a model name: received model={name!r}",
            expected="letters a-z, digits, '_', '-' and single '.', a letter or digit first",
        )


def check_version(name: str) -> None:
    """Raises ReleaseError unless `is_version(name)`."""
    if not is_version(name):
        raise ReleaseError(
            f"not a version name: received version={name!r}", expected=f"{VERSION_DIGITS} digits of 0-9 and a-f"
        )


def is_payload_path(path: str) -> bool:
    """Whether `path` names a file below a release folder, in one spelling, and neither the manifest nor a side file."""
    parts = PurePosixPath(path).parts
    return (
        path == "/".join(parts)
        and path not in ("", MANIFEST_NAME, *SIDE_FILES)
        and parts[0] != "/"
        and ".." not in parts
        and "\\" not in path
        and _CONTROL.search(path) is None
    )


def _payload_path(path: str) -> str:
    if not is_payload_path(path):
        raise ValueError(f"expected a relative path that stays in the release, received {path!r}")
    return path


PayloadPath = Annotated[str, AfterValidator(_payload_path)]


class FileDigest(Options):
    """What a file has to be.

    Attributes:
      sha256: of its content, in hex.
      size_bytes: its length.
    """

    sha256: Sha256
    size_bytes: int = Field(ge=0)


def hash_bytes(content: bytes) -> FileDigest:
    """The digest of a file's content."""
    return FileDigest(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def hash_files(folder: Path) -> dict[str, FileDigest]:
    """Relative path, with `/`, to the digest of every file of the payload in a folder and below.

    Raises:
      ReleaseError: on a symbolic link or anything else that is no regular file.
      OSError: where something cannot be read.
    """
    digests = {}
    for path in _walk(folder):
        if path.is_symlink() or not path.is_file():
            raise ReleaseError(f"{path} is no regular file", hint="a release holds files and folders only")
        relative = path.relative_to(folder).as_posix()
        if relative != MANIFEST_NAME and relative not in SIDE_FILES:
            digests[relative] = hash_file(path)
    return digests


def hash_file(path: Path) -> FileDigest:
    """The digest of a file on disk; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(sha256=sha256, size_bytes=path.stat().st_size)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below the folder that is not itself a folder, in the order of the names."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def release_version(files: Mapping[str, FileDigest]) -> str:
    r"""The first 12 hex digits of the SHA-256 of what `sha256sum` prints for the payload's files in path order.

    In a release folder, or one that was fetched from a bucket, without this code:

        find . -type f -printf '%P\0' | grep -zEv '^(manifest|provenance|sbom|MODEL_CARD)[.]' |
          LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
    """
    listing = "".join(f"{files[path].sha256}  {path}\n" for path in sorted(files, key=str.encode))
    return hashlib.sha256(listing.encode()).hexdigest()[:VERSION_DIGITS]


def find_differences(expected: Mapping[str, FileDigest], found: Mapping[str, FileDigest]) -> list[str]:
    """One sentence for every file that is missing, changed or not in the manifest; empty where all is well."""
    problems = []
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            problems.append(f"{path} is missing")
        elif path not in expected:
            problems.append(f"{path} is not in the manifest")
        elif found[path].size_bytes != expected[path].size_bytes:
            problems.append(
                f"{path} has {found[path].size_bytes} bytes instead of the manifest's {expected[path].size_bytes}"
            )
        elif found[path] != expected[path]:
            problems.append(f"{path} has sha256 {found[path].sha256} instead of the manifest's {expected[path].sha256}")
    return problems
