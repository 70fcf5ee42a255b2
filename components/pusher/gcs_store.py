"""A release store in a Google Cloud Storage bucket, or in an emulator named by STORAGE_EMULATOR_HOST.

    gs://<bucket>/<prefix>/<model>/channels.json
    gs://<bucket>/<prefix>/<model>/<version>/...
    gs://<bucket>/<prefix>/<model>/<version>/beside-<12 digits of the manifest's sha256>/provenance.json ...

Objects are atomic but folders are not, so a release is there from the moment its manifest is: it is uploaded last.
Two runs that make the same payload at once have manifests and side files of their own. The first manifest is the
release's, and by its digest leads to the side files that speak of it, whatever the other run goes on to write. Side
files of other manifests are what such a run left; nobody reads them. Anything else there is told by `verify`.
Objects of a version without a manifest belong to a publish that is under way, or are what a killed one left. The next
publish of that version overwrites them, each by compare-and-swap on its generation, so that no sweep and no removal
that had listed them before can take them away. Any publish sweeps those that are a day old.
"""

import hashlib
import http.client
import io
import logging
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    TooManyRequests,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from components.errors import ConfigError, StorageError
from components.pusher.channels import Channels
from components.pusher.manifest import Manifest
from components.pusher.release import (
    CHANNELS_NAME,
    MANIFEST_NAME,
    SIDE_FILES,
    FileDigest,
    check_model,
    is_model,
    is_version,
)
from components.pusher.release_store import (
    ABANDONED_AGE_S,
    Release,
    ReleaseStore,
    Sink,
    Stored,
    StoredFolder,
    refuse_foreign,
)

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_BESIDE = re.compile(rf"beside-[0-9a-f]{{12}}/({'|'.join(map(re.escape, SIDE_FILES))})")
_PROBE_NAME = ".write-check"
_ABSENT = 0  # the generation of an object that is not there
_WRITER = "vww-writer"
_ATTEMPTS = 20
_CHUNK_BYTES = 8 << 20  # of a resumable upload; smaller files go in one request
# Connecting, and every wait for more bytes, in seconds.
_TIMEOUT_S = (10.0, 60.0)


def _retry(limit_s: float) -> Retry:
    """The client's own repetitions of what may pass, told of in the log, and given up after a time."""

    def tell(error: Exception) -> None:
        logging.warning("the release store does not answer, tried again for %.0f s at most: %s", limit_s, error)

    passing = DEFAULT_RETRY._predicate  # noqa: SLF001  # not published otherwise
    return Retry(predicate=passing, timeout=limit_s, on_error=tell)


_RETRY = _retry(120.0)
_PREFLIGHT_RETRY = _retry(60.0)


