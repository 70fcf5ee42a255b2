"""Moves channels: by compare-and-swap on the one file that holds them and their log."""

from typing import TYPE_CHECKING

from components.errors import ReleaseError, StorageError
from components.pusher.channels import Channel, Channels, Kind, new_entry_id
from components.pusher.release import CHANNELS_NAME, VERSION_DIGITS, check_model, is_version
from components.pusher.release_store import ReleaseStore
from components.pusher.verification import check_release

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

_SWAP_ATTEMPTS = 20


def resolve(store: ReleaseStore, model: str, what: str) -> str:
    """The version that `what` names: itself, or what the channel of this name holds.

    Raises:
      ReleaseError: if it is neither a version's nor a channel's name, or if the channel is empty.
    """
    check_model(model)
    if is_version(what):
        return what
    if what not in list(Channel):
        raise ReleaseError(
            f"not a version name: received version={what!r}",
            expected=f"{VERSION_DIGITS} digits of 0-9 and a-f, or a channel: {', '.join(Channel)}",
        )
    held = store.channels(model).held(Channel(what))
    if held is None:
        raise ReleaseError(
            f"nothing was promoted to {what} in {store.uri}/{model}",
            hint=f"vww releases list --uri {store.uri} shows what is there",
        )
    return held


def promote(
    store: ReleaseStore,
    model: str,
    version: str,
    channel: Channel,
    *,
    by: str,
    trusted: tuple["SSlibKey", ...] = (),
) -> bool:
    """Puts a release into a channel once everything about it was looked at again.

    Args:
      store: where.
      model: whose channel.
      version: a published release.
      channel: which.
      by: for the log.
      trusted: keys of which one must have signed the release; empty asks for none.

    Returns:
      Whether it moved; False, with nothing written, if the channel holds this version already.

    Raises:
      ReleaseError: if there is no such release or anything is wrong with it, or if another promotion came first.
      StorageError: if the store refuses to be read or written.
    """
    seen = store.channels(model)
    digest = check_release(store, model, version, trusted)
    return move(
        store, channel, version, seen=seen, expected_previous=seen.held(channel), kind=Kind.PROMOTE, by=by,
        manifest_sha256=digest,
    )  # fmt: skip


def roll_back(
    store: ReleaseStore,
    model: str,
    channel: Channel,
    version: str | None,
    *,
    by: str,
    trusted: tuple["SSlibKey", ...] = (),
) -> str:
    """Puts a channel back to a version that it held before.

    Args:
      store: where.
      model: whose channel.
      channel: which.
      version: what it shall hold; None for what it held before the present version came.
      by: for the log.
      trusted: keys of which one must have signed the release; empty asks for none.

    Returns:
      The version that it holds now.

    Raises:
      ReleaseError: if there is nothing to go back to, if the channel never held that version, or if anything is
        wrong with it; or if another promotion came first.
    """
    seen = store.channels(model)
    target = seen.rollback_target(channel) if version is None else version
    past = dict.fromkeys(entry.version for entry in seen.log if entry.channel is channel)
    if target is None or target not in past:
        raise ReleaseError(
            f"{store.uri}/{model}: {channel} has nothing to go back to"
            if target is None
            else f"{store.uri}/{model}: {channel} never held {target}",
            expected=f"one of {', '.join(past)}" if past and target is not None else None,
            hint=f"vww releases log {model} --uri {store.uri} shows what it held; `vww releases promote` takes any",
        )
    digest = check_release(store, model, target, trusted)
    move(
        store, channel, target, seen=seen, expected_previous=seen.held(channel), kind=Kind.ROLLBACK, by=by,
        manifest_sha256=digest,
    )  # fmt: skip
    return target


def move(
    store: ReleaseStore,
    channel: Channel,
    version: str,
    *,
    seen: Channels,
    expected_previous: str | None,
    kind: Kind,
    by: str,
    manifest_sha256: str,
) -> bool:
    """Puts a release into a channel, if that still holds what the caller saw in it.

    Args:
      store: where.
      channel: which.
      version: a published release.
      seen: the model's channels before the caller began to publish or to verify the release.
      expected_previous: what the channel has to hold; None for nothing.
      kind: for the log.
      by: for the log.
      manifest_sha256: of the manifest that the caller verified or wrote.

    Returns:
      Whether it moved; False, with nothing written, if the channel holds this version already.

    Raises:
      ReleaseError: if there is no such release, if it was removed or its manifest replaced meanwhile, or if the
        channel has moved; it is left as it is.
      StorageError: if the store refuses to be read or written.
    """
    model, entry_id = seen.model, new_entry_id()
    for _ in range(_SWAP_ATTEMPTS):
        now, token = store.read_channels(model)
        if now.has(entry_id):  # the answer to our own write was lost
            return True
        if now.held(channel) == version:
            return False
        if now.held(channel) != expected_previous:
            raise _overtaken(store, now, channel, expected_previous)
        if now.is_removed(version, since=seen.sequence):
            raise ReleaseError(
                f"{store.uri}/{model}: {version} was removed while it was being put into {channel}",
                hint="publish it again: run the pipeline again, which reuses its finished nodes",
            )
        found = store.manifest_digest(model, version)
        if found != manifest_sha256:
            raise ReleaseError(
                f"{store.release_uri(model, version)}: the manifest was replaced since it was verified: "
                f"received sha256 {found}",
                expected=f"sha256 {manifest_sha256}",
                hint=f"nothing was moved; `vww releases verify {model} {version}` says what is wrong with it now",
            )
        moved = now.with_entry(kind, channel, version, by=by, manifest_sha256=manifest_sha256, entry_id=entry_id)
        if store.swap_channels(moved, token):
            return True
    raise StorageError(
        f"{store.uri}/{model}/{CHANNELS_NAME} was changed by others {_SWAP_ATTEMPTS} times in a row",
        hint="try again; nothing was changed",
    )


def _overtaken(store: ReleaseStore, now: Channels, channel: Channel, expected_previous: str | None) -> ReleaseError:
    return ReleaseError(
        f"{store.uri}/{now.model}: another promotion came first: received {channel}={now.held(channel)}",
        expected=f"{channel}={expected_previous}, as when this promotion started",
        hint="compare the two releases, then promote again if this one is still wanted",
    )
