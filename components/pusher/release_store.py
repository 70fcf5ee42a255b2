"""The release store: immutable, content-addressed releases and one pointer per model, in a folder or a bucket.

`components.pusher.release` draws the layout. Both back ends keep the same promises:

- A release is there whole or not at all: a folder appears by one rename, a bucket's release with its manifest,
  which is uploaded last.
- A release never changes. Publishing the same content again verifies what is there and writes nothing.
- `latest` moves by compare-and-swap: of two promotions that started from the same state, one wins.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from components.errors import ConfigError, ReleaseError
from components.pusher.durable_files import staging_folder, storage_errors, write_durably
from components.pusher.manifest import Manifest, find_problems, parse_manifest, read_manifest
from components.pusher.release import (
    MANIFEST_NAME,
    SIDE_FILES,
    FileDigest,
    check_name,
    find_differences,
    hash_bytes,
    hash_files,
    is_name,
    is_payload_path,
)

GCS_SCHEME = "gs://"


@dataclass(frozen=True)
class Release:
    """One release in a store.

    Attributes:
      model: its folder.
      version: its folder below that.
      is_latest: whether the model's pointer names it.
    """

    model: str
    version: str
    is_latest: bool


@dataclass(frozen=True)
class PublishResult:
    """Where a release is, and whether it had been there before.

    Attributes:
      uri: its folder, or `gs://bucket/prefix/model/version`.
      already_published: whether nothing had to be written.
    """

    uri: str
    already_published: bool


class ReleaseStore(ABC):
    """What every store can do; a back end adds the operations that start with an underscore.

    Attributes:
      uri: folder or `gs://bucket/prefix` that holds the models.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def release_uri(self, model: str, version: str) -> str:
        """Where a release is, or would be."""
        return f"{self.uri}/{model}/{version}"

    @abstractmethod
    def check_usable(self, model: str) -> None:
        """Finds out, before any work is done, whether a release of this model could be published.

        Raises:
          ReleaseError: if the model's folder holds something else than releases, or the store is a file.
          StorageError: if the store is not there, is full or may not be written.
        """

    def publish(self, model: str, version: str, staged_dir: Path) -> PublishResult:
        """Adds a release; `latest` stays where it is.

        Args:
          model: folder of the release.
          version: `release_version` of the payload.
          staged_dir: the payload and its `manifest.json`; it is read only.

        Raises:
          ReleaseError: if the staged files are not those of their manifest, or if a damaged or different
            release has this version; neither is touched.
          StorageError: if the store refuses to be written; nothing of the release stays visible.
        """
        manifest = _check_staged(model, version, staged_dir)
        added = self._add(manifest, staged_dir)
        if not added:
            self._check_same(manifest)
        return PublishResult(uri=self.release_uri(model, version), already_published=not added)

    def point_latest(self, model: str, version: str, expected_previous: str | None) -> None:
        """Moves `latest` to a release, if it still stands where the caller saw it.

        Args:
          model: whose pointer.
          version: a published release.
          expected_previous: what `latest(model)` said; None for a pointer that was not there.

        Raises:
          ReleaseError: if there is no such release, or if the pointer has moved; it is left as it is.
          StorageError: if the store refuses to be written.
        """
        self.read_manifest(model, version)
        if not self._swap_pointer(model, version, expected_previous):
            raise ReleaseError(
                f"{self.uri}/{model}: another promotion came first: received latest={self.latest(model)}",
                expected=f"latest={expected_previous}, as when this promotion started",
                hint="compare the two releases, then promote again if this one is still wanted",
            )

    def latest(self, model: str) -> str | None:
        """The promoted version, or None where nothing was promoted; raises ReleaseError if the pointer holds junk."""
        check_name("model", model)
        pointer = self._read_pointer(model)
        if pointer is not None and not is_name(pointer):
            raise ReleaseError(
                f"{self.uri}/{model}/latest does not hold a version: received {pointer[:80]!r}",
                expected="one version and a newline",
                hint="write the wanted version into it; `vww releases list` shows those that are there",
            )
        return pointer

    @abstractmethod
    def list_releases(self, model: str | None = None) -> tuple[Release, ...]:
        """The complete releases of one model or of all, ordered by name; empty where the store is not there yet."""

    def read_manifest(self, model: str, version: str) -> Manifest:
        """The manifest of a release; raises ReleaseError if there is no such release or it cannot be parsed."""
        text = self.read_file(model, version, MANIFEST_NAME).decode(errors="replace")
        return parse_manifest(text, f"{self.release_uri(model, version)}/{MANIFEST_NAME}")

    def read_file(self, model: str, version: str, path: str) -> bytes:
        """One file of a release, as it is stored; raises ReleaseError if it is not there."""
        check_name("model", model)
        check_name("version", version)
        if path not in (MANIFEST_NAME, *SIDE_FILES) and not is_payload_path(path):
            raise ReleaseError(f"not a path in a release: received path={path!r}")
        content = self._read(model, version, path)
        if content is None:
            raise self._missing(model, version, path)
        return content

    def verify(self, model: str, version: str) -> list[str]:
        """Hashes a release again.

        Returns:
          One sentence for every file that is missing, changed or extra, and for a manifest that cannot be
          parsed or belongs elsewhere; empty where all is well.

        Raises:
          ReleaseError: if there is no such release.
        """
        self.read_file(model, version, MANIFEST_NAME)
        try:
            manifest = self.read_manifest(model, version)
            missing = [f"{path} is missing" for path in manifest.side_files if self._read(model, version, path) is None]
            return find_problems(manifest, model, version, self._hash_files(model, version)) + missing
        except ReleaseError as error:
            return [error.message]

    def fetch(self, model: str, version: str, destination: Path) -> Manifest:
        """Copies a release into a new or empty folder, which is there whole or not at all.

        Raises:
          ReleaseError: if there is no such release, if it is damaged, or if the folder holds something.
          StorageError: if the folder cannot be written.
        """
        manifest = self.read_manifest(model, version)
        destination = destination.absolute()
        with storage_errors(destination, manifest.payload_bytes):
            if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
                raise ReleaseError(f"{destination} is there already", expected="a new or empty folder")
            destination.parent.mkdir(parents=True, exist_ok=True)
            with staging_folder(destination.parent) as staging:
                for path in (*manifest.files, *manifest.side_files, MANIFEST_NAME):
                    (staging / path).parent.mkdir(parents=True, exist_ok=True)
                    write_durably(staging / path, self._read_verified(manifest, path))
                staging.rename(destination)
        return manifest

    def _read_verified(self, manifest: Manifest, path: str) -> bytes:
        content = self.read_file(manifest.model, manifest.version, path)
        if path in manifest.files and hash_bytes(content) != manifest.files[path]:
            raise ReleaseError(
                f"{self.release_uri(manifest.model, manifest.version)}/{path} is not what the manifest says",
                hint="see `vww releases verify`; use another release, or restore this one",
            )
        return content

    def _missing(self, model: str, version: str, path: str) -> ReleaseError:
        versions = [release.version for release in self.list_releases(model)]
        if version in versions:
            return ReleaseError(f"{self.release_uri(model, version)} has no file {path}", hint="see its manifest.json")
        return ReleaseError(
            f"{self.uri} has no release {version} of {model}",
            expected=f"one of {', '.join(versions)}" if versions else None,
            hint=None if versions else "no release of this model was published there; check the model and the store",
        )

    def _check_same(self, manifest: Manifest) -> None:
        """Raises ReleaseError unless the published release of this version is whole and has the same files."""
        uri = self.release_uri(manifest.model, manifest.version)
        try:
            problems = self.verify(manifest.model, manifest.version)
        except ReleaseError:
            problems = [f"{MANIFEST_NAME} is missing"]
        if not problems:
            published = self.read_manifest(manifest.model, manifest.version)
            problems = find_differences(manifest.files, published.files)
        if problems:
            raise ReleaseError(
                f"{uri} was published before and is damaged: {_summary(problems)}",
                hint="move it away and publish again; nothing was overwritten",
            )

    @abstractmethod
    def _add(self, manifest: Manifest, staged_dir: Path) -> bool:
        """Publishes a checked folder; False, with nothing written, if something has its version already."""

    @abstractmethod
    def _swap_pointer(self, model: str, version: str, expected_previous: str | None) -> bool:
        """Points `latest` at the version if it says `expected_previous`; False, with nothing written, if not."""

    @abstractmethod
    def _read_pointer(self, model: str) -> str | None:
        """What `latest` holds, without its newline; None where it is not there."""

    @abstractmethod
    def _read(self, model: str, version: str, path: str) -> bytes | None:
        """One file's content; None where it is not there."""

    @abstractmethod
    def _hash_files(self, model: str, version: str) -> dict[str, FileDigest]:
        """Every file of a release but the manifest."""