class GcsStore(ReleaseStore):
    """Releases below one prefix of a bucket, which has to exist."""

    def __init__(self, bucket: str, prefix: str) -> None:
        if _BUCKET.fullmatch(bucket) is None:
            raise ConfigError(
                f"not a bucket: received release.uri={f'gs://{bucket}/{prefix}'.rstrip('/')!r}",
                expected="gs://bucket/prefix, the bucket of 3 or more of a-z, 0-9, '-', '_' and '.'",
            )
        self._prefix = prefix.strip("/")
        super().__init__(f"gs://{bucket}/{self._prefix}".rstrip("/"))
        with self._errors():
            # No project: it only matters for making and listing buckets, and credentials may not name one.
            self._bucket = Client(project=None).bucket(bucket)

    def check_usable(self, model: str) -> None:
        """See `ReleaseStore.check_usable`; writes, replaces and deletes an object, as moving a channel will."""
        check_model(model)
        with self._errors():
            self._check_holds_releases(model)
            self._write_probe(model, writes=2, retry=_PREFLIGHT_RETRY)

    def _write_probe(self, model: str, *, writes: int, retry: Any) -> datetime:
        """Writes an object that holds nothing, and deletes it; gives the bucket's own time."""
        probe = self._bucket.blob(self._key(model, _PROBE_NAME))
        for _ in range(writes):
            probe.upload_from_string(b"", retry=retry, timeout=_TIMEOUT_S)
        now: datetime = probe.updated
        with suppress(NotFound):  # another writer's probe may have been faster
            probe.delete(retry=retry, timeout=_TIMEOUT_S)
        return now

    def list_releases(self, model: str | None = None) -> tuple[Release, ...]:
        """See `ReleaseStore.list_releases`."""
        if model is not None:
            check_model(model)
        root = self._key("")
        listed = self._list(root if model is None else self._key(model, ""))
        paths = [blob.name.removeprefix(root).split("/") for blob in listed]
        return tuple(
            sorted(
                (
                    Release(path[0], path[1])
                    for path in paths
                    if len(path) == 3 and path[2] == MANIFEST_NAME and is_model(path[0]) and is_version(path[1])
                ),
                key=lambda release: (release.model, release.version),
            )
        )

    def list_folders(self, model: str) -> tuple[StoredFolder, ...]:
        """See `ReleaseStore.list_folders`."""
        root = self._key(model, "")
        by_version = defaultdict(list)
        for blob in self._list(root):
            version, _, path = blob.name.removeprefix(root).partition("/")
            if is_version(version) and path:
                by_version[version].append(blob)
        if not by_version:
            return ()
        with self._errors():
            now = self._write_probe(model, writes=1, retry=_RETRY)
        return tuple(
            StoredFolder(
                version=version,
                is_release=any(blob.name == self._key(model, version, MANIFEST_NAME) for blob in found),
                size_bytes=sum(blob.size for blob in found),
                age_s=(now - max(blob.updated for blob in found)).total_seconds(),
                marks={blob.name: str(blob.generation) for blob in found},
            )
            for version, found in sorted(by_version.items())
        )

    def remove(self, model: str, folder: StoredFolder) -> None:
        """See `ReleaseStore.remove`."""
        manifest_key = self._key(model, folder.version, MANIFEST_NAME)
        with self._errors():
            for key in sorted(folder.marks, key=lambda key: key != manifest_key):
                with suppress(NotFound, PreconditionFailed):  # gone, or written anew since it was listed
                    self._bucket.blob(key).delete(
                        if_generation_match=int(folder.marks[key]), retry=_RETRY, timeout=_TIMEOUT_S
                    )

    def _add(self, manifest: Manifest, staged_dir: Path) -> bool:
        model, version = manifest.model, manifest.version
        with self._errors():
            folders = {folder.version: folder for folder in self.list_folders(model)}
            if version in folders and folders[version].is_release:
                return False
            for folder in folders.values():
                if not folder.is_release and folder.version != version and folder.age_s > ABANDONED_AGE_S:
                    self.remove(model, folder)
            left = folders[version].marks if version in folders else {}
            beside = _beside((staged_dir / MANIFEST_NAME).read_bytes())
            keys = {path: self._key(model, version, path) for path in manifest.files}
            keys |= {path: self._key(model, version, beside, path) for path in manifest.side_files}
            for path, key in keys.items():
                self._overwrite(key, staged_dir / path, int(left.get(key, _ABSENT)))
            return self._write(self._key(model, version, MANIFEST_NAME), staged_dir / MANIFEST_NAME, _ABSENT)

    def _overwrite(self, key: str, file: Path, generation: int) -> None:
        """Writes an object anew, over what a killed or simultaneous publish of the same content left.

        Args:
          key: of the object.
          file: its content.
          generation: that it had when it was listed.

        Raises:
          StorageError: if others write it again and again.
        """
        for _ in range(_ATTEMPTS):
            if self._write(key, file, generation):
                return
            present = self._get(key)
            generation = _ABSENT if present is None else present.generation
        raise StorageError(
            f"gs://{self._bucket.name}/{key} is being written by others, again and again",
            hint="wait for the other publishes of the same release to end, then try again",
        )

    def _write(self, key: str, file: Path, expected_generation: int) -> bool:
        """Writes an object if it is of the expected generation; False, with nothing written, if not.

        The client repeats a write whose answer was lost, and is then told that the object has changed: by this
        very write. The mark tells the two apart.
        """
        blob = self._bucket.blob(key, chunk_size=_CHUNK_BYTES)
        mark = uuid.uuid4().hex
        blob.metadata = {_WRITER: mark}
        try:
            blob.upload_from_filename(
                str(file),
                content_type=_content_type(key),
                if_generation_match=expected_generation,
                checksum="crc32c",
                retry=_RETRY,
                timeout=_TIMEOUT_S,
            )
        except PreconditionFailed:
            stored = self._get(key)
            return stored is not None and (stored.metadata or {}).get(_WRITER) == mark
        return True

    def swap_channels(self, channels: Channels, token: str | None) -> bool:
        """See `ReleaseStore.swap_channels`."""
        key = self._key(channels.model, CHANNELS_NAME)
        blob = self._bucket.blob(key)
        blob.cache_control = "no-store"  # of a public bucket, readers would otherwise be given an hour-old one
        with self._errors():
            try:
                blob.upload_from_string(
                    channels.to_json(),
                    content_type=_content_type(key),
                    if_generation_match=_ABSENT if token is None else int(token),
                    checksum="crc32c",
                    retry=_RETRY,
                    timeout=_TIMEOUT_S,
                )
            except PreconditionFailed:
                return False
        return True

    def _read_channels(self, model: str) -> Stored | None:
        key = self._key(model, CHANNELS_NAME)
        with self._errors():
            for _ in range(_ATTEMPTS):
                blob = self._bucket.blob(key)
                download = partial(blob.download_as_bytes, checksum="crc32c", retry=_RETRY, timeout=_TIMEOUT_S)
                with suppress(NotFound):
                    content = _RETRY(download)()  # again: the client does not repeat a 404 whose body is cut off
                    return Stored(content, token=str(blob.generation))
                # A generation that is replaced while it is downloaded is not found either; and neither is a bucket.
                if all(found.name != key for found in self._list(key)):
                    return None
        raise StorageError(f"{self.uri}/{model}/{CHANNELS_NAME} changes again and again", hint="try again")

    def _download(self, model: str, version: str, path: str, sink: Sink) -> bool:
        if path not in SIDE_FILES:
            return self._download_object(self._key(model, version, path), sink)
        manifest = io.BytesIO()
        return self._download_object(self._key(model, version, MANIFEST_NAME), manifest) and self._download_object(
            self._key(model, version, _beside(manifest.getvalue()), path), sink
        )

    def _download_object(self, key: str, sink: Sink) -> bool:
        with self._errors():
            try:
                self._bucket.blob(key).download_to_file(sink, checksum="crc32c", retry=_RETRY, timeout=_TIMEOUT_S)
            except NotFound:
                return False
        return True

    def _hash_files(self, model: str, version: str) -> dict[str, FileDigest]:
        root = self._key(model, version, "")
        digests = {}
        for blob in self._list(root):
            path = blob.name.removeprefix(root)
            sink = _HashSink()
            is_payload = path != MANIFEST_NAME and _BESIDE.fullmatch(path) is None
            if is_payload and self._download_object(blob.name, sink):
                digests[path] = sink.digest()
        return digests

    def _key(self, *parts: str) -> str:
        return "/".join((self._prefix, *parts) if self._prefix else parts)

    def _get(self, key: str) -> Any | None:
        return self._bucket.get_blob(key, retry=_RETRY, timeout=_TIMEOUT_S)

    def _list(self, prefix: str) -> list[Any]:
        with self._errors():
            return list(self._bucket.list_blobs(prefix=prefix, retry=_RETRY, timeout=_TIMEOUT_S))

    def _check_holds_releases(self, model: str) -> None:
        """Raises ReleaseError if an object lies below the model that is in no version's folder and not its channels."""
        root = self._key(model, "")
        for blob in self._bucket.list_blobs(prefix=root, delimiter="/", retry=_PREFLIGHT_RETRY, timeout=_TIMEOUT_S):
            name = blob.name.removeprefix(root)
            if name not in ("", CHANNELS_NAME, _PROBE_NAME):
                raise refuse_foreign(f"{self.uri}/{model}", name)

    def _ended_session(self) -> StorageError:
        return StorageError(
            f"{self.uri}: the session of an upload in parts has ended before the upload",
            hint="try again; nothing of the release is visible",
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what the client raises into a StorageError with the next step."""
        try:
            yield
        except NotFound as error:
            if _is_of_upload_session(error):
                raise self._ended_session() from error
            raise StorageError(
                f"{self.uri}: there is no such bucket",
                hint="correct release.uri, or make it: gcloud storage buckets create",
            ) from error
        except (Forbidden, Unauthorized) as error:
            raise StorageError(
                f"{self.uri}: access was refused: {error.message}",
                hint="the account needs roles/storage.objectUser on the bucket, and the bucket's project has to be the "
                "one you mean; `gcloud auth list` and `gcloud config get project` show which are used",
            ) from error
        except BadRequest as error:
            raise StorageError(
                f"{self.uri}: the bucket does not accept the request: {error.message}",
                hint="a bucket whose requester pays, or a project that is not yours, cannot hold releases",
            ) from error
        except GoogleAuthError as error:
            raise StorageError(
                f"{self.uri}: there are no usable Google Cloud credentials: {error}",
                hint="run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
            ) from error
        except TooManyRequests as error:
            raise StorageError(f"{self.uri}: the bucket asks to slow down", hint="try again in a minute") from error
        except _FAILURES as error:
            if isinstance(error, GoogleAPICallError) and error.code == http.HTTPStatus.GONE:
                raise self._ended_session() from error
            raise StorageError(f"{self.uri}: {error}", hint="check the network, then try again") from error


# What the client gives up with when its own attempts to repeat a request have failed.
_FAILURES = (
    GoogleAPIError, InvalidResponse, DataCorruption, requests.RequestException, urllib3.exceptions.HTTPError,
    http.client.HTTPException, ConnectionError,
)  # fmt: skip


def _is_of_upload_session(error: GoogleAPICallError) -> bool:
    """Whether it was not a bucket that was asked for, but an upload that was begun before."""
    request = getattr(error.response, "request", None)
    return request is not None and "upload_id=" in (request.url or "")


class _HashSink:
    """Takes a download, and keeps its digest only."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def write(self, piece: bytes) -> None:
        """Takes the next piece."""
        self._sha256.update(piece)
        self._size_bytes += len(piece)

    def digest(self) -> FileDigest:
        """Of everything that was written."""
        return FileDigest(sha256=self._sha256.hexdigest(), size_bytes=self._size_bytes)


def _beside(manifest: bytes) -> str:
    """Name of the folder of the side files that speak of a manifest."""
    return f"beside-{hashlib.sha256(manifest).hexdigest()[:12]}"


def _content_type(key: str) -> str:
    if key.endswith(".json"):
        return "application/json"
    return "text/plain; charset=utf-8" if key.endswith((".txt", ".h", ".cc")) else "application/octet-stream"
