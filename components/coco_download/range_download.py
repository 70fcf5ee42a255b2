"""One file of known size over HTTP, in as many connections as it takes.

    NAME.part               what has been received so far: always a prefix of the file
    NAME.part.origin.json   where it came from and under which ETag

A lost connection costs at most one read of `_READ_BYTES`. Whether the bytes are right is for a checksum to say.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import DataError

if TYPE_CHECKING:
    import requests

# What urllib3 has read of an unfinished block is lost with the connection, so blocks are small.
_READ_BYTES = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_WORTH_ANOTHER_TRY = (408, 425, 429)  # and every 5xx
_OTHER_SOURCE = "the server, or a proxy on the way, offers another file: try again later, or name a --mirror"


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
      url: http or https.
      size_bytes: known beforehand; a server that says otherwise is refused.
    """

    url: str
    size_bytes: int


@dataclass(frozen=True)
class Patience:
    """How long a server may fail.

    Attributes:
      attempts: connections in a row without one more byte than ever before, after which the download is given up.
      first_wait_s: before the second of them; each further wait is twice as long.
      longest_wait_s: where the doubling ends.
      stall_s: how long an open connection may be silent.
    """

    attempts: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    stall_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """The pause after so many failures in a row, at least 1."""
        return min(self.first_wait_s * 2.0 ** (failures - 1), self.longest_wait_s)


PATIENT = Patience()


