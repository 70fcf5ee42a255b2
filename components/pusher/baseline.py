"""The baseline: what staging holds before a run releases something new."""

from typing import TYPE_CHECKING

from components.pusher.channels import Channel
from components.pusher.release_store import ReleaseStore

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey


def find_baseline(store: ReleaseStore, model: str, trusted: "tuple[SSlibKey, ...]") -> str | None:
    """The version that staging holds, in a store that can be used; None where nothing was released.

    Args:
      store: where releases are.
      model: its folder there.
      trusted: public keys, of which one must have signed it; empty asks for no signature.

    Raises:
      ReleaseError: if something else than releases is there, or a baseline that no trusted key signed.
      StorageError: if the store cannot be written.
    """
    store.check_usable(model)
    version = store.channels(model).held(Channel.STAGING)
    if trusted and version is not None:
        from components.pusher.provenance.trust import check_baseline  # takes two seconds

        check_baseline(store, store.read_manifest(model, version), trusted)
    return version
