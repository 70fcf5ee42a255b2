"""Images with the same bytes: found before any is written, since one in train and one in eval would be a leak.

Files of one size are compared by their ends first, and only those that agree are read whole, so that a large set
costs little. A bucket knows the digest of its objects; nothing is read there.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from components.example_gen.storage import ImageFile

_END_BYTES = 4096


def find_duplicates(files: Iterable[ImageFile]) -> list[list[int]]:
    """Groups of files with the same content, as places in `files`; only groups of two and more.

    A file that cannot be read, or is empty, belongs to none; it comes to light when it is to be written.
    """
    listed = list(files)

    def groups(places: Iterable[int], key: Callable[[ImageFile], Hashable | None]) -> list[list[int]]:
        by_key: defaultdict[Hashable, list[int]] = defaultdict(list)
        for place in places:
            value = key(listed[place])
            if value is not None:
                by_key[value].append(place)
        return [group for group in by_key.values() if len(group) > 1]

    candidates = groups(range(len(listed)), lambda file: (file.size, file.md5) if file.size > 0 else None)
    known = [group for group in candidates if listed[group[0]].md5 is not None]
    local = [group for group in candidates if listed[group[0]].md5 is None]
    for digest in (_digest_of_end, _digest):
        local = [same for group in local for same in groups(group, digest)]
    return sorted(known + local)


def _digest_of_end(file: ImageFile) -> bytes | None:
    try:
        descriptor = os.open(file.path, os.O_RDONLY)
        try:
            return os.pread(descriptor, _END_BYTES, max(0, file.size - _END_BYTES))
        finally:
            os.close(descriptor)
    except OSError:
        return None


def _digest(file: ImageFile) -> bytes | None:
    try:
        with Path(file.path).open("rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except OSError:
        return None