class PartFile:
    """The received prefix of a file, and the ETag that it was received under."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._origin = path.with_name(f"{path.name}.origin.json")

    def size_bytes(self) -> int:
        """Bytes received so far; 0 before the first."""
        return self.path.stat().st_size if self.path.exists() else 0

    def etag(self, url: str) -> str | None:
        """The strong ETag under which `url` gave the prefix; None if it gave none, or another server gave it."""
        try:
            origin = json.loads(self._origin.read_text(encoding="utf-8"))
            return str(origin["etag"]) if origin["url"] == url and origin["etag"] is not None else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def restart(self, url: str, etag: str | None) -> None:
        """Empties the file. Only then is the new ETag written: it never stands beside the bytes of another."""
        self.path.write_bytes(b"")
        self._origin.write_text(json.dumps({"url": url, "etag": etag}), encoding="utf-8")

    def remove(self) -> None:
        """Deletes both files."""
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)

    def become(self, path: Path) -> None:
        """Renames the complete file and forgets its origin."""
        self.path.replace(path)
        self._origin.unlink(missing_ok=True)


class _ConnectionLostError(Exception):
    """A failure after which the next connection goes on."""


def fetch(
    remote: RemoteFile,
    part: PartFile,
    *,
    on_bytes: Callable[[int], None],
    on_retry: Callable[[str, float], None],
    patience: Patience = PATIENT,
) -> None:
    """Receives what is missing of a file; at the end the part file has exactly `remote.size_bytes`.

    Args:
      remote: the file.
      part: what earlier calls left, in any state.
      on_bytes: called with the bytes that are there, often.
      on_retry: called with the reason and the seconds until the next connection.
      patience: when to give up.

    Raises:
      DataError: the server has no such file, offers one of another size, or failed too often in a row.
      OSError: the part file cannot be written. What was received stays.
    """
    import requests

    if part.size_bytes() > remote.size_bytes:
        part.restart(remote.url, None)
    furthest, failures = part.size_bytes(), 0
    with requests.Session() as session:
        while part.size_bytes() < remote.size_bytes:
            try:
                _fetch_rest(session, remote, part, patience, on_bytes)
            except _ConnectionLostError as lost:
                # Against the furthest point, since a server without ranges starts again from 0 each time.
                failures = 0 if part.size_bytes() > furthest else failures + 1
                furthest = max(furthest, part.size_bytes())
                if failures >= patience.attempts:
                    raise DataError(
                        f"{remote.url}: given up after {failures} connections without progress: "
                        f"received {part.size_bytes():,} bytes; the last one: {lost}.",
                        expected=f"{remote.size_bytes:,} bytes",
                        hint="run the same command again: it goes on where it stopped; or name a --mirror",
                    ) from lost
                wait_s = patience.wait_s(max(failures, 1))
                on_retry(str(lost), wait_s)
                time.sleep(wait_s)


def _fetch_rest(
    session: "requests.Session",
    remote: RemoteFile,
    part: PartFile,
    patience: Patience,
    on_bytes: Callable[[int], None],
) -> None:
    """One connection, from where the part file ends to where the connection does."""
    import requests

    have = part.size_bytes()
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if (etag := part.etag(remote.url)) is not None:
            headers["If-Range"] = etag
    try:
        response = session.get(remote.url, headers=headers, stream=True, timeout=patience.stall_s)
    except (requests.TooManyRedirects, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise DataError(f"{remote.url}: {error}.", hint="name a --mirror that serves COCO's files") from error
    except requests.RequestException as error:
        raise _ConnectionLostError(_innermost(error)) from error
    with response:
        have = _offset_of_body(response, remote, part, have)
        on_bytes(have)
        with part.path.open("ab") as file:
            for block in _blocks(response):
                if have + len(block) > remote.size_bytes:
                    file.truncate(0)
                    raise DataError(
                        f"{remote.url}: the server sends more than it should.",
                        expected=f"{remote.size_bytes:,} bytes",
                        hint=_OTHER_SOURCE,
                    )
                file.write(block)
                have += len(block)
                on_bytes(have)
    if have < remote.size_bytes:
        raise _ConnectionLostError("the server ended the connection early")


def _blocks(response: "requests.Response") -> Iterator[bytes]:
    # requests' errors are OSErrors: they must not be taken for the disk's.
    import requests

    try:
        yield from response.iter_content(_READ_BYTES)
    except requests.exceptions.ChunkedEncodingError as error:
        raise _ConnectionLostError("the connection was lost") from error
    except requests.RequestException as error:
        raise _ConnectionLostError(_innermost(error)) from error


def _offset_of_body(response: "requests.Response", remote: RemoteFile, part: PartFile, have: int) -> int:
    """Where in the file the response's body begins; empties the part file if that is at 0.

    Raises:
      DataError: the answer cannot be the file, seen before anything of it is written.
      _ConnectionLostError: another try may be answered.
    """
    status, sent_etag = response.status_code, response.headers.get("ETag")
    if status in _WORTH_ANOTHER_TRY or status >= 500:
        raise _ConnectionLostError(f"HTTP {status} {response.reason}")
    if status == 416:
        _check_size(remote, response.headers.get("Content-Range", "").removeprefix("bytes */"))
        part.restart(remote.url, None)
        raise _ConnectionLostError(f"HTTP 416: nothing after byte {have:,}; starting again")
    if status not in (200, 206):
        raise DataError(
            f"{remote.url}: HTTP {status} {response.reason}.",
            expected="HTTP 200 or 206",
            hint="check the --mirror: it must serve the same paths as http://images.cocodataset.org",
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(
            f"{remote.url}: received Content-Encoding={response.headers['Content-Encoding']}.",
            expected="the file as it is",
            hint=_OTHER_SOURCE,
        )
    if status == 200:
        _check_size(remote, response.headers.get("Content-Length", ""))
        # A weak ETag does not promise the same bytes, and If-Range may not carry one.
        part.restart(remote.url, None if sent_etag is None or sent_etag.startswith("W/") else sent_etag)
        return 0
    known_etag = part.etag(remote.url)
    if known_etag is not None and sent_etag is not None and sent_etag != known_etag:
        part.restart(remote.url, None)
        raise _ConnectionLostError("the file on the server has changed; starting again")
    _check_range(response, remote, have)
    return have


def _check_range(response: "requests.Response", remote: RemoteFile, have: int) -> None:
    """Holds a 206 against what was asked for: everything from byte `have`, at least 1, on."""
    received = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(received.strip())
    right = (str(have), str(remote.size_bytes - 1))
    length = response.headers.get("Content-Length", str(remote.size_bytes - have))
    if match is None or match.groups()[:2] != right or length != str(remote.size_bytes - have) or have == 0:
        raise DataError(
            f"{remote.url}: received Content-Range={received!r}, Content-Length={length}.",
            expected=f"bytes {right[0]}-{right[1]}/{remote.size_bytes}",
            hint=_OTHER_SOURCE,
        )
    _check_size(remote, match.group(3))


def _check_size(remote: RemoteFile, received: str) -> None:
    if received.isdecimal() and int(received) != remote.size_bytes:
        raise DataError(
            f"{remote.url}: the server offers a file of {int(received):,} bytes.",
            expected=f"{remote.size_bytes:,} bytes",
            hint=_OTHER_SOURCE,
        )


def _innermost(error: BaseException) -> str:
    """What went wrong, without the layers that passed it on."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
