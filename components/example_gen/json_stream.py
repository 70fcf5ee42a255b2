"""A large JSON object, read list by list and entry by entry, so that memory holds one entry and not the file.

Python's own decoder does the work, from a window that slides over the text. The polygons of a COCO file are cut out
of the bytes first: nine tenths of the file and of the time, and read by nothing here.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

CHUNK_BYTES = 4 * 2**20

_OUTLINE_KEY = b'"segmentation"'
# Polygons, as a list of numbers or of lists of them, to its end. Crowds have run lengths in their place, which are few.
_OUTLINE = re.compile(rb'"segmentation"\s*:\s*\[[0-9eE+\-.,\s]*(?:\[[0-9eE+\-.,\s]*\][\s,]*)*\]')
_OPEN_OUTLINE = re.compile(rb'"segmentation"\s*(:\s*(\[[\[\]0-9eE+\-.,\s]*)?)?\Z')
_BLANK = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_DECODER: Any = json.JSONDecoder()  # with `scan_once`, which typeshed does not know


class Entry(NamedTuple):
    """One value of the document.

    Attributes:
      key: under which it stands in the object.
      place: in the list under that key; None for what stands under the key itself, where an empty list
        stands for any list, ahead of its entries.
      value: the parsed JSON.
    """

    key: str
    place: int | None
    value: Any


class NotAnObjectError(ValueError):
    """The document is JSON, but no object; `value` is what it is."""

    def __init__(self, value: object) -> None:
        super().__init__("not an object")
        self.value = value


class EntryReader:
    """Reads the entries of one JSON object from a binary file.

    Attributes:
      sha256: hex digest of the file, once `entries` is exhausted.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex digest of what was read so far."""
        return self._digest.hexdigest()

    def entries(self) -> Iterator[Entry]:
        """Every value under the object's keys, in the order of the file.

        Raises:
          json.JSONDecodeError: with a position that means nothing, since parts were cut out.
          UnicodeDecodeError, ValueError, RecursionError: as `json.loads` does.
          NotAnObjectError: the JSON is not an object.
          OSError: the file cannot be read.
        """
        window = _Window(self._text())
        if window.peek() != "{":
            value = window.value()
            window.expect_end()
            raise NotAnObjectError(value)
        window.skip()
        if window.peek() == "}":
            window.skip()
        else:
            yield from self._members(window)
        window.expect_end()

    def _members(self, window: "_Window") -> Iterator[Entry]:
        while True:
            if window.peek() != '"':
                raise window.error("Expecting property name enclosed in double quotes")
            key = window.value()
            window.expect(":")
            if window.peek() == "[":
                yield Entry(key, None, [])
                yield from self._list(key, window)
            else:
                yield Entry(key, None, window.value())
            if window.expect(",}") == "}":
                return

    @staticmethod
    def _list(key: str, window: "_Window") -> Iterator[Entry]:
        window.skip()
        if window.peek() == "]":
            window.skip()
            return
        place = 0
        while True:
            for value in window.values_before_commas():
                yield Entry(key, place, value)
                place += 1
            yield Entry(key, place, window.value())
            place += 1
            if window.expect(",]") == "]":
                return

    def _text(self) -> Iterator[str]:
        decoder = None
        for data in self._without_outlines():
            if decoder is None:
                decoder = codecs.getincrementaldecoder(json.detect_encoding(data))("surrogatepass")
            yield decoder.decode(data)
        if decoder is not None:
            yield decoder.decode(b"", final=True)

    def _without_outlines(self) -> Iterator[bytes]:
        held = b""
        while data := self._file.read(CHUNK_BYTES):
            self._digest.update(data)
            data = held + data
            at = data.rfind(_OUTLINE_KEY)
            if at >= 0 and _OPEN_OUTLINE.match(data, at):  # it may go on in the next chunk
                data, held = data[:at], data[at:]
            else:
                held = b""
            yield _OUTLINE.sub(b'"segmentation":0', data)
        if held:
            yield _OUTLINE.sub(b'"segmentation":0', held)


class _Window:
    """The part of the text that is looked at, filled on demand."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            assert blank is not None
            self._at = blank.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def skip(self) -> None:
        self._at += 1

    def expect(self, choices: str) -> str:
        found = self.peek()
        if not found or found not in choices:
            raise self.error(f"Expecting {' or '.join(map(repr, choices))}")
        self._at += 1
        return found

    def expect_end(self) -> None:
        if self.peek():
            raise self.error("Extra data")

    def value(self) -> Any:
        """The next JSON value, whatever its length."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._fill():
                    raise
            else:
                # A number may go on behind the window, which may end between its digits, or in "1." or "1e+".
                if end + 2 < len(self._text) or not self._fill():
                    self._at = end
                    return value

    def values_before_commas(self) -> Iterator[Any]:
        """The next values that lie in the window with a comma and more behind them: the short way through a list."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.scan_once(self._text, self._at)
            except (StopIteration, json.JSONDecodeError):
                return
            comma = _COMMA.match(self._text, end)
            if comma is None or comma.end() == len(self._text):
                return
            self._at = comma.end()
            yield value

    def error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._at)

    def _fill(self) -> bool:
        """Drops what was read and adds more text; whether there was more."""
        more = next(self._chunks, None)
        if more is None:
            return False
        self._text = self._text[self._at :] + more
        self._at = 0
        return True
