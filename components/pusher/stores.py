"""Opens a release store by its URI."""

from pathlib import Path

from components.errors import ConfigError
from components.pusher.local_store import LocalStore
from components.pusher.release_store import ReleaseStore

GCS_SCHEME = "gs://"


def open_store(uri: str) -> ReleaseStore:
    """The store at a folder's path or at `gs://bucket/prefix`; touches neither disk nor network.

    Raises:
      ConfigError: if the URI is neither.
      StorageError: for a bucket, if there are no credentials.
    """
    if uri.startswith(GCS_SCHEME):
        from components.pusher.gcs_store import GcsStore  # takes a second to import

        bucket, _, prefix = uri.removeprefix(GCS_SCHEME).partition("/")
        return GcsStore(bucket, prefix)
    if not uri or "://" in uri:
        raise ConfigError(
            f"not a release store: received release.uri={uri!r}", expected="a folder, or gs://bucket/prefix"
        )
    return LocalStore(Path(uri).expanduser())
