"""`vww releases`: what it asks of a store, and how it tells the answer on stdout."""

import getpass
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from components.errors import ReleaseError
from components.features import EVAL
from components.pusher.channels import Channel, Channels
from components.pusher.manifest import Manifest
from components.pusher.promotion import promote, resolve, roll_back
from components.pusher.release_store import Release, ReleaseStore, StoredFolder
from components.pusher.retention import clean_up, plan_cleanup
from components.pusher.stores import open_store
from components.pusher.verification import find_release_problems, refuse_problems
from pipeline.console import print_table
from pipeline.headline import headline
from pipeline.numerals import show_share
from pipeline.release_diff import compare_releases, print_differences
from pipeline.show import describe_signature, print_manifest


def list_releases(uri: str, *, as_json: bool) -> None:
    """One row for every release of a store, by model, in the order in which they were put into a channel.

    Raises:
      ReleaseError: once all rows are shown, if a release or a promotions log cannot be read; naming why.
    """
    store = open_store(uri)
    releases = store.list_releases()
    problems: list[str] = []
    channels = {}
    for model in sorted({release.model for release in releases}):
        try:
            channels[model] = store.channels(model)
        except ReleaseError as error:
            problems.append(error.message)
            channels[model] = Channels(model=model)
    rows = [_row(release, store, channels[release.model]) for release in sorted(releases, key=_by_log(channels))]
    unreadable = [row["unreadable"] for row in rows if "unreadable" in row]
    if as_json:
        _print_json(rows)
    else:
        _print_rows(uri, rows)
    if unreadable:
        problems.append(f"{len(unreadable)} of {len(rows)} releases cannot be read: {'; '.join(unreadable)}")
    if problems:
        raise ReleaseError(f"{uri}: {'; '.join(problems)}", hint="the others are listed; see `vww releases verify`")


def _print_rows(uri: str, rows: list[dict[str, Any]]) -> None:
    print_table(
        f"Releases in {uri}",
        ["model", "version", "channels", "created", *_quality_columns(rows), "flatbuffer", "arena"],
        [
            [row["model"], row["version"], ", ".join(row["channels"]), "unreadable", "-", "-", "-", "-"]
            if "unreadable" in row
            else [
                row["model"],
                row["version"],
                ", ".join(row["channels"]),
                row["created_utc"],
                show_share(row.get("int8_accuracy", row.get("int8_ap"))),
                show_share(row.get("int8_auc", row.get("int8_ap50"))),
                f"{row['flatbuffer_bytes']:,}",
                f"{row['arena_bytes']:,}",
            ]
            for row in rows
        ],
    )


def _quality_columns(rows: list[dict[str, Any]]) -> list[str]:
    """A store may hold models of both tasks."""
    tasks = {"classifiers": "int8_accuracy", "detectors": "int8_ap"}
    match [task for task, key in tasks.items() if any(key in row for row in rows)]:
        case ["detectors"]:
            return ["int8 AP", "int8 AP50"]
        case ["classifiers", "detectors"]:
            return ["int8 accuracy or AP", "int8 AUC or AP50"]
        case _:
            return ["int8 accuracy", "int8 AUC"]


def _by_log(channels: dict[str, Channels]) -> Any:
    def key(release: Release) -> tuple[str, float, str]:
        last = channels[release.model].last_entry(release.version)
        return release.model, float("inf") if last is None else last.sequence, release.version

    return key


def _row(release: Release, store: ReleaseStore, channels: Channels) -> dict[str, Any]:
    row = {
        "model": release.model,
        "version": release.version,
        "channels": list(channels.of_version(release.version)),
    }
    try:
        manifest = store.read_manifest(release.model, release.version)
    except ReleaseError as error:
        return {**row, "unreadable": error.message}
    figures = headline(manifest.figures.int8_metrics[EVAL])
    return row | {
        "created_utc": manifest.created_utc,
        f"int8_{figures.name.lower()}": figures.value,
        f"int8_{figures.second_name.lower()}": figures.second,
        "flatbuffer_bytes": manifest.footprint.flatbuffer_bytes,
        "arena_bytes": manifest.footprint.arena_total_bytes,
    }


def show_release(uri: str, model: str, what: str, *, as_json: bool) -> None:
    """One release's manifest, as tables or as it is.

    Raises:
      ReleaseError: if there is no such release.
    """
    store, version, manifest = _find(uri, model, what)
    if as_json:
        sys.stdout.write(manifest.to_json())
        return
    print_manifest(manifest, store.release_uri(model, version), store.channels(model).of_version(version))


def show_log(uri: str, model: str, *, as_json: bool) -> None:
    """The promotions log of a model, oldest entry first."""
    log = open_store(uri).channels(model).log
    if as_json:
        _print_json([entry.model_dump(mode="json") for entry in log])
        return
    print_table(
        f"Promotions of {model} in {uri}",
        ["", "time", "what", "channel", "version", "before", "by"],
        [
            [
                str(entry.sequence),
                entry.utc,
                entry.kind,
                entry.channel or "-",
                entry.version,
                entry.previous or "-",
                entry.by,
            ]
            for entry in log
        ],
    )


