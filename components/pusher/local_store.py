"""A release store in a folder.

    <root>/<model>/
    ├── .lock               held by the one process that writes here
    ├── .staging-<random>   what it is writing; without a holder of the lock, what a killed process left
    ├── latest
    └── <version>/          files of mode 0444

Whoever takes the lock removes every `.staging-*` first: its owner held the lock, so it is gone.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import ReleaseError
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
from components.pusher.release import LATEST_NAME, MANIFEST_NAME, FileDigest, check_name, hash_files, is_name
from components.pusher.release_store import Release, ReleaseStore

_LOCK_NAME = ".lock"
_PROBE_BYTES = 4096


class LocalStore(ReleaseStore):
    """Releases below one folder, which is made when the first of them is published."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self._root = root

    def check_usable(self, model: str) -> None:
        """See `ReleaseStore.check_usable`; leaves no trace."""
        check_name("model", model)
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
            check_name("model", model)
        with storage_errors(self._root):
            models = [model] if model is not None else _folder_names(self._root)
            return tuple(release for name in models for release in self._releases_of(name))

    def _releases_of(self, model: str) -> Iterator[Release]:
        latest = self._read_pointer(model)
        for version in _folder_names(self._root / model):
            if (self._root / model / version / MANIFEST_NAME).is_file():
                yield Release(model, version, is_latest=version == latest)

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

    def _swap_pointer(self, model: str, version: str, expected_previous: str | None) -> bool:
        pointer = self._root / model / LATEST_NAME
        with storage_errors(pointer, len(version) + 1), self._locked(model):
            if self._read_pointer(model) != expected_previous:
                return False
            replace_durably(pointer, f"{version}\n".encode())
        return True

    def _read_pointer(self, model: str) -> str | None:
        with storage_errors(self._root / model / LATEST_NAME):
            try:
                text = (self._root / model / LATEST_NAME).read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                return None
        return text.removesuffix("\n")

    def _read(self, model: str, version: str, path: str) -> bytes | None:
        file = self._root / model / version / path
        with storage_errors(file):
            return file.read_bytes() if file.is_file() else None

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
    """Names of the folders in a folder that can be a model's or a version's; empty where it is not there."""
    if not folder.exists():
        return []
    return sorted(entry.name for entry in folder.iterdir() if is_name(entry.name) and entry.is_dir())


def _folders_of(root: Path, paths: tuple[str, ...]) -> set[Path]:
    """The root and every folder below it that one of the relative paths goes through."""
    return {root / parent for path in paths for parent in Path(path).parents}


def _check_holds_releases(folder: Path) -> None:
    """Raises ReleaseError if a model's folder holds anything that no store wrote."""
    for entry in sorted(folder.iterdir()):
        ours = entry.name in (LATEST_NAME, _LOCK_NAME) or entry.name.startswith(STAGING_PREFIX)
        if not ours and not (entry / MANIFEST_NAME).is_file():
            raise ReleaseError(
                f"{folder} holds something else than releases, for example {entry.name}",
                expected=f"nothing, or folders with a {MANIFEST_NAME}",
                hint="set release.uri to another place, or move those files away",
            )
