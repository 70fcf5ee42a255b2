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

    Hashes of images without any structure, all of whose bits agree, say nothing and are left out, as are None.

    Args:
      hashes: 64-bit perceptual hashes.

    Returns:
      (first, second, bits), places in `hashes` with first < second, sorted.
    """
    known = [(at, value) for at, value in enumerate(hashes) if value is not None and value.bit_count() > 1]
    places = np.asarray([at for at, _ in known], np.int64)
    values = np.asarray([value for _, value in known], np.uint64)
    pairs: dict[tuple[int, int], int] = {}
    edges = np.linspace(0, _HASH_BITS, _BANDS + 1).astype(np.uint64)
    for low, high in itertools.pairwise(edges):
        band = (values >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            _add_pairs(group, places, values, pairs)
    return [(*pair, bits) for pair, bits in sorted(pairs.items())]


def _add_pairs(
    group: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    values: npt.NDArray[np.uint64],
    pairs: dict[tuple[int, int], int],
) -> None:
    """Adds the pairs among one group, places in `values`, that share a band."""
    for at, member in enumerate(group[:-1]):
        others = group[at + 1 :]
        bits = np.bitwise_count(values[others] ^ values[member])
        for other in others[bits <= MAX_BITS]:
            first, second = sorted((int(places[member]), int(places[other])))
            pairs[first, second] = int(np.bitwise_count(values[member] ^ values[other]))


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
