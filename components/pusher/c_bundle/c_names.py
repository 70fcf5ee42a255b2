"""Text that enters C: identifiers made from labels, string literals, float literals."""

import re
import struct

from components.errors import ReleaseError

BUNDLE_NAME = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_IDENTIFIER_PART = re.compile(r"U[0-9A-F]{4}|[A-Z]|[a-z0-9]")


def check_bundle_name(name: str) -> None:
    """Raises ReleaseError unless `name` can stand in file names and C identifiers, as in `g_<name>_model_data`.

    Double underscores are refused because C++ keeps such identifiers for itself.
    """
    if re.fullmatch(BUNDLE_NAME, name) is None:
        raise ReleaseError(
            f"the bundle's name cannot stand in a C identifier: received name={name!r}",
            expected="lower-case words joined by single underscores, such as person_detect",
        )


def camel_case(label: str) -> str:
    """A label as part of an identifier: `dining table` becomes `DiningTable`, as in `kDiningTableIndex`.

    Distinct labels get distinct results: whatever is not a lower-case word, a digit or a single
    space between words is written as `U` and four hex digits (`Stop` becomes `U0053top`).

    Raises:
      ReleaseError: if the label is empty, or its result could be read as another label.
    """
    words = label.split(" ")
    # A word that starts with no letter would run into the one before it, so its space is spelled out.
    identifier = "".join(
        word[0].upper() + _escape(word[1:])
        if word[:1].isascii() and word[:1].islower()
        else ("" if position == 0 else _escape(" ")) + _escape(word)
        for position, word in enumerate(words)
    )
    if not label or _read_camel_case(identifier) != label:
        raise ReleaseError(
            f"the label cannot be written as a C identifier: received label={label!r}",
            hint="rename it where the labels come from, for instance to lower-case words",
        )
    return identifier


def _escape(text: str) -> str:
    return "".join(char if char in _PLAIN else f"U{ord(char):04X}" for char in text)


def _read_camel_case(identifier: str) -> str:
    """The label that `identifier` stands for: the inverse that makes `camel_case` injective."""
    text = ""
    for part in _IDENTIFIER_PART.findall(identifier):
        if len(part) > 1:
            text += chr(int(part[1:], 16))
        elif part.isupper():
            text += (" " if text else "") + part.lower()
        else:
            text += part
    return text


def c_string(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes, ASCII only; it may also stand in a comment.

    Octal escapes end after three digits, where hexadecimal ones would swallow what follows.
    `??` is broken up, since it may start a trigraph.
    """
    escaped = "".join(_escape_byte(byte) for byte in text.encode())
    return '"' + escaped.replace("??", "?\\?") + '"'


def _escape_byte(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def c_float(value: float) -> str:
    """A C literal of the nearest float32, with the nine digits that restore it, such as `0.00784313772f`."""
    (nearest,) = struct.unpack("f", struct.pack("f", value))
    digits = format(nearest, ".9g")
    return f"{digits}f" if "." in digits or "e" in digits else f"{digits}.0f"
