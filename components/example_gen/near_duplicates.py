"""Images that look the same: pairs of perceptual hashes that differ in few bits, and the groups that they form."""

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Of 64. On coco128, scaling, JPEG at quality 30 and a fifth more brightness move every hash by at most this much,
# and no two of the images are nearer than 16.
MAX_BITS = 6
_HASH_BITS = 64
# Two hashes that differ in at most MAX_BITS bits agree in at least one of MAX_BITS + 1 bands.
_BANDS = MAX_BITS + 1


def find_near_duplicates(hashes: Sequence[int | None]) -> list[tuple[int, int, int]]:
    """Pairs of hashes that differ in at most MAX_BITS bits.

    Of many equal hashes, each is paired with the next one alone, and the first stands for all of them beside others:
    a thousand frames of one scene are a thousand pairs, not half a million.

    Hashes of images without any structure, all of whose bits agree, say nothing and are left out, as are None.

    Args:
      hashes: 64-bit perceptual hashes.

    Returns:
      (first, second, bits), places in `hashes` with first < second, sorted.
    """
    places: defaultdict[int, list[int]] = defaultdict(list)
    for at, value in enumerate(hashes):
        if value is not None and value.bit_count() > 1:
            places[value].append(at)
    pairs = [(*pair, 0) for equal in places.values() for pair in itertools.pairwise(equal)]
    firsts = [equal[0] for equal in places.values()]
    values = np.asarray(list(places), np.uint64)
    for one, other, bits in _near(values):
        first, second = sorted((firsts[one], firsts[other]))
        pairs.append((first, second, bits))
    return sorted(pairs)


def _near(values: npt.NDArray[np.uint64]) -> list[tuple[int, int, int]]:
    """(first, second, bits) for distinct hashes that differ in at most MAX_BITS bits, as places in `values`."""
    found: dict[tuple[int, int], int] = {}
    edges = np.linspace(0, _HASH_BITS, _BANDS + 1).astype(np.uint64)
    for low, high in itertools.pairwise(edges):
        band = (values >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for at, member in enumerate(group[:-1]):
                others = group[at + 1 :]
                bits = np.bitwise_count(values[others] ^ values[member])
                for near in np.flatnonzero(bits <= MAX_BITS):
                    found[int(member), int(others[near])] = int(bits[near])
    return [(*pair, bits) for pair, bits in found.items()]


def group_pairs(pairs: Sequence[tuple[int, int, int]]) -> list[list[int]]:
    """The connected groups that pairs form, each sorted."""
    leader: dict[int, int] = {}

    def find(at: int) -> int:
        while leader.setdefault(at, at) != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    for first, second, _ in pairs:
        low, high = sorted((find(first), find(second)))
        leader[high] = low
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for at in sorted(leader):
        groups[find(at)].append(at)
    return list(groups.values())
