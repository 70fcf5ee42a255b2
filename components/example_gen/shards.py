"""Which image goes into which file: decided up front, from the small records, before any image is read.

Shards are what the workers share out, so image bytes never travel between them, and the same images give the
same files on any number of workers.
"""

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass

from components.example_gen.image_records import ImageRecord
from components.example_gen.plan import LabeledImage

SHARD_BYTES = 128 * 2**20  # TFX and tf.data read 100 to 200 MB files best


@dataclass(frozen=True, slots=True)
class Shard:
    """One output file and the images that go into it, in order."""

    split: str
    index: int
    count: int
    images: tuple[LabeledImage, ...]

    @property
    def file_name(self) -> str:
        """Path below the examples artifact, in TFX's layout."""
        return f"Split-{self.split}/data_tfrecord-{self.index:05d}-of-{self.count:05d}"

    def to_bytes(self) -> bytes:
        """The shard as one worker hands it to another: plain tuples, which pickle fastest."""
        images = [
            (r.id, r.file_name, r.width, r.height, r.packed, i.split, i.label, i.bucket, i.path, i.size_bytes)
            for i in self.images
            for r in (i.record,)
        ]
        return pickle.dumps((self.split, self.index, self.count, images), pickle.HIGHEST_PROTOCOL)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Shard":
        """The inverse of `to_bytes`."""
        split, index, count, images = pickle.loads(data)  # noqa: S301  # what to_bytes wrote, in this very pipeline
        labeled = (LabeledImage(ImageRecord(*values[:5]), *values[5:]) for values in images)
        return cls(split, index, count, tuple(labeled))


def _shuffle_key(image: LabeledImage, seed: int) -> bytes:
    return hashlib.sha256(f"shuffle:{seed}:{image.record.source_id}".encode()).digest()


def cut_shards(images: Sequence[LabeledImage], *, seed: int, shard_bytes: int = SHARD_BYTES) -> list[Shard]:
    """Shuffles each split by a hash of the image ids and cuts it into shards of at least `shard_bytes`.

    Args:
      images: in any order; the result does not depend on it.
      seed: another number gives another order.
      shard_bytes: size of the images in all shards of a split but the last.
    """
    shards: list[Shard] = []
    for split in sorted({image.split for image in images}):
        cuts: list[list[LabeledImage]] = [[]]
        filled = 0
        for image in sorted((i for i in images if i.split == split), key=lambda i: _shuffle_key(i, seed)):
            if filled >= shard_bytes:
                cuts.append([])
                filled = 0
            cuts[-1].append(image)
            filled += image.size_bytes
        shards += [Shard(split, index, len(cuts), tuple(cut)) for index, cut in enumerate(cuts)]
    return shards
