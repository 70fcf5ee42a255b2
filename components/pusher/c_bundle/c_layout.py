"""Arrays and declarations in lines, as `clang-format --style=Google` would break them."""

from collections.abc import Iterator, Sequence

BYTES_PER_LINE = 12
_COLUMNS = 80
_INTEGERS_PER_LINE = 10


def c_bytes(data: bytes) -> list[str]:
    """The bytes as `0x1c, 0x00, ...`, in lines of twelve as xxd prints them."""
    lines = (data[start : start + BYTES_PER_LINE] for start in range(0, len(data), BYTES_PER_LINE))
    return [f"0x{line.hex(' ').replace(' ', ', 0x')}," for line in lines]


def c_integers(numbers: Sequence[int]) -> list[str]:
    """The numbers as `1, -2, ...`, in lines of ten."""
    lines = (numbers[start : start + _INTEGERS_PER_LINE] for start in range(0, len(numbers), _INTEGERS_PER_LINE))
    return [", ".join(map(str, line)) + "," for line in lines]


def c_declaration(head: str, parameters: Sequence[str], end: str) -> str:
    """A function's head: parameters aligned behind its name, or on lines of their own where one would be too long.

    Args:
      head: result and name, such as `int find`.
      parameters: such as `const int8_t* codes`.
      end: what follows the closing parenthesis.
    """
    words = [*(f"{parameter}," for parameter in parameters[:-1]), f"{parameters[-1]}){end}"]
    behind = list(_fill(f"{head}(", " " * (len(head) + 1), words))
    return "\n".join(behind if max(map(len, behind)) <= _COLUMNS else [f"{head}(", *_fill("    ", "    ", words)])


def _fill(start: str, indent: str, words: Sequence[str]) -> Iterator[str]:
    line, is_empty = start, True
    for word in words:
        if is_empty or len(f"{line} {word}") <= _COLUMNS:
            line += word if is_empty else f" {word}"
        else:
            yield line
            line = indent + word
        is_empty = False
    yield line