def open_store(uri: str) -> ReleaseStore:
    """The store at a folder's path or at `gs://bucket/prefix`; touches neither disk nor network.

    Raises:
      ConfigError: if the URI is neither.
      StorageError: for a bucket, if there are no credentials.
    """
    if uri.startswith(GCS_SCHEME):
        from components.pusher.gcs_store import GcsStore  # takes a second to import

        return GcsStore(uri)
    if not uri or "://" in uri:
        raise ConfigError(
            f"not a release store: received release.uri={uri!r}", expected="a folder, or gs://bucket/prefix"
        )
    from components.pusher.local_store import LocalStore

    return LocalStore(Path(uri).expanduser())


def _check_staged(model: str, version: str, staged_dir: Path) -> Manifest:
    check_name("model", model)
    check_name("version", version)
    with storage_errors(staged_dir):
        manifest = read_manifest(staged_dir)
        problems = find_problems(manifest, model, version, hash_files(staged_dir))
        problems += [f"{path} is missing" for path in manifest.side_files if not (staged_dir / path).is_file()]
    if problems:
        raise ReleaseError(
            f"{staged_dir} cannot be published as {model}/{version}: {_summary(problems)}",
            expected="a manifest.json that describes every file beside it",
        )
    return manifest


def _summary(problems: list[str]) -> str:
    return problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
