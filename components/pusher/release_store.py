"""The release store: immutable, content-addressed releases and two channels per model, in a folder or a bucket.

`components.pusher.release` draws the layout. Both back ends keep the same promises:

- A release is there whole or not at all: a folder appears by one rename, a bucket's release with its manifest,
  which is uploaded last.
- A release never changes. Publishing the same content again verifies what is there and writes nothing.
- A channel moves by compare-and-swap: of two promotions that started from the same state, one wins.
- A release that is removed leaves the log first. Whoever had seen it before cannot put it into a channel any more,
  and whoever publishes it again writes every file anew, which the removal then leaves alone.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from components.errors import ReleaseError
from components.pusher.channels import Channels, parse_channels
from components.pusher.durable_files import staging_folder, storage_errors, sync_file
from components.pusher.manifest import Manifest, find_problems, parse_manifest, read_manifest
from components.pusher.release import (
    CHANNELS_NAME,
    MANIFEST_NAME,
    SIDE_FILES,
    FileDigest,
    check_model,
    check_version,
    find_differences,
    hash_bytes,
    hash_file,
    hash_files,
    is_payload_path,
)

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey


# What is in no channel, or not whole, may belong to a publish that is under way; after this long it does not.
ABANDONED_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class Release:
    """One release in a store: the model's folder, and its own below that."""

    model: str
    version: str


@dataclass(frozen=True)
class PublishResult:
    """Where a release is, and whether it had been there before.

    Attributes:
      uri: its folder, or `gs://bucket/prefix/model/version`.
      already_published: whether nothing had to be written.
      manifest_sha256: of the manifest that lies there, which is the one that was verified.
      seen: the model's channels before anything was written, for `components.pusher.promotion.move`.
    """

    uri: str
    already_published: bool
    manifest_sha256: str
    seen: Channels


@dataclass(frozen=True)
class Stored:
    """An object that can change, as it was read.

    Attributes:
      content: its bytes.
      token: stands for this state of it and no other.
    """

    content: bytes
    token: str


@dataclass(frozen=True)
class StoredFolder:
    """What lies below one version of a model, as it was when it was listed.

    Attributes:
      version: its name.
      is_release: whether its manifest is there; if not, a publish is under way or was killed.
      size_bytes: of all its files.
      age_s: how long ago the last of it was written, by the store's own clock.
      marks: of every file, what tells it from one that is written later under the same name.
    """

    version: str
    is_release: bool
    size_bytes: int
    age_s: float
    marks: Mapping[str, str]


