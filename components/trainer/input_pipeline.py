"""Training and evaluation batches from the transformed examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from components import pixels
from components.trainer.augmentation import augment
from components.trainer.options import AugmentationOptions
from components.transformed_examples import read_rasters

CACHE_LIMIT_BYTES = 2 * 2**30  # rasters kept in memory; more are read again in every epoch
SHUFFLE_BUFFER = 16_384  # images


@dataclass(frozen=True)
class Split:
    """One split, ready to be batched.

    Attributes:
      rasters: a `tf.data.Dataset` of (uint8 [side, side, channels], int64 []).
      count: how many there are.
    """

    rasters: Any
    count: int


def read_split(files: Sequence[str], shape: tuple[int, int, int]) -> Split:
    """Opens one split and counts it; keeps it in memory where it fits.

    Args:
      files: TFRecord files of transformed examples.
      shape: [height, width, channels] of a raster.
    """
    rasters = read_rasters(files, shape)
    count = int(rasters.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))
    # Keras warns of "interrupting training" where a data set of unknown length ends.
    rasters = rasters.apply(tf.data.experimental.assert_cardinality(count))
    if count * shape[0] * shape[1] * shape[2] <= CACHE_LIMIT_BYTES:
        rasters = rasters.cache()
    return Split(rasters, count)


def training_batches(
    split: Split, *, batch_size: int, label_count: int, augmentation: AugmentationOptions, seed: int
) -> Any:
    """An endless `tf.data.Dataset` of whole training batches, shuffled anew in every epoch.

    Returns:
      (image, label) pairs: float32 [batch, side, side, channels] in [-1, 1] and one-hot float32 [batch, label_count].
    """
    batches = (
        split.rasters.shuffle(min(split.count, SHUFFLE_BUFFER), seed=seed)
        .repeat()
        .batch(batch_size, drop_remainder=True)
    )

    def prepare(index: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        rasters, labels = batch
        changed = augment(tf.cast(rasters, tf.float32), tf.stack([tf.cast(seed, tf.int64), index]), augmentation)
        return pixels.normalize(changed), tf.one_hot(labels, label_count)

    return batches.enumerate().map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def evaluation_batches(split: Split, *, batch_size: int, label_count: int) -> Any:
    """A `tf.data.Dataset` of one pass over the split in file order, unchanged; types as in `training_batches`."""
    return split.rasters.batch(batch_size).map(
        lambda rasters, labels: (pixels.normalize(tf.cast(rasters, tf.float32)), tf.one_hot(labels, label_count))
    )
