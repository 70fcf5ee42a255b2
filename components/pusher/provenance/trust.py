"""Which keys sign and which are trusted, checked before a run's work starts."""

from pathlib import Path

from securesystemslib.signer import SSlibKey

from components.errors import ConfigError, ReleaseError
from components.pusher.manifest import Manifest
from components.pusher.options import ReleaseOptions
from components.pusher.provenance.keys import read_public_key, read_signer
from components.pusher.provenance.side_files import find_provenance_problems
from components.pusher.release_store import ReleaseStore


def check_keys(options: ReleaseOptions) -> tuple[SSlibKey, ...]:
    """The trusted keys, once the files of all keys are known to be usable.

    Raises:
      ConfigError: if a file is not what it should be, or if what this run signs would not be trusted.
    """
    trusted = tuple(read_public_key(Path(path)) for path in options.trusted_keys)
    signer = None if options.signing_key is None else read_signer(Path(options.signing_key))
    if trusted and signer is None:
        raise ConfigError(
            "release.trusted_keys asks for signed releases, and release.signing_key names no key to sign with",
            hint="pass --set release.signing_key=FILE, the private half of one of the trusted keys",
        )
    if trusted and signer is not None and signer.public_key.keyid not in {key.keyid for key in trusted}:
        raise ConfigError(
            f"release.signing_key: {options.signing_key} is not one of release.trusted_keys:"
            f" received key {signer.public_key.keyid[:12]}",
            expected=f"key {_short(trusted)}",
            hint="add its .pub to release.trusted_keys, or sign with another key",
        )
    return trusted


def check_baseline(store: ReleaseStore, manifest: Manifest, trusted: tuple[SSlibKey, ...]) -> None:
    """Refuses a baseline whose statement speaks of something else, or that none of the trusted keys signed.

    Args:
      store: where the release is.
      manifest: of the release.
      trusted: public keys; empty asks for no signature.

    Raises:
      ReleaseError: naming every problem.
    """
    problems = find_provenance_problems(store, manifest, trusted)
    if problems:
        raise ReleaseError(
            f"{store.release_uri(manifest.model, manifest.version)} cannot be trusted: " + "; ".join(problems),
            expected=f"a release that was signed by key {_short(trusted)}" if trusted else "files of one release",
            hint="to release over it all the same, leave release.trusted_keys out for one run;"
            " or release elsewhere with --set release.uri=DIR",
        )


def _short(keys: tuple[SSlibKey, ...]) -> str:
    return " or ".join(key.keyid[:12] for key in keys)
