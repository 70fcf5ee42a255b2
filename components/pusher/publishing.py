"""Publishes a staged release and puts it into the staging channel, if what lies there then can be trusted."""

from pathlib import Path

from components.errors import ReleaseError
from components.pusher.channels import Channel, Kind
from components.pusher.manifest import Manifest
from components.pusher.options import ReleaseOptions
from components.pusher.promotion import move
from components.pusher.provenance.keys import read_public_key
from components.pusher.provenance.side_files import find_provenance_problems
from components.pusher.release_store import PublishResult, ReleaseStore


def publish_to_staging(
    store: ReleaseStore, manifest: Manifest, folder: Path, options: ReleaseOptions, *, baseline: str | None, by: str
) -> PublishResult:
    """Publishes a release and moves the channel `staging` to it.

    Args:
      store: where.
      manifest: of the release.
      folder: its staged files.
      options: which keys are trusted.
      baseline: what the channel has to hold; None for nothing.
      by: for the log.

    Raises:
      ConfigError: if a trusted key cannot be used.
      ReleaseError: if the same payload was published before with a statement or a signature that is not to be
        trusted, or if the channel has moved; it is left as it is.
      StorageError: if the store refuses to be written.
    """
    published = store.publish(manifest.model, manifest.version, folder)
    _check_published(store, manifest, options)
    move(
        store,
        Channel.STAGING,
        manifest.version,
        seen=published.seen,
        expected_previous=baseline,
        kind=Kind.PUBLISH,
        by=by,
        manifest_sha256=published.manifest_sha256,
    )
    return published


def _check_published(store: ReleaseStore, manifest: Manifest, options: ReleaseOptions) -> None:
    """Looks at what lies in the store: a payload that was there before keeps the side files that it came with."""
    trusted = tuple(read_public_key(Path(path)) for path in options.trusted_keys)
    there = store.read_manifest(manifest.model, manifest.version)
    problems = find_provenance_problems(store, there, trusted)
    if problems:
        raise ReleaseError(
            f"{store.release_uri(manifest.model, manifest.version)} was published before and cannot be trusted: "
            + "; ".join(problems),
            expected="a statement about these very files, signed by one of release.trusted_keys where there are any",
            hint="staging was not moved. Release it as a new version: keep the key in a file of another name, since"
            " the config that names it is part of the version; or let `vww releases gc` remove the old one first",
        )
