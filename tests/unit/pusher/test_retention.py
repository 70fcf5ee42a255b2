"""What gc takes, what it leaves, and that nothing half-removed can be promoted."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.cloud.storage import Blob, Client

from components.errors import ReleaseError
from components.pusher import gcs_store, retention
from components.pusher.channels import Channel, Kind
from components.pusher.manifest import read_manifest
from components.pusher.promotion import move, promote, roll_back
from components.pusher.release import MANIFEST_NAME
from components.pusher.retention import clean_up, plan_cleanup
from components.pusher.stores import open_store

MODEL = "person_detect"


@pytest.fixture
def in_turn(store, stage, put):
    """Publishes and stages releases, one after the other."""

    def publish(*marks):
        releases, before = [stage(mark) for mark in marks], None
        for staged in releases:
            store.publish(*staged)
            put(store, staged, before=before)
            before = staged.version
        return releases

    return publish


def versions(store):
    return {release.version for release in store.list_releases(MODEL)}


def test_plan_cleanup_keeps_the_newest_what_channels_hold_and_what_they_would_go_back_to(store, in_turn, put):
    one, two, three, four, five, six = in_turn("1", "2", "3", "4", "5", "6")
    put(store, two, Channel.PRODUCTION)
    put(store, one, Channel.PRODUCTION, before=two.version)
    cleanup = plan_cleanup(store, MODEL, keep=1)
    assert [folder.version for folder in cleanup.releases] == [three.version, four.version]
    assert cleanup.kept == {
        six.version: "in staging",
        five.version: "what staging would be rolled back to",
        one.version: "in production",
        two.version: "what production would be rolled back to",
    }
    assert len(versions(store)) == 6
    assert [folder.version for folder in plan_cleanup(store, MODEL, keep=5).releases] == [three.version]


def test_clean_up_removes_the_files_and_says_so_in_the_log(store, in_turn):
    one, two, three = in_turn("1", "2", "3")
    clean_up(store, plan_cleanup(store, MODEL, keep=1), by="somebody@somewhere")
    assert versions(store) == {two.version, three.version}
    assert store.list_folders(MODEL)[0].version != one.version
    entry = store.channels(MODEL).log[-1]
    assert (entry.kind, entry.channel, entry.version, entry.by) == (
        Kind.REMOVE, None, one.version, "somebody@somewhere",
    )  # fmt: skip
    assert store.verify(MODEL, two.version) == store.verify(MODEL, three.version) == []
    roll_back(store, MODEL, Channel.STAGING, None, by="test")
    with pytest.raises(ReleaseError, match="nothing to go back to"):
        roll_back(store, MODEL, Channel.STAGING, None, by="test")


def test_clean_up_that_was_overtaken_by_a_promotion_removes_nothing(store, in_turn):
    one, _, _ = in_turn("1", "2", "3")
    cleanup = plan_cleanup(store, MODEL, keep=1)
    promote(store, MODEL, one.version, Channel.PRODUCTION, by="test")
    with pytest.raises(ReleaseError, match="the log was changed by somebody else meanwhile"):
        clean_up(store, cleanup, by="test")
    assert len(versions(store)) == 3
    assert store.verify(MODEL, one.version) == []


def test_promotion_that_was_overtaken_by_a_clean_up_is_refused(store, in_turn):
    one, _, three = in_turn("1", "2", "3")
    seen = store.channels(MODEL)
    clean_up(store, plan_cleanup(store, MODEL, keep=1), by="test")
    with pytest.raises(ReleaseError, match=f"{one.version} was removed while it was being put into staging"):
        move(
            store, Channel.STAGING, one.version, seen=seen, expected_previous=three.version, kind=Kind.PROMOTE, by="t",
            manifest_sha256="0" * 64,
        )  # fmt: skip


def test_removed_release_that_is_still_there_cannot_be_promoted_and_goes_next_time(store, in_turn, monkeypatch):
    one, _, _ = in_turn("1", "2", "3")
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "remove", lambda *_: None)
        clean_up(store, plan_cleanup(store, MODEL, keep=1), by="killed here")
    assert one.version in versions(store)
    for work in (
        lambda: promote(store, MODEL, one.version, Channel.PRODUCTION, by="test"),
        lambda: store.publish(*one),
    ):
        with pytest.raises(ReleaseError, match="the promotions log says that it is being removed"):
            work()
    clean_up(store, plan_cleanup(store, MODEL, keep=1), by="test")
    assert one.version not in versions(store)
    assert not store.publish(*one).already_published


@pytest.fixture
def strict_store(request, stage, put):
    """A bucket behind the proxy, which keeps the preconditions that the emulator ignores."""
    uri = request.getfixturevalue("bucket_uri")
    request.getfixturevalue("proxy")
    return open_store(uri)


def test_remove_leaves_what_was_written_since_it_was_listed(strict_store, stage, put):
    one, two = stage("one"), stage("two")
    for staged in (one, two):
        strict_store.publish(*staged)
    put(strict_store, two)
    (listed, _) = sorted(strict_store.list_folders(MODEL), key=lambda folder: folder.version != one.version)
    strict_store.remove(MODEL, listed)
    assert versions(strict_store) == {two.version}
    strict_store.publish(*one)
    strict_store.remove(MODEL, listed)
    assert strict_store.verify(MODEL, one.version) == []


def test_publish_after_a_half_done_removal_keeps_its_files_from_the_rest_of_it(strict_store, stage):
    one = stage("one")
    strict_store.publish(*one)
    (listed,) = strict_store.list_folders(MODEL)
    Blob.from_uri(f"{strict_store.uri}/{MODEL}/{one.version}/{MANIFEST_NAME}", client=Client(project=None)).delete()
    strict_store.publish(*one)
    strict_store.remove(MODEL, listed)
    assert strict_store.verify(MODEL, one.version) == []


def test_leftovers_are_swept_by_any_publish_once_they_are_a_day_old(strict_store, stage, put, monkeypatch):
    half = f"{strict_store.uri}/{MODEL}/0123456789ab/labels.txt"
    Blob.from_uri(half, client=Client(project=None)).upload_from_string(b"half a release")
    strict_store.publish(*stage("one"))
    (leftover,) = [folder for folder in strict_store.list_folders(MODEL) if not folder.is_release]
    assert leftover.version == "0123456789ab"
    assert plan_cleanup(strict_store, MODEL, keep=1).kept[leftover.version] == "may be about to be published"
    for module in (gcs_store, retention):
        monkeypatch.setattr(module, "ABANDONED_AGE_S", -1.0)
    assert [f.version for f in plan_cleanup(strict_store, MODEL, keep=1).leftovers] == [leftover.version]
    strict_store.publish(*stage("two"))
    assert all(folder.is_release for folder in strict_store.list_folders(MODEL))


def test_age_of_the_youngest_leftover_grows_by_the_buckets_clock(strict_store):
    half = f"{strict_store.uri}/{MODEL}/0123456789ab/labels.txt"
    Blob.from_uri(half, client=Client(project=None)).upload_from_string(b"half a release")
    first, second = (strict_store.list_folders(MODEL)[0].age_s for _ in range(2))
    assert 0 < first < second < 60
    assert [folder.version for folder in strict_store.list_folders(MODEL)] == ["0123456789ab"]


def test_releases_that_no_log_knows_stay_by_the_time_in_their_manifests(memory_path, stage):
    store = open_store(str(memory_path / "releases"))
    by_time = []
    for hour in (2, 0, 1):
        staged = stage(str(hour))
        manifest = read_manifest(staged.folder).model_copy(update={"created_utc": f"2026-11-22T0{hour}:00:00Z"})
        (staged.folder / MANIFEST_NAME).write_text(manifest.to_json())
        store.publish(*staged)
        make_old(store, staged.version)
        by_time.append((hour, staged.version))
    newest, middle, oldest = (version for _, version in sorted(by_time, reverse=True))
    cleanup = plan_cleanup(store, MODEL, keep=2)
    assert [folder.version for folder in cleanup.releases] == [oldest]
    assert cleanup.kept == {newest: "one of the last 2", middle: "one of the last 2"}
    manifest = Path(store.release_uri(MODEL, oldest)) / MANIFEST_NAME
    manifest.chmod(0o644)
    manifest.write_text("{}")
    make_old(store, oldest)
    assert plan_cleanup(store, MODEL, keep=2).kept[oldest] == "its manifest cannot be read"


def make_old(store, version):
    yesterday = (datetime.now(UTC) - timedelta(days=1, minutes=1)).timestamp()
    os.utime(Path(store.release_uri(MODEL, version)) / MANIFEST_NAME, (yesterday, yesterday))


def test_release_in_no_channel_stays_for_a_day_by_the_stores_own_clock(memory_path, stage, put):
    store = open_store(str(memory_path / "releases"))
    one, two = stage("one"), stage("two")
    for staged in (one, two):
        store.publish(*staged)
    put(store, two)
    assert plan_cleanup(store, MODEL, keep=1).kept[one.version] == "may be about to be published"
    for version in (one.version, two.version):  # both: the age is not that beside the youngest
        make_old(store, version)
    assert [folder.version for folder in plan_cleanup(store, MODEL, keep=1).releases] == [one.version]
