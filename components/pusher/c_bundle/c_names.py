"""Text that enters C: identifiers made from labels, string literals, float literals."""

import re
import struct
from collections.abc import Sequence

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


def camel_name(name: str) -> str:
    """A bundle's name as part of an identifier: `person_ssd` becomes `PersonSsd`, as in `PersonSsdWorkspace`.

    Distinct names get distinct results: an underscore stays where no letter follows that could be raised, as in
    `Person_96`.
    """
    return re.sub("(^|_)([a-z])", lambda start: start[2].upper(), name)


def camel_case(label: str) -> str:
    """A label as part of an identifier: `dining table` becomes `DiningTable`, as in `kDiningTableIndex`.

    Distinct labels get distinct results: whatever is not a lower-case word, a digit or a single
    space between words is written as `U` and four hex digits (`Stop` becomes `U0053top`). Where raised letters could be
    read as another label, none is raised (`sign u0041` becomes `signU0020u0041`, since `SignU0041` is of `signA`).

    Raises:
      ReleaseError: if the label is empty, or has a character above U+FFFF.
    """
    _check_spelled([label])
    return _spell(label)


def index_names(labels: Sequence[str], positive: str | None) -> dict[str, int]:
    """C constant to label id: `kPersonIndex` and `kNotAPersonIndex` of a positive label and its one opposite,
    otherwise one constant a label, such as `kCatIndex`.

    Args:
      labels: in the order of their ids.
      positive: one of them, or None.

    Raises:
      ReleaseError: naming every label that cannot be written as a C identifier, or if two labels are the same.
    """
    if len(set(labels)) != len(labels):
        raise ReleaseError(f"two labels have the same name: received labels={labels}", expected="each label once")
    if positive is not None and len(labels) == 2:
        name, index = camel_case(positive), labels.index(positive)
        return {f"k{name}Index": index, f"kNotA{name}Index": 1 - index}
    _check_spelled(labels)
    return {f"k{_spell(label)}Index": index for index, label in enumerate(labels)}


def _check_spelled(labels: Sequence[str]) -> None:
    """Raises ReleaseError for labels that have no identifier."""
    refused = [label for label in labels if not label or max(label) > "\uffff"]
    if refused:
        raise ReleaseError(
            "no C identifier can be made from a label's name: received "
            + ", ".join(f"label={label!r}" for label in refused),
            expected="a name of characters up to U+FFFF, such as 'dining table'; C constants are named after it",
            hint="rename the class folder or the category",
        )


def _spell(label: str) -> str:
    raised = _raise_words(label)
    return raised if _read_camel_case(raised) == label else _escape(label)


def _raise_words(label: str) -> str:
    words = label.split(" ")
    # A word that starts with no letter would run into the one before it, so its space is spelled out.
    return "".join(
        word[0].upper() + _escape(word[1:])
        if word[:1].isascii() and word[:1].islower()
        else ("" if position == 0 else _escape(" ")) + _escape(word)
        for position, word in enumerate(words)
    )


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
