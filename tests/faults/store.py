"""Publishes, promotes and fetches through a network that fails at random: `python -m tests.faults.store --rounds N`.

In every round, a release is published, put into both channels and fetched; each call is repeated until it succeeds.
After every call the bucket is looked at past the faults:

- a call that ended well has done what it says, whole;
- one that ended with an error has done that or nothing, and can be repeated;
- what was there before is untouched, and the log has one entry for each move.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY

from components.errors import StorageError
from components.pusher import gcs_store
from components.pusher.channels import Channel, Kind
from components.pusher.promotion import move
from components.pusher.release import hash_files
from components.pusher.stores import open_store
from tests.faults.emulator import start_emulator
from tests.faults.proxy import Proxy, start_proxy

# (share of requests that fail, how long the client repeats one in seconds); with 0 its caller sees every error.
NETWORKS = ((0.05, 0.0), (0.15, 10.0), (0.1, 0.0), (0.3, 10.0))
CALLS = 100  # attempts at one call, until it has to succeed


class Staged(NamedTuple):
    """A folder that is ready to be published."""

    model: str
    version: str
    folder: Path


def run_rounds(
    proxy: Proxy, emulator: str, bucket: str, releases: tuple[Staged, Staged], rounds: int, scratch: Path, seed: int
) -> Counter[str]:
    """Runs rounds; gives how many calls were made, how many failed, and what the proxy injected.

    Args:
      proxy: in front of the emulator.
      emulator: its URL.
      bucket: an empty one in it.
      releases: the first is there before each round.
      rounds: how many.
      scratch: a folder for what is fetched.
      seed: of the first round.

    Raises:
      AssertionError: if a promise was broken.
    """
    counts: Counter[str] = Counter()
    for number in range(seed, seed + rounds):
        _, patience_s = NETWORKS[number % len(NETWORKS)]
        gcs_store._RETRY = DEFAULT_RETRY.with_delay(initial=0.005, maximum=0.02).with_timeout(patience_s)
        proxy.fail(rate=0.0)
        counts += _run_round(proxy, emulator, f"gs://{bucket}/{number}", releases, number, scratch / str(number))
    proxy.fail(rate=0.0)
    return counts + proxy.counts()


def _run_round(
    proxy: Proxy, emulator: str, uri: str, releases: tuple[Staged, Staged], seed: int, folder: Path
) -> Counter[str]:
    old, new = releases
    os.environ["STORAGE_EMULATOR_HOST"] = emulator
    clean = open_store(uri)
    seen = clean.publish(*old).seen
    for channel in Channel:
        move(
            clean, channel, old.version, seen=seen, expected_previous=None, kind=Kind.PUBLISH, by="seed",
            manifest_sha256=clean.manifest_digest(old.model, old.version),
        )  # fmt: skip
    before = clean.channels(old.model)
    os.environ["STORAGE_EMULATOR_HOST"] = proxy.url
    store = open_store(uri)
    proxy.fail(seed=seed, rate=NETWORKS[seed % len(NETWORKS)][0])
    counts: Counter[str] = Counter()

    def look() -> None:
        versions = {release.version for release in clean.list_releases()}
        assert versions in ({old.version}, {old.version, new.version}), versions
        assert all(clean.verify(old.model, version) == [] for version in versions)
        channels = clean.channels(old.model)
        assert channels.log[: before.sequence] == before.log
        moved = [entry.channel for entry in channels.log[before.sequence :]]
        assert moved == list(Channel)[: len(moved)], moved

    def repeat(call: Callable[[], object]) -> None:
        last: StorageError | None = None
        for _ in range(CALLS):
            counts["calls"] += 1
            try:
                call()
            except StorageError as error:
                last = error
                counts["calls that failed"] += 1
                assert not folder.exists()
                look()
                continue
            look()
            return
        raise AssertionError(f"{CALLS} attempts at one call failed, in round {seed}") from last

    repeat(lambda: store.publish(*new))
    assert {release.version for release in clean.list_releases()} == {old.version, new.version}
    for channel in Channel:
        repeat(
            lambda channel=channel: move(
                store,
                channel,
                new.version,
                seen=before,
                expected_previous=old.version,
                kind=Kind.PROMOTE,
                by="test",
                manifest_sha256=clean.manifest_digest(new.model, new.version),
            )
        )
        assert clean.channels(old.model).held(channel) == new.version
    folder.parent.mkdir(exist_ok=True)
    repeat(lambda: store.fetch(new.model, new.version, folder))
    assert hash_files(folder) == hash_files(new.folder)
    return counts


def main() -> None:
    """Runs the rounds, and prints the counts."""
    from tests.unit.pusher.conftest import MODEL, stage_release

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        emulator = stack.enter_context(start_emulator())
        proxy = stack.enter_context(start_proxy(emulator))
        os.environ["STORAGE_EMULATOR_HOST"] = emulator
        Client(project=None).create_bucket("faults")
        old, new = (Staged(*stage_release(scratch / mark, mark, MODEL)) for mark in ("old", "new"))
        counts = run_rounds(
            proxy, emulator, "faults", (old, new), arguments.rounds, scratch / "fetched", arguments.seed
        )
    sys.stdout.write(f"{arguments.rounds} rounds, no promise broken\n")
    sys.stdout.writelines(f"{count:>7,} {name}\n" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    main()
