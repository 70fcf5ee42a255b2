"""JSON files that hold a digest of themselves, in one spelling, so that a change of any byte is noticed.

    {
      "content_sha256": "5f0c…",        sha256 of this text without this line:
      "format_version": 4,              grep -v '^  "content_sha256"' FILE | sha256sum
      …

The digest tells damage and careless edits; whoever means harm can compute it again, and is told by a signature.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.errors import ReleaseError

SEAL = "content_sha256"


def render_sealed(fields: Mapping[str, Any]) -> str:
    """The text of a sealed file.

    Args:
      fields: what it holds, as JSON knows it. A key that sorts after `content_sha256` has to be among them.
    """
    return _render({**fields, SEAL: hashlib.sha256(_render(fields).encode()).hexdigest()})


def _render(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_fields(text: str, source: str, *, format_version: int, hint: str) -> dict[str, Any]:
    """The fields of a sealed file, without its digest, which is not looked at yet.

    Args:
      text: its content.
      source: where it was read from, for the message.
      format_version: the one that is known.
      hint: what to do about a damaged file.

    Raises:
      ReleaseError: if it is no JSON, or of another format version.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReleaseError(f"{source} is no JSON: {error}", hint=hint) from error
    found = fields.get("format_version") if isinstance(fields, dict) else None
    if found != format_version or isinstance(found, bool):
        raise ReleaseError(
            f"{source} has a format that this vww does not know: received format_version={found!r}",
            expected=f"format_version={format_version}",
            hint="use a vww version that knows it; a run can release elsewhere with --set release.uri=DIR",
        )
    return {key: value for key, value in fields.items() if key != SEAL}


def check_seal(text: str, rendered: str, source: str, *, hint: str) -> None:
    """Compares a file with the rendering of what was understood of it.

    Raises:
      ReleaseError: if they are not the same, byte by byte.
    """
    if text != rendered:
        raise ReleaseError(
            f"{source} was edited: it is not the text that belongs to its content",
            expected=f"the bytes that vww wrote, with their digest as {SEAL}",
            hint=hint,
        )
