"""A release wherever it lies: in its folder, or in a store, as a folder to read from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from components.errors import ReleaseError
from components.options import Options
from components.pusher.channels import Channel
from components.pusher.manifest import Manifest, read_manifest
from components.pusher.promotion import resolve
from components.pusher.release import CHANNELS_NAME, MANIFEST_NAME, find_differences, hash_files
from components.pusher.stores import GCS_SCHEME, open_store


class StoredRelease(Options):
    """A release in a store.

    Attributes:
      uri: the release store.
      model: the folder in it.
      version: of the release.
    """

    uri: str
    model: str
    version: str


def is_release_folder(what: str) -> bool:
    """Whether it is a release's folder, local or `gs://`, or in place of its version the name of a channel."""
    path = Path(what)
    is_channel = path.name in list(Channel) and (path.parent / CHANNELS_NAME).exists()
    return what.startswith(GCS_SCHEME) or (path / MANIFEST_NAME).exists() or is_channel


def find_release(what: str, uri: str) -> StoredRelease | str:
    """Where a release lies: in a store, or in a local folder, be it that of a store or one that was fetched.

    Args:
      what: a folder that `is_release_folder`; or `MODEL`, `MODEL/VERSION` or `MODEL/CHANNEL` of the store.
      uri: the release store.

    Raises:
      ReleaseError: if there is no such release.
      ConfigError: if `uri` is no release store.
    """
    path = Path(what)
    if (path / MANIFEST_NAME).exists():
        return what
    if what.startswith(GCS_SCHEME):
        uri, model, version = what.rstrip("/").rsplit("/", 2)
    elif is_release_folder(what):
        uri, model, version = str(path.absolute().parents[1]), path.absolute().parent.name, path.name
    else:
        model, _, version = what.partition("/")
    store = open_store(uri)
    version = resolve(store, model, version or Channel.STAGING)
    store.read_manifest(model, version)  # that there is one is worth knowing before anything starts
    return StoredRelease(uri=uri, model=model, version=version)


@contextmanager
def release_folder(release: StoredRelease | str) -> Iterator[tuple[Path, Manifest]]:
    """The folder of a release, all of whose files are as its manifest says, and the manifest.

    Raises:
      ReleaseError: if it is damaged, or not there any more.
      StorageError: if there is no room to fetch it.
    """
    if isinstance(release, StoredRelease):
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "release"
            manifest = open_store(release.uri).fetch(release.model, release.version, folder)
            yield folder, manifest
        return
    folder = Path(release)
    manifest = read_manifest(folder)
    if problems := find_differences(manifest.files, hash_files(folder)):
        raise ReleaseError(f"{folder} is damaged: {'; '.join(problems)}", hint="fetch it again")
    yield folder, manifest
