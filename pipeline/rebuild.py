"""`vww releases rebuild`: the same bytes again, or what differs."""

import sys
import tempfile
from pathlib import Path

from components.errors import ReleaseError
from components.pusher.promotion import resolve
from components.pusher.rebuilt import Rebuild, RebuildRequest
from components.pusher.stores import open_store
from pipeline.child import ask_child
from pipeline.console import RunView, print_table


def rebuild(uri: str, model: str, what: str, *, as_json: bool) -> None:
    """Fetches a release, by version or channel, makes its flatbuffers and C array again, and prints how they compare.

    Raises:
      ReleaseError: if there is no such release, if it is damaged, or if a file came out otherwise.
      ModelError: if its SavedModel cannot be converted here.
      StorageError: if there is no room for a copy of it.
    """
    store = open_store(uri)
    version = resolve(store, model, what)
    with tempfile.TemporaryDirectory() as scratch, RunView() as view:
        folder = Path(scratch) / "release"
        manifest = store.fetch(model, version, folder)
        view.start(f"{model} {version}")
        found = Rebuild.from_json(ask_child("rebuild", RebuildRequest(folder=str(folder)), view))
        view.finish(f"converted again from {manifest.calibration.count:,} calibration images")
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
    else:
        print_rebuild(model, version, found)
    check_rebuild(model, version, found)


def check_rebuild(model: str, version: str, found: Rebuild) -> None:
    """Raises ReleaseError if a file came out otherwise."""
    differing = [file.path for file in found.files if file.differences]
    if differing:
        raise ReleaseError(
            f"{model} {version} came out otherwise: {', '.join(differing)}",
            expected="the same bytes from the same SavedModel and calibration images",
            hint=_hint(found),
        )


def _hint(found: Rebuild) -> str:
    if found.other_versions:
        return "`make setup` of the release's own commit installs the versions that it was made with"
    return "the versions are the same: the processor is left; docs/slimming.md says which were tried"


def print_rebuild(model: str, version: str, found: Rebuild) -> None:
    """A row for every file, and for every package of another version."""
    print_table(
        f"{model} {version}, rebuilt",
        ["file", "flatbuffer", "verdict"],
        [
            [file.path, f"{file.released_bytes:,} bytes", "; ".join(file.differences) or "equal to the byte"]
            for file in found.files
        ],
    )
    if found.other_versions:
        print_table(
            "Other versions than when it was made",
            ["package", "released with", "here"],
            [[row.package, row.released, row.here or "not installed"] for row in found.other_versions],
        )
