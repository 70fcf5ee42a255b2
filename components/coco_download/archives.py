"""Zip archives from elsewhere: checked by checksum and name by name, unpacked out of sight."""

import errno
import hashlib
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from components.errors import DataError, StorageError

# COCO's annotations expand about three times, its images not at all.
MAX_EXPANSION = 10

_READ_BYTES = 1024 * 1024
_BLOCK_BYTES = 4096  # of common file systems: what a file's last byte takes
_DRIVE = re.compile(r"^[A-Za-z]:")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError inside the block into a StorageError about `path`."""
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_SPACE
        raise StorageError(
            f"{error.filename or path}: {error.strerror or error}.",
            expected="a folder on a disk with room, in which files can be created",
            hint="make room on the disk, then run the same command again: it goes on where it stopped"
            if full
            else "ask for write access, or name another folder",
        ) from error


def check_free_bytes(folder: Path, needed_bytes: int) -> None:
    """Raises a StorageError if the disk of an existing folder has less room than that."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{folder}: received free_bytes={free_bytes:,}, needed_bytes={needed_bytes:,}.",
            expected=f"{needed_bytes / 1e9:.1f} GB of room; {free_bytes / 1e9:.1f} GB are free",
            hint="make room on the disk, name a folder on another one, or fetch one --split at a time",
        )


def md5_of(path: Path, on_bytes: Callable[[int], None]) -> str:
    """The MD5 of a file in hexadecimal; `on_bytes` is called with the bytes read so far."""
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            done += len(block)
            on_bytes(done)
    return digest.hexdigest()


def read_members(path: Path, wanted: Sequence[str]) -> list[zipfile.ZipInfo]:
    """The files of an archive that are, or lie below, one of the `wanted` names; directories left out.

    Raises:
      DataError: it is no zip file, lacks one of the names, or any member, wanted or not, would leave the folder,
        is no plain file or directory, is encrypted, stands there twice, or expands beyond `MAX_EXPANSION`.
    """
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for member in members:
        _check_member(path, member)
    files = [m for m in members if not m.is_dir()]
    names = {m.filename for m in files}
    if len(names) != len(files) or any(str(folder) in names for n in names for folder in PurePosixPath(n).parents):
        raise _refusal(path, "a name stands twice, or is both a file and a folder")
    total = sum(m.file_size for m in files)
    if total > MAX_EXPANSION * path.stat().st_size:
        raise _refusal(path, f"it would expand to {total:,} bytes, more than {MAX_EXPANSION} times its size")
    for name in wanted:
        if not any(_is_or_below(m.filename, name) for m in files):
            raise _refusal(path, f"it holds no {name}")
    return [m for m in files if any(_is_or_below(m.filename, name) for name in wanted)]


def unpacked_bytes(members: Sequence[zipfile.ZipInfo]) -> int:
    """What they take on the disk, each file rounded up to whole blocks."""
    return sum(-(-m.file_size // _BLOCK_BYTES) * _BLOCK_BYTES for m in members)


def unpack(path: Path, members: Sequence[zipfile.ZipInfo], into: Path, on_file: Callable[[int], None]) -> None:
    """Writes members that `read_members` let through below a folder that nobody else sees.

    Args:
      path: the archive.
      members: files in it.
      into: a folder without any of them.
      on_file: called with the number of files written so far.

    Raises:
      DataError: a member's bytes do not fit its CRC or size.
      OSError: the disk is full or refuses to be written.
    """
    with _readable(path), zipfile.ZipFile(path) as archive:
        folders: set[Path] = set()
        for done, member in enumerate(members, start=1):
            destination = into / member.filename
            if destination.parent not in folders:
                destination.parent.mkdir(parents=True, exist_ok=True)
                folders.add(destination.parent)
            with archive.open(member) as packed, destination.open("xb") as file:
                shutil.copyfileobj(packed, file, _READ_BYTES)
            on_file(done)


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    # orig_filename still has what zipfile mends in silence: backslashes, and what follows a NUL.
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name or "\0" in name:
        raise _refusal(path, f"the member {name!r} has an absolute or foreign path")
    if any(part in ("", ".", "..") for part in parts):
        raise _refusal(path, f"the member {name!r} would leave the folder, or has an unclear path")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refusal(path, f"the member {name!r} is a link or a device")
    if member.flag_bits & 0x1:
        raise _refusal(path, f"the member {name!r} is encrypted")


def _is_or_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}/")


def _refusal(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: {reason}.",
        expected="COCO's own archive: plain files below one folder",
        hint="delete the archive, then fetch it again from another place",
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise _refusal(path, f"it cannot be read as a zip file: {error}") from error
