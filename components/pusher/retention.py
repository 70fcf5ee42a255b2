"""Removes releases that nobody needs any more; see `components.pusher.release_store` for why that is safe."""

from dataclasses import dataclass

from components.errors import ReleaseError
from components.pusher.channels import Channel, Channels, Kind, new_entry_id
from components.pusher.release_store import ABANDONED_AGE_S, ReleaseStore, StoredFolder

_Rank = tuple[int, str, str]


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
      keep: how many releases stay in any case, those that were put into a channel last. Before them come those
        that the log does not know, as in a store that was copied without it, by the time in their manifests. What a
        channel holds, and what it would be rolled back to, stays too, and so does what is younger than a day and in
        no channel yet, and what the log does not know and this vww cannot read.
    """
    channels = store.channels(model)
    folders = store.list_folders(model)
    ranks = {folder.version: _rank(store, channels, folder.version) for folder in folders if folder.is_release}
    kept = _reasons_to_keep(channels, folders, ranks, keep)
    going = [folder for folder in folders if folder.version not in kept]
    return Cleanup(
        channels=channels,
        releases=tuple(
            sorted((folder for folder in going if folder.is_release), key=lambda folder: ranks[folder.version] or ())
        ),
        leftovers=tuple(folder for folder in going if not folder.is_release),
        kept=kept,
    )


def _reasons_to_keep(
    channels: Channels, folders: tuple[StoredFolder, ...], ranks: dict[str, _Rank | None], keep: int
) -> dict[str, str]:
    live = {version: rank for version, rank in ranks.items() if rank is not None and not channels.is_removed(version)}
    reasons = dict.fromkeys(sorted(live, key=live.__getitem__)[-keep:], f"one of the last {keep}")
    reasons |= {version: "its manifest cannot be read" for version, rank in ranks.items() if rank is None}
    for folder in folders:
        if folder.age_s <= ABANDONED_AGE_S and (not folder.is_release or channels.last_entry(folder.version) is None):
            reasons[folder.version] = "may be about to be published"
    for channel in Channel:
        target, held = channels.rollback_target(channel), channels.held(channel)
        reasons |= {} if target is None else {target: f"what {channel} would be rolled back to"}
        reasons |= {} if held is None else {held: f"in {channel}"}
    return reasons


def _rank(store: ReleaseStore, channels: Channels, version: str) -> _Rank | None:
    """What orders releases by age; None for one that the log does not know and whose manifest cannot be read."""
    last = channels.last_entry(version)
    if last is not None:
        return last.sequence, "", version
    try:
        return 0, store.read_manifest(channels.model, version).created_utc, version
    except ReleaseError:
        return None


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
    manifest_sha256 = store.manifest_digest(seen.model, version)
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
