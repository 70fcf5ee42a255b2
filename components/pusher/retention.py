"""Removes releases that nobody needs any more; see `components.pusher.release_store` for why that is safe."""

import hashlib
from dataclasses import dataclass

from components.errors import ReleaseError
from components.pusher.channels import Channel, Channels, Kind, new_entry_id
from components.pusher.release import MANIFEST_NAME
from components.pusher.release_store import ReleaseStore, StoredFolder

ABANDONED_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class Cleanup:
    """What can go.

    Attributes:
      channels: as they were when this was decided.
      releases: by age: the one that left its last channel first comes first.
      leftovers: what killed publishes left.
      kept: version, and why it stays.
    """

    channels: Channels
    releases: tuple[StoredFolder, ...]
    leftovers: tuple[StoredFolder, ...]
    kept: dict[str, str]


def plan_cleanup(store: ReleaseStore, model: str, keep: int) -> Cleanup:
    """Decides what can go; touches nothing.

    Args:
      store: where.
      model: whose releases.
      keep: how many releases stay in any case, those that were put into a channel last. What a channel holds, and
        what it would be rolled back to, stays too, and so does what is younger than a day and in no channel yet.
    """
    channels = store.channels(model)
    folders = store.list_folders(model)
    kept = _reasons_to_keep(channels, folders, keep)
    going = [folder for folder in folders if folder.version not in kept]
    return Cleanup(
        channels=channels,
        releases=tuple(
            sorted((folder for folder in going if folder.is_release), key=lambda folder: _order(channels, folder))
        ),
        leftovers=tuple(folder for folder in going if not folder.is_release),
        kept=kept,
    )


def _reasons_to_keep(channels: Channels, folders: tuple[StoredFolder, ...], keep: int) -> dict[str, str]:
    live = [folder for folder in folders if folder.is_release and not channels.is_removed(folder.version)]
    newest = sorted((f for f in live if channels.last_entry(f.version)), key=lambda f: _order(channels, f))[-keep:]
    reasons = {folder.version: f"one of the last {keep}" for folder in newest}
    for folder in folders:
        if folder.age_s <= ABANDONED_AGE_S and (not folder.is_release or channels.last_entry(folder.version) is None):
            reasons[folder.version] = "may be about to be published"
    for channel in Channel:
        target, held = channels.rollback_target(channel), channels.held(channel)
        reasons |= {} if target is None else {target: f"what {channel} would be rolled back to"}
        reasons |= {} if held is None else {held: f"in {channel}"}
    return reasons


def _order(channels: Channels, folder: StoredFolder) -> int:
    last = channels.last_entry(folder.version)
    return 0 if last is None else last.sequence


def clean_up(store: ReleaseStore, cleanup: Cleanup, *, by: str) -> None:
    """Removes what was planned, each release with an entry in the log before it goes.

    Raises:
      ReleaseError: if the log was changed meanwhile; what is not removed yet stays.
      StorageError: if the store refuses to be written.
    """
    seen = cleanup.channels
    for folder in cleanup.releases:
        seen = _record_removal(store, seen, folder.version, by)
        store.remove(seen.model, folder)
    for folder in cleanup.leftovers:
        store.remove(seen.model, folder)


def _record_removal(store: ReleaseStore, seen: Channels, version: str, by: str) -> Channels:
    """The log after one more entry, which was written only if nothing in the log had changed."""
    entry_id = new_entry_id()
    manifest_sha256 = hashlib.sha256(store.read_file(seen.model, version, MANIFEST_NAME)).hexdigest()
    after = seen.with_entry(Kind.REMOVE, None, version, by=by, manifest_sha256=manifest_sha256, entry_id=entry_id)
    now, token = store.read_channels(seen.model)
    if now == seen and store.swap_channels(after, token):
        return after
    now = store.channels(seen.model)
    if not now.has(entry_id):  # otherwise only the answer was lost
        raise ReleaseError(
            f"{store.uri}/{seen.model}: the log was changed by somebody else meanwhile",
            hint=f"run the command again; {version} was not removed",
        )
    return now
