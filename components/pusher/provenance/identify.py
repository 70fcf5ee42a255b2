"""Finds known files in others: a flatbuffer in a C array, however it is formatted, or in a firmware image."""

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from components.pusher.provenance.firmware import flash_bytes
from components.pusher.release import Sha256

FILE_IDENTIFIER = b"TFL3"
_IDENTIFIER_AT = 4  # a flatbuffer starts with the offset of its root table
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_INITIALIZER = re.compile(r"=\s*\{([^{}]*)\}")
_OCTAL = re.compile(r"0[0-7]+")


@dataclass(frozen=True)
class Content:
    """Something that a file holds.

    Attributes:
      sha256: of it.
      where: in the file, in words, such as `the whole file` or `at byte 4,096`.
    """

    sha256: Sha256
    where: str


def find_contents(content: bytes, flatbuffer_sizes: Collection[int]) -> Iterator[Content]:
    """Everything in a file that may be a file of a release.

    Args:
      content: of the file: anything; C source, ELF, Intel HEX and UF2 are looked into.
      flatbuffer_sizes: lengths of the flatbuffers that are looked for, since a flatbuffer does not say its own.
    """
    yield Content(hashlib.sha256(content).hexdigest(), "the whole file")
    for number, array in enumerate(read_c_arrays(content), start=1):
        yield Content(hashlib.sha256(array).hexdigest(), f"the bytes of C array {number}")
    flash = flash_bytes(content)
    for start in _flatbuffer_starts(flash):
        for size in sorted(flatbuffer_sizes):
            if start + size <= len(flash) and (start, size) != (0, len(content)):
                yield Content(hashlib.sha256(flash[start : start + size]).hexdigest(), f"at byte {start:,}")


def read_c_arrays(content: bytes) -> Iterator[bytes]:
    """The bytes of every array of numbers in C or C++ source, in whatever base and layout they are written.

    Arrays with anything else in them, or with numbers that are no bytes, are passed over.
    """
    if b"{" not in content or b"\0" in content:
        return
    text = _COMMENT.sub(" ", content.decode("latin-1"))
    for initializer in _INITIALIZER.finditer(text):
        try:
            yield bytes(_byte(token.strip()) for token in initializer[1].split(",") if token.strip())
        except ValueError:
            continue


def _byte(literal: str) -> int:
    """One C literal, -128 to 255, as a byte.

    Raises:
      ValueError: if it is none.
    """
    digits = literal.rstrip("uUlL")
    value = int(digits, 8 if _OCTAL.fullmatch(digits) else 0)
    if not -128 <= value <= 255:
        raise ValueError(literal)
    return value & 0xFF


def _flatbuffer_starts(content: bytes) -> Iterator[int]:
    """Where flatbuffers of TensorFlow Lite may start."""
    at = content.find(FILE_IDENTIFIER, _IDENTIFIER_AT)
    while at >= 0:
        yield at - _IDENTIFIER_AT
        at = content.find(FILE_IDENTIFIER, at + 1)
