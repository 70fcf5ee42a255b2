"""Files and folders that survive a crash, and the errors of a disk in words that a person can act on."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from components.errors import StorageError

STAGING_PREFIX = ".staging-"
LOCK_WAIT_S = 60.0

_LOCK_POLL_S = 0.02
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def storage_errors(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Turns an OSError inside the block into a StorageError about `path`.

    Args:
      path: what is being read or written.
      needed_bytes: how much the block writes, for the message about a full disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageError(
                f"{path}: {error.strerror}: received needed_bytes={needed_bytes}, free_bytes={_free_bytes(path)}",
                hint="make room on the disk (or raise the quota), or write to another one",
            ) from error
        hint = "ask for write access, or name another folder" if error.errno in _REFUSED else None
        raise StorageError(f"{error.filename or path}: {error.strerror or error}", hint=hint) from error


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(nearest_existing(path)).free


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest of its parents that exists."""
    return next(candidate for candidate in (path, *path.absolute().parents) if candidate.exists())


def write_durably(path: Path, content: bytes) -> None:
    """Writes a new file and waits until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        sync_file(file)


def copy_read_only(source: Path, destination: Path) -> None:
    """Copies a file, readable by all and writable by none, and waits until the disk has it."""
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    with os.fdopen(descriptor, "wb") as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy)
        sync_file(copy)


def sync_file(file: BinaryIO) -> None:
    """Waits until the disk has what was written to a file."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_replaceable(path: Path) -> None:
    """Says at once what `replace_durably` would say when all is made that is to be written.

    Args:
      path: of the file; its folder may be yet to be made.

    Raises:
      StorageError: if it is a folder, or no file can be made where it goes.
    """
    expected = "the name of a file, in a folder that may be written"
    if path.is_dir():
        raise StorageError(f"{path} cannot be written: it is a folder", expected=expected, hint="name a file in it")
    try:
        with tempfile.TemporaryFile(dir=nearest_existing(path.parent)):
            pass
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", expected=expected, hint="name another folder"
        ) from error


def replace_durably(path: Path, content: bytes) -> None:
    """Writes a file so that every reader, and a crash, see its old content or its new one; an OSError names it."""
    staging = path.with_name(f"{STAGING_PREFIX}{uuid.uuid4().hex}")
    try:
        write_durably(staging, content)
        staging.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            staging.unlink()
    sync_folder(path.parent)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`; whatever is still there by that name at the end is removed."""
    folder = parent / f"{STAGING_PREFIX}{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_staging(parent: Path) -> None:
    """Removes what killed processes left below `parent`; only for the one who holds its lock."""
    for leftover in parent.glob(f"{STAGING_PREFIX}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


@contextmanager
def exclusive_lock(path: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Holds a lock file; the kernel lets go of it when the process ends, however it ends.

    Raises:
      StorageError: if another process holds it for longer than `wait_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{path}: another process has held this lock for {wait_s:g} s",
                    hint="wait for the other publish or promotion to end, or end it; `fuser` names its process",
                )
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
