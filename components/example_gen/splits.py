"""Splits: which images train and which evaluate, by a hash of the image id or by lists of ids."""

import hashlib
from collections.abc import Mapping

from components import features
from components.errors import DataError
from components.example_gen.storage import FileReader

_MANTISSA_BITS = 53


def assign_split(source_id: str, shares: Mapping[str, float], seed: int) -> str:
    """The split of one image.

    The id is hashed to a position in [0, 1), and the splits lie side by side on that line in the order of
    `features.SPLITS`. So the result depends neither on the other images nor on their order, and moving a
    border moves only the images between the old and the new one.

    Args:
      source_id: the image id, in decimal.
      shares: share of each split; positive, adding up to 1.
      seed: another number draws other splits.

    Returns:
      One of the keys of `shares`.
    """
    names = [name for name in features.SPLITS if name in shares]
    position = _position(source_id, seed)
    border = 0.0
    for name in names[:-1]:
        border += shares[name]
        if position < border:
            return name
    return names[-1]  # takes the rest, so that rounding in the sum loses no image


def _position(source_id: str, seed: int) -> float:
    """A number in [0, 1), uniform over ids, with as many bits as a float holds exactly."""
    digest = hashlib.sha256(f"{seed}:{source_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)


def read_split_ids(paths: Mapping[str, str]) -> dict[str, str]:
    """The splits that lists of image ids state.

    A list is a text file with one id in a line, as in `mscoco_minival_ids.txt`; blank lines are skipped.

    Args:
      paths: the list of each split, local or `gs://`.

    Returns:
      Image id to split.

    Raises:
      DataError: a list cannot be read, is empty, or names an id that another one names too.
    """
    stated: dict[str, str] = {}
    for split, path in paths.items():
        ids = _read_ids(path, split)
        for source_id in ids:
            other = stated.setdefault(source_id, split)
            if other != split:
                raise DataError(
                    f"image {source_id} is named by the id lists of both {other} and {split}.",
                    expected="every image in one split",
                    hint=f"take it out of one of {paths[other]} and {path}",
                )
    return stated


def _read_ids(path: str, split: str) -> list[str]:
    hint = f"set data.split_ids.{split} to a text file with one image id in a line"
    try:
        text = FileReader().read(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the id list cannot be read: {error}", hint=hint) from error
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise DataError(f"{path}: the id list is empty.", expected="one image id in a line", hint=hint)
    return ids