class Sink(Protocol):
    """What takes a file's content, piece by piece."""

    def write(self, piece: bytes, /) -> object:
        """Takes the next piece."""


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
        """Adds a release, which is then in no channel.

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
        seen = self.channels(model)
        added = self._add(manifest, staged_dir)
        digest = hash_file(staged_dir / MANIFEST_NAME).sha256 if added else self._check_same(manifest)
        return PublishResult(
            uri=self.release_uri(model, version), already_published=not added, manifest_sha256=digest, seen=seen
        )

    def channels(self, model: str) -> Channels:
        """The model's channels and their log; raises ReleaseError if what is stored there is no such thing."""
        return self.read_channels(model)[0]

    def read_channels(self, model: str) -> tuple[Channels, str | None]:
        """The same, and the token of this state of them for `swap_channels`; None where there is no file yet."""
        check_model(model)
        stored = self._read_channels(model)
        if stored is None:
            return Channels(model=model), None
        text = stored.content.decode(errors="replace")
        return parse_channels(text, model, f"{self.uri}/{model}/{CHANNELS_NAME}"), stored.token

    @abstractmethod
    def swap_channels(self, channels: Channels, token: str | None) -> bool:
        """Writes the channels of a model if they are in the state that a token stands for; False if not.

        A bucket may say False about its own write, if the answer to it was lost.
        """

    @abstractmethod
    def list_folders(self, model: str) -> tuple[StoredFolder, ...]:
        """Everything that lies below the versions of a model, ordered by name."""

    @abstractmethod
    def remove(self, model: str, folder: StoredFolder) -> None:
        """Deletes what was listed, its manifest first, and nothing that was written since."""

    @abstractmethod
    def list_releases(self, model: str | None = None) -> tuple[Release, ...]:
        """The complete releases of one model or of all, ordered by name; empty where the store is not there yet."""

    def read_manifest(self, model: str, version: str) -> Manifest:
        """The manifest of a release; raises ReleaseError if there is no such release or it cannot be parsed."""
        text = self.read_file(model, version, MANIFEST_NAME).decode(errors="replace")
        return parse_manifest(text, f"{self.release_uri(model, version)}/{MANIFEST_NAME}")

    def manifest_digest(self, model: str, version: str) -> str:
        """SHA-256 of a release's manifest, in hex; raises ReleaseError if there is no such release."""
        return hash_bytes(self.read_file(model, version, MANIFEST_NAME)).sha256

    def read_file(self, model: str, version: str, path: str) -> bytes:
        """One file of a release, as it is stored; raises ReleaseError if it is not there."""
        content = io.BytesIO()
        self._copy(model, version, path, content)
        return content.getvalue()

    def _copy(self, model: str, version: str, path: str, sink: Sink) -> None:
        check_model(model)
        check_version(version)
        if path not in (MANIFEST_NAME, *SIDE_FILES) and not is_payload_path(path):
            raise ReleaseError(f"not a path in a release: received path={path!r}")
        if not self._download(model, version, path, sink):
            raise self._missing(model, version, path)

    def verify(self, model: str, version: str) -> list[str]:
        """Hashes a release again.

        Returns:
          One sentence for every file that is missing, changed or extra, and for a manifest that cannot be
          parsed, belongs elsewhere, or is not the one that the promotions log speaks of; empty where all is well.

        Raises:
          ReleaseError: if there is no such release.
        """
        content = self.read_file(model, version, MANIFEST_NAME)
        problems = []
        for look in (self._find_log_problems, self._find_file_problems):
            try:
                problems += look(model, version, content)
            except ReleaseError as error:
                problems.append(error.message)
        return problems

    def _find_log_problems(self, model: str, version: str, manifest: bytes) -> list[str]:
        channels = self.channels(model)
        logged, found = channels.manifest_sha256(version), hash_bytes(manifest).sha256
        if channels.is_removed(version):
            return ["the promotions log says that it is being removed"]
        if logged not in (None, found):
            return [f"{MANIFEST_NAME} has sha256 {found} instead of the promotions log's {logged}"]
        return []

    def _find_file_problems(self, model: str, version: str, manifest: bytes) -> list[str]:
        source = f"{self.release_uri(model, version)}/{MANIFEST_NAME}"
        parsed = parse_manifest(manifest.decode(errors="replace"), source)
        problems = find_problems(parsed, model, version, self._hash_files(model, version))
        present = [path for path in parsed.side_files if self._download(model, version, path, io.BytesIO())]
        return problems + [f"{path} is missing" for path in parsed.side_files if path not in present]

    def fetch(self, model: str, version: str, destination: Path, trusted: tuple["SSlibKey", ...] = ()) -> Manifest:
        """Copies a release into a new or empty folder, which is there whole or not at all.

        Args:
          model: its folder.
          version: its folder below that.
          destination: where it goes.
          trusted: keys of which one must have signed it; empty asks for none.

        Raises:
          ReleaseError: if there is no such release, if the folder holds something, or if what was fetched is
            damaged, is not what the promotions log speaks of, or was not signed by a trusted key.
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
                    with (staging / path).open("xb") as file:
                        self._copy(model, version, path, file)
                        sync_file(file)
                self._check_fetched(manifest, staging, trusted)
                staging.rename(destination)
        return manifest

    def _check_fetched(self, manifest: Manifest, folder: Path, trusted: tuple["SSlibKey", ...]) -> None:
        from components.pusher.provenance.side_files import find_side_file_problems

        problems = find_differences(manifest.files, hash_files(folder))
        if read_manifest(folder) != manifest:
            problems.append(f"{MANIFEST_NAME} was replaced meanwhile")
        manifest_bytes = (folder / MANIFEST_NAME).read_bytes()
        problems += self._find_log_problems(manifest.model, manifest.version, manifest_bytes)
        uri = self.release_uri(manifest.model, manifest.version)
        if problems:
            raise ReleaseError(
                f"{uri} is damaged: {_summary(problems)}",
                hint="see `vww releases verify`; use another release, or restore this one",
            )
        problems = find_side_file_problems(lambda path: (folder / path).read_bytes(), manifest, trusted)
        if problems:
            raise ReleaseError(
                f"{uri} cannot be trusted: {_summary(problems)}",
                hint="nothing was fetched; see `vww releases verify`, or use another release",
            )

    def _missing(self, model: str, version: str, path: str) -> ReleaseError:
        versions = [release.version for release in self.list_releases(model)]
        if version in versions:
            return ReleaseError(f"{self.release_uri(model, version)} has no file {path}", hint="see its manifest.json")
        return ReleaseError(
            f"{self.uri} has no release {version} of {model}",
            expected=f"one of {', '.join(versions)}" if versions else None,
            hint=None if versions else "no release of this model was published there; check the model and the store",
        )

    def _check_same(self, manifest: Manifest) -> str:
        """The digest of the published manifest; raises ReleaseError unless that release is whole and the same."""
        uri = self.release_uri(manifest.model, manifest.version)
        digest = ""
        try:
            digest = self.manifest_digest(manifest.model, manifest.version)
            problems = self.verify(manifest.model, manifest.version)
        except ReleaseError:
            problems = [f"{MANIFEST_NAME} is missing"]
        if not problems:
            published = self.read_manifest(manifest.model, manifest.version)
            problems = find_differences(manifest.files, published.files)
        if problems:
            raise ReleaseError(
                f"{uri} was published before and is damaged: {_summary(problems)}",
                hint="nothing was overwritten; move it away, or let `vww releases gc` finish what it removes, then "
                "publish again",
            )
        return digest

    @abstractmethod
    def _add(self, manifest: Manifest, staged_dir: Path) -> bool:
        """Publishes a checked folder; False, with nothing written, if there is a release of its version."""

    @abstractmethod
    def _read_channels(self, model: str) -> Stored | None:
        """The content of `channels.json`; None where it is not there."""

    @abstractmethod
    def _download(self, model: str, version: str, path: str, sink: Sink) -> bool:
        """Writes one file's content into a sink; False where it is not there."""

    @abstractmethod
    def _hash_files(self, model: str, version: str) -> dict[str, FileDigest]:
        """Every file of a release's payload."""


def refuse_foreign(uri: str, name: str) -> ReleaseError:
    """What to say of a model's folder at `uri` that holds something by a name that no store writes."""
    if name == "latest":
        return ReleaseError(
            f"{uri} was laid out by an older vww: it has `latest`, and no {CHANNELS_NAME}",
            expected=f"{CHANNELS_NAME}, or a model that nothing was released of",
            hint="set release.uri to another place, or move that folder away; its releases can be made again, not read",
        )
    return ReleaseError(
        f"{uri} holds something else than releases, for example {name}",
        expected=f"nothing, or folders with a {MANIFEST_NAME}",
        hint="set release.uri to another place, or move it away",
    )


def _check_staged(model: str, version: str, staged_dir: Path) -> Manifest:
    check_model(model)
    check_version(version)
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
