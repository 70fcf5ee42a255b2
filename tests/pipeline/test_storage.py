"""Disks that are full or may not be written: real ones, of a few megabytes in memory."""

import os
import shutil
import signal
import subprocess

import pytest

from components.errors import StorageError
from components.pusher.stores import open_store

DISK_BYTES = 64 << 20


@pytest.fixture(scope="module")
def mount(tmp_path_factory):
    """Mounts a small disk of its own; gives its folder."""
    mounted = []

    def mount_disk(size_bytes=DISK_BYTES):
        folder = tmp_path_factory.mktemp("disk")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a disk of its own cannot be mounted here; that takes root")
        mounted.append(folder)
        return folder

    yield mount_disk
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=False)


def fill(folder, leave_bytes, worker):
    """Takes all room of a disk but so many bytes, while the worker holds still."""
    os.kill(worker.pid, signal.SIGSTOP)
    statistics = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, statistics.f_bavail * statistics.f_frsize - leave_bytes)
    os.kill(worker.pid, signal.SIGCONT)


# Before the first node.


def test_run_root_on_a_read_only_disk_exits_1_and_says_where_to_write_instead(mount, vww, sample_set, write_config):
    disk = mount()
    config = write_config(disk, sample_set, disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, stdout, stderr = vww("run", config)
    assert (code, stdout) == (1, "")
    assert f"StorageError: run.root={disk}/run cannot be written: " in stderr
    assert "Read-only file system" in stderr
    assert "hint: --set run.root=DIR writes elsewhere" in stderr


def test_release_store_on_a_read_only_disk_is_refused_before_any_node(
    mount, vww, sample_set, write_config, tmp_path
):  # fmt: skip
    disk = mount()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    config = write_config(tmp_path, sample_set, tmp_path / "run")
    code, _, stderr = vww("run", config, "--set", f"release.uri={disk}/releases")
    assert code == 1
    assert "StorageError: " in stderr
    assert "Read-only file system" in stderr
    assert str(disk) in stderr
    assert "[ 1/10]" not in stderr
    assert not (tmp_path / "run" / "artifacts").exists()


# While a node runs.


@pytest.fixture(scope="module")
def cramped(mount, sample_set, tiny_config):
    """A disk, and the config of a run on it."""
    disk = mount()
    return disk, tiny_config(sample_set, disk / "run")


# 0 leaves no room even for ML Metadata, which is asked before and after every node.
@pytest.mark.parametrize(
    ("node", "leave_bytes"),
    [
        ("CocoExampleGen", 0),
        ("CocoExampleGen", 400_000),
        ("Transform", 0),
        ("Trainer", 400_000),
        ("Evaluator", 0),
        ("MicroPusher", 200_000),
    ],
)
def test_disk_full_in_a_node_is_a_storage_error_that_names_the_node_and_the_log(
    cramped, warm_run, node, leave_bytes
):  # fmt: skip
    disk, config = cramped

    def on_event(event, worker):
        if event.kind == "node_started" and event.node == node:
            fill(disk, leave_bytes, worker)

    try:
        with pytest.raises(StorageError) as caught:
            warm_run(config, on_event=on_event)
    finally:
        (disk / "filler").unlink(missing_ok=True)
    message = str(caught.value)
    assert "no space left on device" in message.lower()
    assert node in message
    assert "hint: make room" in message
    assert f"log: {disk}/run/logs/" in message
    assert open_store(config.release_uri).list_releases() == ()


def test_run_after_the_disk_has_room_again_finishes(cramped, warm_run, metadata_of):
    _, config = cramped
    run = warm_run(config)
    store = open_store(config.release_uri)
    (release,) = store.list_releases()
    assert release.version == run.outcome.publication.version
    assert store.verify(release.model, release.version) == []
    metadata_of(config.run.root).check_nothing_half_written()


@pytest.mark.usefixtures("nightly")
def test_release_store_full_at_the_end_is_a_storage_error_and_shows_no_release(
    mount, released, warm_run, tiny_config
):  # fmt: skip
    disk = mount(16 << 20)
    config = tiny_config(released.data, released.root, f"release.uri={disk}/releases")

    def on_event(event, worker):
        if event.kind == "node_started" and event.node == "MicroPusher":
            fill(disk, 100_000, worker)

    with pytest.raises(StorageError) as caught:
        warm_run(config, on_event=on_event)
    assert str(disk) in str(caught.value)
    assert "make room on the disk" in str(caught.value)
    assert open_store(config.release_uri).list_releases() == ()
    assert open_store(config.release_uri).channels("tiny").log == ()

    (disk / "filler").unlink()
    run = warm_run(config)
    assert run.outcome.publication.uri.startswith(str(disk))
    assert open_store(config.release_uri).verify("tiny", run.outcome.publication.version) == []
