"""The images folder, local or `gs://`: which file an annotation's `file_name` means, and its bytes."""

import dataclasses
import functools
import json
import os
import posixpath
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import DataError
from components.example_gen.quarantine import BadRecord, QuarantineReason


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFile:
    """A file below the images folder: its real path, size in bytes, and a number that a new content changes."""

    path: str
    size: int
    stamp: int


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
        return self._read_object(path) if is_remote(path) else Path(path).read_bytes()

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

    def _read_object(self, uri: str) -> bytes:
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client

        bucket, _, name = uri.removeprefix("gs://").partition("/")
        try:
            self._client = Client() if self._client is None else self._client
            return bytes(self._client.bucket(bucket).blob(name).download_as_bytes())
        except NotFound as error:
            raise FileNotFoundError(str(error)) from error
        except (GoogleAPIError, GoogleAuthError, ValueError, IndexError) as error:
            raise OSError(str(error)) from error


def open_images_folder(folder: str) -> FindFile:
    """A function from `file_name` to the file, which raises `BadRecord`."""
    return _open_bucket(folder) if is_remote(folder) else _open_local_folder(folder)


def _open_local_folder(folder: str) -> FindFile:
    root = os.path.realpath(folder)
    if not Path(root).is_dir():
        raise _no_folder(folder, "not a folder" if Path(root).exists() else "no such folder")
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


def _open_bucket(uri: str) -> FindFile:
    """Lists the folder once; an object's generation changes with every write, as a file's time does."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    bucket, _, prefix = f"{uri.rstrip('/')}/".removeprefix("gs://").partition("/")
    try:
        blobs = Client().list_blobs(bucket, prefix=prefix, fields="items(name,size,generation),nextPageToken")
        files = {blob.name: ImageFile(f"gs://{bucket}/{blob.name}", blob.size, blob.generation) for blob in blobs}
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError, IndexError) as error:
        raise _no_folder(uri, f"cannot be listed: {error}") from error
    if not files:
        raise _no_folder(uri, "no object has this prefix")

    def find_file(file_name: str) -> ImageFile:
        try:
            return files[f"{prefix}{_relative(file_name)}"]
        except KeyError:
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {file_name} in {uri}") from None

    return find_file


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
        expected="the folder that the annotations' file_name is relative to",
        hint="set data.images",
    )
