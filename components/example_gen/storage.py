"""The images folder, local or `gs://`: which file a `file_name` means, which files there are, and their bytes."""

import dataclasses
import functools
import io
import json
import os
import posixpath
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import DataError
from components.example_gen.quarantine import BadRecord, QuarantineReason

_SPOOL_BYTES = 32 * 2**20


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFile:
    """A file below the images folder.

    Attributes:
      path: its real path, local or `gs://`.
      size: bytes.
      stamp: a number that a new content changes.
      md5: digest of the content, where the storage knows it.
    """

    path: str
    size: int
    stamp: int
    md5: str | None = None


FindFile = Callable[[str], ImageFile]


def is_remote(path: str) -> bool:
    """Whether a path names an object in Google Cloud Storage."""
    return path.startswith("gs://")


class FileReader:
    """Reads files, local or `gs://`; one connection serves them all."""

    def __init__(self) -> None:
        self._client: Any = None

    def read(self, path: str) -> bytes:
        """A file's content.

        Raises:
          OSError: whatever the reason; the message says it.
        """
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """A file for reading; an object is fetched into a temporary file first.

        Raises:
          OSError: whatever the reason; the message says it.
        """
        return self._fetch(path) if is_remote(path) else io.FileIO(path)

    def read_image(self, path: str) -> bytes:
        """The bytes of one image.

        Raises:
          BadRecord: if it has gone since the folder was looked at, or cannot be read.
        """
        try:
            return self.read(path)
        except FileNotFoundError:
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {path}") from None
        except OSError as error:
            raise BadRecord(QuarantineReason.UNREADABLE, f"{path}: {error}") from None

    def _fetch(self, uri: str) -> BinaryIO:
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client

        bucket, _, name = uri.removeprefix("gs://").partition("/")
        file: Any = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115  # the caller closes it
        try:
            self._client = Client() if self._client is None else self._client
            self._client.bucket(bucket).blob(name).download_to_file(file)
        except NotFound as error:
            raise FileNotFoundError(str(error)) from error
        except (GoogleAPIError, GoogleAuthError, ValueError, IndexError) as error:
            raise OSError(str(error)) from error
        file.seek(0)
        return file  # type: ignore[no-any-return]


def open_images_folder(folder: str) -> FindFile:
    """A function from `file_name` to the file, which raises `BadRecord`."""
    return _open_bucket(folder) if is_remote(folder) else _open_local_folder(folder)


def _open_local_folder(folder: str) -> FindFile:
    root = _real_root(folder)
    real_folder = functools.cache(os.path.realpath)  # a system call per level; files share their folders

    def find_file(file_name: str) -> ImageFile:
        parent, name = posixpath.split(f"{root}/{_relative(file_name)}")
        path = f"{real_folder(parent)}/{name}"
        try:
            _check_inside(path, root)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                path = os.path.realpath(path)
                _check_inside(path, root)
                status = Path(path).stat()  # fails where links go in a circle
        except (FileNotFoundError, NotADirectoryError):
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {file_name} in {folder}") from None
        except OSError as error:
            raise BadRecord(QuarantineReason.UNREADABLE, f"{file_name}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise BadRecord(QuarantineReason.NOT_AN_IMAGE, f"{file_name} is not a regular file")
        return ImageFile(path, status.st_size, status.st_mtime_ns)

    return find_file


def list_files(folder: str) -> list[str]:
    """The names of all files below a folder, local or `gs://`, relative to it, sorted.

    Links to folders are followed, each folder once, so that links in a circle end. A folder's own path comes before
    links to it, so that a link in one class to another does not take the other's images. Hidden local files and
    folders are passed over.

    Raises:
      DataError: if the folder cannot be listed.
    """
    if is_remote(folder):
        prefix, files = _list_bucket(folder)
        return sorted(name.removeprefix(prefix) for name in files if not name.endswith("/"))
    return sorted(_walk(_real_root(folder)))


def _walk(root: str) -> Iterator[str]:
    folders, links = [root], list[str]()
    seen: set[str] = set()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise _no_folder(folder, f"cannot be listed: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(entry.path)
            else:
                yield entry.path[len(root.rstrip("/")) + 1 :]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _real_root(folder: str) -> str:
    root = os.path.realpath(folder)
    if not Path(root).is_dir():
        raise _no_folder(folder, "not a folder" if Path(root).exists() else "no such folder")
    return root


def _open_bucket(uri: str) -> FindFile:
    prefix, files = _list_bucket(uri)

    def find_file(file_name: str) -> ImageFile:
        try:
            return files[f"{prefix}{_relative(file_name)}"]
        except KeyError:
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {file_name} in {uri}") from None

    return find_file


def _list_bucket(uri: str) -> tuple[str, dict[str, ImageFile]]:
    """The folder's prefix, and its objects by name; an object's generation changes with every write, as a time does."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    bucket, _, prefix = f"{uri.rstrip('/')}/".removeprefix("gs://").partition("/")
    fields = "items(name,size,generation,md5Hash),nextPageToken"
    try:
        blobs = Client().list_blobs(bucket, prefix=prefix, fields=fields)
        files = {b.name: ImageFile(f"gs://{bucket}/{b.name}", b.size, b.generation, b.md5_hash) for b in blobs}
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError, IndexError) as error:
        raise _no_folder(uri, f"cannot be listed: {error}") from error
    if not files:
        raise _no_folder(uri, "no object has this prefix")
    return prefix, files


def _relative(file_name: str) -> str:
    relative = posixpath.normpath(file_name)
    if relative.startswith("/") or relative.split("/", 1)[0] == "..":
        raise BadRecord(QuarantineReason.OUTSIDE_IMAGES_FOLDER, f"file_name={json.dumps(file_name)}")
    return relative


def _check_inside(path: str, root: str) -> None:
    if not path.startswith(f"{root.rstrip('/')}/"):
        raise BadRecord(QuarantineReason.OUTSIDE_IMAGES_FOLDER, f"a symbolic link leads to {path}")


def _no_folder(folder: str, problem: str) -> DataError:
    return DataError(
        f"{folder}: {problem}.",
        expected="the folder that the annotations' file_name is relative to, or that holds a folder per class",
        hint="set data.images",
    )
