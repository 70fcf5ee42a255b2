"""A release store in a folder.

    <root>/<model>/
    ├── .lock               held by the one process that writes here
    ├── .staging-<random>   what it is writing; without a holder of the lock, what a killed process left
    ├── channels.json
    └── <version>/          files of mode 0444

Whoever takes the lock removes every `.staging-*` first: its owner held the lock, so it is gone.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import ReleaseError
from components.pusher.channels import Channels
from components.pusher.durable_files import (
    STAGING_PREFIX,
    copy_read_only,
    exclusive_lock,
    nearest_existing,
    remove_staging,
    replace_durably,
    staging_folder,
    storage_errors,
    sync_folder,
)
from components.pusher.manifest import Manifest
from components.pusher.release import (
    CHANNELS_NAME,
    MANIFEST_NAME,
    FileDigest,
    check_model,
    hash_files,
    is_model,
    is_version,
)
from components.pusher.release_store import Release, ReleaseStore, Sink, Stored, StoredFolder, refuse_foreign

_LOCK_NAME = ".lock"
_PROBE_BYTES = 4096
_CHUNK_BYTES = 1 << 20


class LocalStore(ReleaseStore):
    """Releases below one folder, which is made when the first of them is published."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self._root = root

    def check_usable(self, model: str) -> None:
        """See `ReleaseStore.check_usable`; leaves no trace."""
        check_model(model)
        folder = self._root / model
        with storage_errors(folder, _PROBE_BYTES):
            existing = nearest_existing(folder)
            if not existing.is_dir():
                raise ReleaseError(
                    f"{existing} is a file: received release.uri={self.uri}",
                    expected="a folder, or a path where one can be made",
                )
            if existing == folder:
                _check_holds_releases(folder)
            # TemporaryFile has no name on Linux, so that even a kill leaves nothing behind.
            with tempfile.TemporaryFile(dir=existing) as probe:
                probe.write(bytes(_PROBE_BYTES))

    def list_releases(self, model: str | None = None) -> tuple[Release, ...]:
        """See `ReleaseStore.list_releases`."""
        if model is not None:
            check_model(model)
        with storage_errors(self._root):
            models = [model] if model is not None else [name for name in _folder_names(self._root) if is_model(name)]
            return tuple(
                Release(name, version)
                for name in models
                for version in _folder_names(self._root / name)
                if is_version(version) and (self._root / name / version / MANIFEST_NAME).is_file()
            )

    def list_folders(self, model: str) -> tuple[StoredFolder, ...]:
        """See `ReleaseStore.list_folders`; what is not whole has another name here, and is swept by the next writer."""
        releases = [self._root / model / release.version for release in self.list_releases(model)]
        with storage_errors(self._root / model):
            now = _file_system_time(self._root / model) if releases else 0.0
            written = {folder: (folder / MANIFEST_NAME).stat().st_mtime for folder in releases}
            return tuple(
                StoredFolder(
                    version=folder.name,
                    is_release=True,
                    size_bytes=sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()),
                    age_s=now - written[folder],
                    marks={"": _mark(folder)},
                )
                for folder in releases
            )

    def remove(self, model: str, folder: StoredFolder) -> None:
        """See `ReleaseStore.remove`; the folder goes by one rename."""
        target = self._root / model / folder.version
        with storage_errors(target), self._locked(model) as parent:
            if target.exists() and _mark(target) == folder.marks[""]:
                with staging_folder(parent) as staging:
                    target.rename(staging / target.name)
                sync_folder(parent)

    def _add(self, manifest: Manifest, staged_dir: Path) -> bool:
        target = self._root / manifest.model / manifest.version
        paths = (*manifest.files, *manifest.side_files, MANIFEST_NAME)
        with storage_errors(target, manifest.payload_bytes), self._locked(manifest.model) as folder:
            if target.exists():
                return False
            with staging_folder(folder) as staging:
                for path in paths:
                    (staging / path).parent.mkdir(parents=True, exist_ok=True)
                    copy_read_only(staged_dir / path, staging / path)
                for parent in _folders_of(staging, paths):
                    sync_folder(parent)
                staging.rename(target)
            sync_folder(folder)
        return True

    def swap_channels(self, channels: Channels, token: str | None) -> bool:
        """See `ReleaseStore.swap_channels`."""
        file = self._root / channels.model / CHANNELS_NAME
        content = channels.to_json().encode()
        with storage_errors(file, len(content)), self._locked(channels.model):
            stored = self._read_channels(channels.model)
            if (None if stored is None else stored.token) != token:
                return False
            replace_durably(file, content)
        return True

    def _read_channels(self, model: str) -> Stored | None:
        file = self._root / model / CHANNELS_NAME
        with storage_errors(file):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                return None
        return Stored(content, token=hashlib.sha256(content).hexdigest())

    def _download(self, model: str, version: str, path: str, sink: Sink) -> bool:
        file = self._root / model / version / path
        if not file.is_file():
            return False
        for chunk in _read_chunks(file):
            sink.write(chunk)
        return True

    def _hash_files(self, model: str, version: str) -> dict[str, FileDigest]:
        folder = self._root / model / version
        with storage_errors(folder):
            return hash_files(folder)

    @contextmanager
    def _locked(self, model: str) -> Iterator[Path]:
        """The model's folder, made if need be, with nobody else writing in it."""
        folder = self._root / model
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        with exclusive_lock(folder / _LOCK_NAME):
            remove_staging(folder)
            yield folder


def _folder_names(folder: Path) -> list[str]:
    """Names of the folders in a folder; empty where it is not there."""
    if not folder.exists():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _read_chunks(file: Path) -> Iterator[bytes]:
    with storage_errors(file), file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


def _file_system_time(folder: Path) -> float:
    """Now, in seconds, by the clock that dates the files here: on a network share, its server's."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"now")
        probe.flush()
        return os.fstat(probe.fileno()).st_mtime


def _mark(folder: Path) -> str:
    """Tells a folder from another that is put in its place; inode numbers alone are used again."""
    status = folder.stat()
    return f"{status.st_ino}-{status.st_ctime_ns}"


def _folders_of(root: Path, paths: tuple[str, ...]) -> set[Path]:
    """The root and every folder below it that one of the relative paths goes through."""
    return {root / parent for path in paths for parent in Path(path).parents}


def _check_holds_releases(folder: Path) -> None:
    """Raises ReleaseError if a model's folder holds anything that no store wrote."""
    for entry in sorted(folder.iterdir()):
        ours = entry.name in (CHANNELS_NAME, _LOCK_NAME) or entry.name.startswith(STAGING_PREFIX)
        if not ours and not (entry / MANIFEST_NAME).is_file():
            raise refuse_foreign(str(folder), entry.name)
