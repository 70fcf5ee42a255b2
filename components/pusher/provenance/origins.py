"""From a file, wherever it ended up, back to the release, the run and the data that it came from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import ConfigError, ReleaseError
from components.options import Options
from components.pusher.manifest import CodeRecord, LabelRuleId, Manifest, RunRecord
from components.pusher.provenance.identify import Content, find_contents
from components.pusher.release import CONFIG_NAME, MANIFEST_NAME, Sha256, hash_bytes
from components.pusher.release_store import ReleaseStore
from components.pusher.stores import open_store

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_FLATBUFFER_SUFFIX = ".tflite"
_METADATA_FILE = "metadata.sqlite"


class Match(Options):
    """A file of a release, found again.

    Attributes:
      where: in what was asked about, such as `the whole file` or `at byte 4,096`.
      file: its path in the release.
      sha256: of it.
    """

    where: str
    file: str
    sha256: Sha256


class Origin(Options):
    """A release that something came from, and what that was made from.

    Attributes:
      release: its folder, or `gs://bucket/prefix/model/version`.
      model, version: its names.
      channels: that hold it now; None where the model's `channels.json` cannot be read.
      matches: which of its files were found.
      created_utc: when it was put together.
      run: the run that made it.
      metadata: that run's ML Metadata on this machine; None where it is not here.
      config: the resolved config, in the release.
      dataset_digest: of the examples.
      dataset_fingerprint: of the input files that they were read from.
      split_digest: of which image is in which split.
      label_rule: that labelled them.
      code: that ran.
      initial_weights_sha256: of the weights that training started from; None where they were random.
      ancestors: the releases that were the baselines before it, the nearest first.
      signing_key_id: of the key that signed it; None where it is not signed. `vww releases verify` checks it.
    """

    release: str
    model: str
    version: str
    channels: tuple[str, ...] | None
    matches: tuple[Match, ...]
    created_utc: str
    run: RunRecord
    metadata: str | None
    config: str
    dataset_digest: str
    dataset_fingerprint: str
    split_digest: Sha256
    label_rule: LabelRuleId
    code: CodeRecord
    initial_weights_sha256: Sha256 | None
    ancestors: tuple[str, ...]
    signing_key_id: Sha256 | None


@dataclass(frozen=True)
class _Shelved:
    """A release on its shelf: the store, its manifest, and SHA-256 by file, those beside the payload included."""

    store: ReleaseStore
    manifest: Manifest
    digests: dict[str, Sha256]


def find_origins(what: str, uris: Sequence[str], on_unreadable: Callable[[str], object]) -> tuple[Origin, ...]:
    """The releases that a file or a digest came from.

    Args:
      what: a file, or 8 to 64 digits of a SHA-256.
      uris: the release stores to look into.
      on_unreadable: told of every release and `channels.json` that cannot be read; it is passed over.

    Raises:
      ConfigError: if it is neither, or if a store's URI is none.
      ReleaseError: if no release has it.
      StorageError: if a store refuses to be read.
    """
    path = Path(what)
    is_digest = not path.exists() and _DIGEST.fullmatch(what.lower()) is not None
    content = None if is_digest else _read(path)
    shelf = [shelved for uri in uris for shelved in _take_down(open_store(uri), on_unreadable)]
    sizes = _flatbuffer_sizes(shelf)
    contents = [Content(what.lower(), "the digest")] if content is None else list(find_contents(content, sizes))
    found = [(shelved, matches) for shelved in shelf if (matches := _match(shelved, contents))]
    if not found:
        raise ReleaseError(
            f"no release has {what}, nor what is in it; releases looked into: {len(shelf)} in {', '.join(uris)}",
            hint="name other stores with --uri; a file that was changed after its release is another file",
        )
    return tuple(_origin(shelved, matches, shelf, on_unreadable) for shelved, matches in found)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            expected="a .tflite, C source, a firmware image or any file of a release, or 8 to 64 digits of a SHA-256",
        ) from error


def _take_down(store: ReleaseStore, on_unreadable: Callable[[str], object]) -> Iterator[_Shelved]:
    """Every release of a store that can be read."""
    for release in store.list_releases():
        try:
            yield _shelved(store, store.read_manifest(release.model, release.version))
        except ReleaseError as error:
            on_unreadable(error.message)


def _shelved(store: ReleaseStore, manifest: Manifest) -> _Shelved:
    payload = {path: digest.sha256 for path, digest in manifest.files.items()}
    beside = {
        name: hash_bytes(store.read_file(manifest.model, manifest.version, name)).sha256
        for name in (MANIFEST_NAME, *manifest.side_files)
    }
    return _Shelved(store, manifest, payload | beside)


def _flatbuffer_sizes(shelf: Sequence[_Shelved]) -> set[int]:
    return {
        digest.size_bytes
        for shelved in shelf
        for path, digest in shelved.manifest.files.items()
        if path.endswith(_FLATBUFFER_SUFFIX)
    }


def _match(shelved: _Shelved, contents: Sequence[Content]) -> tuple[Match, ...]:
    return tuple(
        Match(where=content.where, file=path, sha256=digest)
        for content in contents
        for path, digest in shelved.digests.items()
        if digest.startswith(content.sha256)
    )


def _channels(
    store: ReleaseStore, manifest: Manifest, on_unreadable: Callable[[str], object]
) -> tuple[str, ...] | None:
    try:
        return tuple(store.channels(manifest.model).of_version(manifest.version))
    except ReleaseError as error:
        on_unreadable(error.message)
        return None


def _origin(
    shelved: _Shelved, matches: tuple[Match, ...], shelf: Sequence[_Shelved], on_unreadable: Callable[[str], object]
) -> Origin:
    store, manifest = shelved.store, shelved.manifest
    uri = store.release_uri(manifest.model, manifest.version)
    metadata = Path(manifest.run.root) / _METADATA_FILE
    return Origin(
        release=uri,
        model=manifest.model,
        version=manifest.version,
        channels=_channels(store, manifest, on_unreadable),
        matches=matches,
        created_utc=manifest.created_utc,
        run=manifest.run,
        metadata=str(metadata) if metadata.is_file() else None,
        config=f"{uri}/{CONFIG_NAME}",
        dataset_digest=manifest.dataset.digest,
        dataset_fingerprint=manifest.dataset.fingerprint,
        split_digest=manifest.dataset.split_digest,
        label_rule=manifest.label_rule,
        code=manifest.code,
        initial_weights_sha256=manifest.initial_weights_sha256,
        ancestors=_ancestors(manifest, shelf),
        signing_key_id=manifest.signing_key_id,
    )


def _ancestors(manifest: Manifest, shelf: Sequence[_Shelved]) -> tuple[str, ...]:
    """The baselines before a release, as far back as their manifests are on the shelf."""
    known = {other.manifest.version: other.manifest for other in shelf if other.manifest.model == manifest.model}
    found: list[str] = []
    baseline = manifest.baseline
    while baseline is not None and baseline not in found:
        found.append(baseline)
        baseline = known[baseline].baseline if baseline in known else None
    return tuple(found)