def verify_release(uri: str, model: str, what: str, *, keys: tuple[str, ...], as_json: bool) -> None:
    """Checks everything about a release that can be checked; says so, or raises.

    Args:
      uri: the release store.
      model: folder in it.
      what: a version or a channel.
      keys: files of public keys, of which one must have signed the release; empty asks for none.
      as_json: whether the answer is JSON.

    Raises:
      ConfigError: if a key cannot be used.
      ReleaseError: naming everything that is wrong.
    """
    trusted = _read_keys(keys)
    store = open_store(uri)
    version = resolve(store, model, what)
    where, problems = store.release_uri(model, version), find_release_problems(store, model, version, trusted)
    if as_json:
        _print_json({"uri": where, "problems": problems})
    refuse_problems(where, problems)
    if as_json:
        return
    manifest = store.read_manifest(model, version)
    for line in (
        f"{len(manifest.files)} files as the manifest says",
        f"{len(manifest.gates)} gates passed",
        f"the provenance statement speaks of these files; {describe_signature(manifest, is_checked=bool(trusted))}",
        f"{len(manifest.golden.labels)} golden vectors answered as before",
    ):
        sys.stdout.write(f"{where}: {line}\n")


def promote_release(uri: str, model: str, what: str, channel: Channel, *, keys: tuple[str, ...]) -> None:
    """Puts a release into a channel, after looking at everything about it again.

    Raises:
      ReleaseError: if anything is wrong with it, or if another promotion came first.
    """
    store = open_store(uri)
    version, before = resolve(store, model, what), store.channels(model).held(channel)
    if promote(store, model, version, channel, by=_who(), trusted=_read_keys(keys)):
        sys.stdout.write(f"{model}: {channel} holds {version} now{_instead_of(before)}\n")
    else:
        sys.stdout.write(f"{model}: {channel} holds {version} already; nothing was changed\n")


def roll_back_release(uri: str, model: str, channel: Channel, version: str | None, *, keys: tuple[str, ...]) -> None:
    """Puts a channel back to what it held before.

    Raises:
      ReleaseError: if there is nothing to go back to, or if anything is wrong with it.
    """
    store = open_store(uri)
    before = store.channels(model).held(channel)
    now = roll_back(store, model, channel, version, by=_who(), trusted=_read_keys(keys))
    if now == before:
        sys.stdout.write(f"{model}: {channel} holds {now} already; nothing was changed\n")
    else:
        sys.stdout.write(f"{model}: {channel} is back to {now}{_instead_of(before)}\n")


def _instead_of(before: str | None) -> str:
    return "" if before is None else f" instead of {before}"


def fetch_release(uri: str, model: str, what: str, folder: Path, *, keys: tuple[str, ...]) -> None:
    """Copies a release into a new or empty folder, if it is whole and can be trusted.

    Args:
      uri: the release store.
      model: folder in it.
      what: a version or a channel.
      folder: where it goes.
      keys: files of public keys, of which one must have signed the release; empty asks for none.

    Raises:
      ConfigError: if a key cannot be used.
      ReleaseError: if there is no such release, or if it is damaged or not to be trusted.
      StorageError: if the folder cannot be written.
    """
    trusted = _read_keys(keys)
    store = open_store(uri)
    manifest = store.fetch(model, resolve(store, model, what), folder, trusted)
    signature = describe_signature(manifest, is_checked=bool(trusted))
    sys.stderr.write(f"{model} {manifest.version}: {len(manifest.files)} files as the manifest says; {signature}\n")
    sys.stdout.write(f"{folder}\n")


def diff_releases(uri: str, model: str, a: str, b: str, *, as_json: bool) -> None:
    """What differs between two releases of a model.

    Raises:
      ReleaseError: if one of them is not there.
    """
    store = open_store(uri)
    differences = compare_releases(store, model, resolve(store, model, a), resolve(store, model, b))
    if as_json:
        _print_json(differences.as_json())
    else:
        print_differences(differences)


def clean_up_releases(uri: str, model: str, keep: int, *, deletes: bool, as_json: bool) -> None:
    """Shows what can go, and removes it if asked to.

    Raises:
      ReleaseError: if the promotions log was changed by somebody else meanwhile.
      StorageError: if the store refuses to be written.
    """
    store = open_store(uri)
    cleanup = plan_cleanup(store, model, keep)
    if deletes:
        clean_up(store, cleanup, by=_who())
    going = (*cleanup.releases, *cleanup.leftovers)
    size_bytes = sum(folder.size_bytes for folder in going)
    if as_json:
        _print_json(
            {
                "removed" if deletes else "would_remove": [_folder(folder) for folder in going],
                "bytes": size_bytes,
                "kept": cleanup.kept,
            }
        )
        return
    verdict = "removed" if deletes else "would go"
    rows = [[version, "stays", reason, ""] for version, reason in sorted(cleanup.kept.items())]
    rows += [
        [folder.version, verdict, "" if folder.is_release else "left by a killed publish", f"{folder.size_bytes:,}"]
        for folder in going
    ]
    print_table(f"{model} in {uri}", ["version", "", "because", "bytes"], rows)
    if going and not deletes:
        sys.stderr.write(f"Nothing was removed: add --delete to free {size_bytes:,} bytes.\n")


def _folder(folder: StoredFolder) -> dict[str, Any]:
    return {"version": folder.version, "is_release": folder.is_release, "bytes": folder.size_bytes}


def _find(uri: str, model: str, what: str) -> tuple[ReleaseStore, str, Manifest]:
    store = open_store(uri)
    version = resolve(store, model, what)
    return store, version, store.read_manifest(model, version)


def _read_keys(keys: tuple[str, ...]) -> tuple[Any, ...]:
    if not keys:
        return ()
    from components.pusher.provenance.keys import read_public_key

    return tuple(read_public_key(Path(key), "--key") for key in keys)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
