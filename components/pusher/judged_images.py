"""The images of a split as they are judged: as a camera would deliver them, with their labels, ids and slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features, pixels

_RECORDS_AT_ONCE = 64  # of a few hundred kilobytes each


@dataclass(frozen=True)
class JudgedImages:
    """One split, all of the same length n.

    Attributes:
      rasters: uint8 [n, height, width, channels].
      labels: int64 [n].
      source_ids: image ids.
      slices: size of the largest labelled object.
    """

    rasters: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    source_ids: list[str]
    slices: list[str]

    @property
    def codes(self) -> npt.NDArray[np.int8]:
        """What a device feeds the model: int8, of the rasters' shape; made anew each time, a byte for a value."""
        return pixels.quantize(self.rasters)


def read_judged_images(files: Sequence[str], example_files: Sequence[str], shape: tuple[int, int, int]) -> JudgedImages:
    """Reads a split.

    Args:
      files: its transformed examples.
      example_files: its examples, which know the size of the largest object.
      shape: [height, width, channels] of the rasters.
    """
    from components.transformed_examples import read_index, read_rasters

    slices = _read_slices(example_files)
    source_ids, labels = read_index(files)
    rasters = np.empty((len(source_ids), *shape), np.uint8)
    for index, (raster, _) in enumerate(read_rasters(files, shape).as_numpy_iterator()):
        rasters[index] = raster
    return JudgedImages(rasters, labels, source_ids, [slices[source_id] for source_id in source_ids])


def _read_slices(example_files: Sequence[str]) -> dict[str, str]:
    """Bucket of the largest labelled object, by image id."""
    import tensorflow as tf

    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in (features.SOURCE_ID, features.LARGEST_OBJECT)}

    def parse(records: Any) -> Any:
        return tf.io.parse_example(records, spec)

    slices: dict[str, str] = {}
    for batch in tf.data.TFRecordDataset(list(example_files)).batch(_RECORDS_AT_ONCE).map(parse).as_numpy_iterator():
        pairs = zip(batch[features.SOURCE_ID], batch[features.LARGEST_OBJECT], strict=True)
        slices |= {source_id.decode(): bucket.decode() for source_id, bucket in pairs}
    return slices
