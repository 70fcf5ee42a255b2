"""A release store in a Google Cloud Storage bucket, or in an emulator named by STORAGE_EMULATOR_HOST.

    gs://<bucket>/<prefix>/<model>/latest
    gs://<bucket>/<prefix>/<model>/<version>/...

Objects are atomic but folders are not, so a release is there from the moment its manifest is: it is uploaded last
and, like every object here, only where none was before. Objects of a version without a manifest are what a killed
publish left; publishing the same version again completes them.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    TooManyRequests,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from components.errors import ConfigError, ReleaseError, StorageError
from components.pusher.manifest import Manifest
from components.pusher.release import (
    LATEST_NAME,
    MANIFEST_NAME,
    SIDE_FILES,
    FileDigest,
    check_name,
    hash_bytes,
    is_name,
)
from components.pusher.release_store import GCS_SCHEME, Release, ReleaseStore

_PROBE_NAME = ".write-check"
_ABSENT = 0  # the generation of an object that is not there
_WRITER = "vww-writer"
_PREFLIGHT_RETRY = DEFAULT_RETRY.with_timeout(20.0)


class GcsStore(ReleaseStore):
    """Releases below one prefix of a bucket, which has to exist."""

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix(GCS_SCHEME).partition("/")
        if not bucket:
            raise ConfigError(f"not a bucket: received release.uri={uri!r}", expected="gs://bucket/prefix")
        self._prefix = prefix.strip("/")
        super().__init__(f"{GCS_SCHEME}{bucket}/{self._prefix}".rstrip("/"))
        with self._errors():
            # No project: it only matters for making and listing buckets, and credentials may not name one.
            self._bucket = Client(project=None).bucket(bucket)

    def check_usable(self, model: str) -> None:
        """See `ReleaseStore.check_usable`; writes and deletes one empty object, as moving `latest` will."""
        check_name("model", model)
        with self._errors():
            self._check_holds_releases(model)
            probe = self._bucket.blob(self._key(model, _PROBE_NAME))
            probe.upload_from_string(b"", retry=_PREFLIGHT_RETRY)
            with suppress(NotFound):  # another run's preflight check may have been faster
                probe.delete(retry=_PREFLIGHT_RETRY)

    def list_releases(self, model: str | None = None) -> tuple[Release, ...]:
        """See `ReleaseStore.list_releases`."""
        if model is not None:
            check_name("model", model)
        root = self._key("")
        with self._errors():
            blobs = self._bucket.list_blobs(prefix=root if model is None else self._key(model, ""))
            paths = [blob.name.removeprefix(root).split("/") for blob in blobs]
        found = sorted(
            (path[0], path[1])
            for path in paths
            if len(path) == 3 and path[2] == MANIFEST_NAME and is_name(path[0]) and is_name(path[1])
        )
        latest = {name: self._read_pointer(name) for name in {name for name, _ in found}}
        return tuple(Release(name, version, is_latest=version == latest[name]) for name, version in found)

    def _add(self, manifest: Manifest, staged_dir: Path) -> bool:
        manifest_key = self._key(manifest.model, manifest.version, MANIFEST_NAME)
        with self._errors():
            if self._bucket.get_blob(manifest_key) is not None:
                return False
            for path, digest in manifest.files.items():
                key = self._key(manifest.model, manifest.version, path)
                if not self._write(key, (staged_dir / path).read_bytes(), _ABSENT):
                    self._check_leftover(key, digest)
            for path in manifest.side_files:
                self._replace_leftover(self._key(manifest.model, manifest.version, path), staged_dir / path)
            return self._write(manifest_key, (staged_dir / MANIFEST_NAME).read_bytes(), _ABSENT)

    def _swap_pointer(self, model: str, version: str, expected_previous: str | None) -> bool:
        key = self._key(model, LATEST_NAME)
        with self._errors():
            blob = self._bucket.get_blob(key)
            if (None if blob is None else _pointer_text(blob)) != expected_previous:
                return False
            return self._write(key, f"{version}\n".encode(), _ABSENT if blob is None else blob.generation)

    def _read_pointer(self, model: str) -> str | None:
        with self._errors():
            return _pointer_text(self._bucket.blob(self._key(model, LATEST_NAME)))

    def _read(self, model: str, version: str, path: str) -> bytes | None:
        with self._errors():
            return _download(self._bucket.blob(self._key(model, version, path)))

    def _hash_files(self, model: str, version: str) -> dict[str, FileDigest]:
        root = self._key(model, version, "")
        digests = {}
        with self._errors():
            for blob in self._bucket.list_blobs(prefix=root):
                path = blob.name.removeprefix(root)
                content = _download(blob)
                if path not in (MANIFEST_NAME, *SIDE_FILES) and content is not None:
                    digests[path] = hash_bytes(content)
        return digests

    def _key(self, *parts: str) -> str:
        return "/".join((self._prefix, *parts) if self._prefix else parts)

    def _write(self, key: str, content: bytes, expected_generation: int) -> bool:
        """Writes an object if it is of the expected generation; False, with nothing written, if not.

        The client repeats a write whose answer was lost, and is then told that the object has changed: by this
        very write. The mark tells the two apart.
        """
        blob = self._bucket.blob(key)
        mark = uuid.uuid4().hex
        blob.metadata = {_WRITER: mark}
        try:
            blob.upload_from_string(content, if_generation_match=expected_generation, content_type=_content_type(key))
        except PreconditionFailed:
            stored = self._bucket.get_blob(key)
            return stored is not None and (stored.metadata or {}).get(_WRITER) == mark
        return True

    def _check_leftover(self, key: str, digest: FileDigest) -> None:
        """Raises ReleaseError if the object that a killed publish left is not the one that belongs there."""
        content = _download(self._bucket.blob(key))
        if content is None or hash_bytes(content) != digest:
            raise ReleaseError(
                f"{GCS_SCHEME}{self._bucket.name}/{key} is in the way of a release and holds something else",
                hint="delete that object and publish again; nothing was overwritten",
            )

    def _replace_leftover(self, key: str, file: Path) -> None:
        """Writes a side file, whose content differs from run to run, over the one that a killed publish left."""
        blob = self._bucket.get_blob(key)
        if not self._write(key, file.read_bytes(), _ABSENT if blob is None else blob.generation):
            raise ReleaseError(
                f"{GCS_SCHEME}{self._bucket.name}/{key} is being written by another publish of the same release",
                hint="wait for it, then publish again",
            )

    def _check_holds_releases(self, model: str) -> None:
        """Raises ReleaseError if an object lies below the model that is neither in a version folder nor `latest`."""
        root = self._key(model, "")
        for blob in self._bucket.list_blobs(prefix=root, delimiter="/", retry=_PREFLIGHT_RETRY):
            name = blob.name.removeprefix(root)
            if name not in ("", LATEST_NAME, _PROBE_NAME):
                raise ReleaseError(
                    f"{self.uri}/{model} holds something else than releases, for example {name}",
                    expected=f"nothing, or folders with a {MANIFEST_NAME}",
                    hint="set release.uri to another place, or move those objects away",
                )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what the client raises into a StorageError with the next step."""
        try:
            yield
        except NotFound as error:
            raise StorageError(
                f"{self.uri}: there is no such bucket",
                hint="correct release.uri, or make it: gcloud storage buckets create",
            ) from error
        except (Forbidden, Unauthorized) as error:
            raise StorageError(
                f"{self.uri}: access was refused: {error.message}",
                hint="the account needs roles/storage.objectUser on the bucket; `gcloud auth list` shows which is used",
            ) from error
        except GoogleAuthError as error:
            raise StorageError(
                f"{self.uri}: there are no usable Google Cloud credentials: {error}",
                hint="run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
            ) from error
        except TooManyRequests as error:
            raise StorageError(f"{self.uri}: the bucket asks to slow down", hint="try again in a minute") from error
        except (GoogleAPIError, InvalidResponse, DataCorruption, requests.RequestException) as error:
            raise StorageError(f"{self.uri}: {error}", hint="check the network, then try again") from error


def _pointer_text(blob: Any) -> str | None:
    content = _download(blob)
    return None if content is None else content.decode(errors="replace").removesuffix("\n")


def _download(blob: Any) -> bytes | None:
    """The object's content, of the generation that the blob names if it names one; None where it is not there."""
    try:
        content: bytes = blob.download_as_bytes()
    except NotFound:
        return None
    return content


def _content_type(key: str) -> str:
    if key.endswith(".json"):
        return "application/json"
    return (
        "text/plain; charset=utf-8" if key.endswith((LATEST_NAME, ".txt", ".h", ".cc")) else "application/octet-stream"
    )
