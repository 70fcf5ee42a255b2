"""What a folder adds to the promises of every store: kills, full and read-only disks, locks."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import ReleaseError, StorageError
from components.pusher.channels import Channel
from components.pusher.durable_files import exclusive_lock
from components.pusher.local_store import LocalStore

TRACED = ("components/pusher", "shutil.py")
KILL_EVERY_N_LINES = 7  # every single line takes 15 s; tried in November 2026: 539 kills


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "releases")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leftovers(store):
    return [path.name for path in Path(store.uri).rglob(".staging-*")]


def die_at_line(number):
    """Has this process killed by SIGKILL at the n-th line that it executes in the store or in what it calls."""
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        if event == "line":
            lines += 1
            if lines == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def test_kill_at_any_line_of_a_promotion_leaves_old_or_new_state(memory_path, stage, in_child, put):
    old, new = stage("old"), stage("new")
    seed = LocalStore(memory_path / "seed")
    seed.publish(*old)
    put(seed, old)

    states = set()
    line = 1
    while True:
        store = LocalStore(memory_path / f"releases-{line}")
        shutil.copytree(seed.uri, store.uri)
        if in_child(lambda store=store, line=line: promote_until(store, old, new, line, put)) == 0:
            break
        versions = {release.version for release in store.list_releases()}
        assert versions in ({old.version}, {old.version, new.version}), f"killed at line {line}"
        held = store.channels(old.model).held(Channel.STAGING)
        assert held in versions
        assert all(store.verify(old.model, version) == [] for version in versions)
        states.add((len(versions), held == new.version))

        store.publish(*new)
        put(store, new, before=held)
        assert [entry.version for entry in store.channels(old.model).log] == [old.version, new.version]
        assert leftovers(store) == []
        assert store.verify(new.model, new.version) == []
        shutil.rmtree(store.uri)
        line += KILL_EVERY_N_LINES
    print(f"{line // KILL_EVERY_N_LINES} kills")
    assert line > 400
    assert states == {(1, False), (2, False), (2, True)}


def promote_until(store, old, new, line, put):
    die_at_line(line)
    store.publish(*new)
    put(store, new, before=old.version)
    sys.settrace(None)


def test_publish_same_content_from_four_processes_adds_it_once(store, stage, race, tmp_path):
    staged = stage()

    def publish():
        if store.publish(*staged).already_published:
            os._exit(3)

    assert sorted(race(*[publish] * 4)) == [0, 3, 3, 3]
    assert store.verify(staged.model, staged.version) == []
    assert leftovers(store) == []


def test_publish_files_cannot_be_written_to(store, stage):
    staged = stage()
    store.publish(*staged)
    release = Path(store.uri) / staged.model / staged.version
    assert {stat.S_IMODE(path.stat().st_mode) for path in release.rglob("*") if path.is_file()} == {0o444}


def test_publish_disk_full_leaves_nothing_and_says_how_much_it_needs(small_disk, stage, put):
    store = LocalStore(small_disk / "releases")
    store.check_usable("person_detect")
    large = stage(payload={"person_detect.tflite": bytes(300_000)})
    small = stage()
    store.publish(*small)

    with pytest.raises(StorageError, match=r"No space left on device: received needed_bytes=300123, free_bytes=\d+"):
        store.publish(*large)
    assert leftovers(store) == []
    assert [release.version for release in store.list_releases()] == [small.version]

    fill = small_disk / "fill"
    fill.write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
    with pytest.raises(StorageError, match="No space left"):
        put(store, small)
    with pytest.raises(StorageError, match="No space left"):
        store.check_usable("person_detect")
    assert store.channels(small.model).log == ()
    fill.unlink()
    assert put(store, small)


def test_publish_past_the_file_size_limit_leaves_nothing(store, stage, in_child):
    staged = stage(payload={"person_detect.tflite": bytes(300_000)})

    def publish_with_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(StorageError, match="File too large: received needed_bytes=300123"):
            store.publish(*staged)

    assert in_child(publish_with_limit) == 0
    assert store.list_releases() == ()
    assert leftovers(store) == []


def test_fetch_disk_full_leaves_nothing(small_disk, store, stage):
    staged = stage(payload={"person_detect.tflite": bytes(300_000)})
    store.publish(*staged)
    with pytest.raises(StorageError, match="No space left"):
        store.fetch(staged.model, staged.version, small_disk / "out")
    assert list(small_disk.iterdir()) == []


def test_read_only_store_is_read_but_not_written(small_disk, stage, put):
    store = LocalStore(small_disk / "releases")
    staged = stage()
    store.publish(*staged)
    put(store, staged)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    for work in (
        lambda: store.check_usable(staged.model),
        lambda: store.check_usable("another_model"),
        lambda: store.publish(*stage("more")),
        lambda: put(store, staged, Channel.PRODUCTION),
    ):
        with pytest.raises(StorageError, match="Read-only file system") as caught:
            work()
        assert "write access" in (caught.value.hint or "")
    assert store.channels(staged.model).held(Channel.STAGING) == staged.version
    assert store.verify(staged.model, staged.version) == []


def test_check_usable_folders_that_are_missing_are_not_made(tmp_path):
    LocalStore(tmp_path / "a" / "b").check_usable("person_detect")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["file", "file/below", "folder"])
def test_check_usable_file_where_a_folder_belongs_is_refused(tmp_path, uri):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "person_detect").write_text("")
    with pytest.raises(ReleaseError, match="is a file"):
        LocalStore(tmp_path / uri).check_usable("person_detect")


def test_check_usable_foreign_folder_is_refused_and_own_leftovers_are_not(store, stage):
    staged = stage()
    store.publish(*staged)
    (Path(store.uri) / staged.model / ".staging-0123").mkdir()
    store.check_usable(staged.model)
    (Path(store.uri) / staged.model / "photos").mkdir()
    with pytest.raises(ReleaseError, match="for example photos"):
        store.check_usable(staged.model)


def test_verify_symbolic_link_is_a_problem(store, stage):
    staged = stage()
    store.publish(*staged)
    labels = Path(store.uri) / staged.model / staged.version / "labels.txt"
    labels.rename(labels.parent.parent / "elsewhere.txt")
    labels.symlink_to("../elsewhere.txt")
    (problem,) = store.verify(staged.model, staged.version)
    assert "labels.txt is no regular file" in problem


def test_publish_folder_without_manifest_in_the_way_is_refused(store, stage):
    staged = stage()
    target = Path(store.uri) / staged.model / staged.version
    target.mkdir(parents=True)
    with pytest.raises(ReleaseError, match=r"manifest\.json is missing"):
        store.publish(*staged)
    assert list(target.iterdir()) == []


def test_exclusive_lock_held_by_another_process_is_named_after_the_wait(tmp_path, in_child):
    lock = tmp_path / ".lock"

    def wait_in_vain():
        words = r"\.lock: another process has held this lock for 0\.1 s"
        with pytest.raises(StorageError, match=words), exclusive_lock(lock, wait_s=0.1):
            pass

    with exclusive_lock(lock):
        assert in_child(wait_in_vain) == 0
    with exclusive_lock(lock, wait_s=0.0):
        pass


def test_local_store_import_is_light():
    code = (
        "import sys, components.pusher.local_store as s;"
        "print([m for m in ('jinja2', 'google.cloud.storage', 'tensorflow', 'requests') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
