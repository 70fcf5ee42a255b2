"""Splits: which images train and which evaluate, as a function of the image id alone."""

import hashlib
from collections.abc import Mapping

from components import features

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
