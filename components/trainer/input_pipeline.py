"""Training and evaluation batches from the transformed examples.

Which images a step sees, and how they are changed, follows from the seed and the step's number alone; so a training
that goes on at step 1,000 sees what it would have seen, without anything kept but that number.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features, pixels
from components.errors import ConfigError, StorageError
from components.trainer.augmentation.augment import augment
from components.trainer.augmentation.options import AugmentationOptions, changes_of, mixing_changes
from components.trainer.batch_size import check_batch_size
from components.transformed_examples import read_index, read_training_rasters

MEMORY_LIMIT_BYTES = 2 * 2**30  # of the rasters of a split; more are kept in a file and read from there
_READ_BATCH = 1_024


class DecodedSplit(Protocol):
    """One split, decoded, of whatever task."""

    @property
    def rasters(self) -> npt.NDArray[np.uint8]:
        """[n, side, side, channels], in memory or in a mapped file."""

    @property
    def count(self) -> int:
        """How many images there are."""


@dataclass(frozen=True)
class Split:
    """One split, decoded.

    Attributes:
      rasters: uint8 [n, side, side, channels], in memory or in a mapped file.
      labels: int64 [n].
      objects: float32 [n, objects, 4], boxes_yxyx in 0...1 of the objects that gave the labels, rows of 0 where an
        image has fewer; None where no image has any.
    """

    rasters: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    objects: npt.NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.labels)


def read_split(files: Sequence[str], shape: tuple[int, int, int], spill: Path, *, key: str = features.RASTER) -> Split:
    """Decodes one split, into memory where it fits and into a file where not.

    Args:
      files: TFRecord files of transformed examples.
      shape: [height, width, channels] of a raster.
      spill: the file for rasters that need more than `MEMORY_LIMIT_BYTES`.
      key: `features.RASTER`, or `features.TRAINING_RASTER` to train on those.

    Raises:
      StorageError: if there is no room for that file.
    """
    _, labels = read_index(files)
    rasters = allocate_rasters(len(labels), shape, spill)
    objects = np.empty((len(labels), features.MAX_OBJECTS, 4), np.float32)
    at = 0
    for batch, boxes in read_training_rasters(files, shape, key).batch(_READ_BATCH).as_numpy_iterator():
        rasters[at : at + len(batch)] = batch
        objects[at : at + len(batch)] = boxes
        at += len(batch)
    return Split(rasters, labels, objects if objects.any() else None)


def allocate_rasters(count: int, shape: tuple[int, int, int], spill: Path) -> npt.NDArray[np.uint8]:
    """Room for a split's rasters, uint8 [count, *shape]; arguments and errors as of `read_split`."""
    size = count * shape[0] * shape[1] * shape[2]
    if size <= MEMORY_LIMIT_BYTES:
        return np.empty((count, *shape), np.uint8)
    return _mapped(spill, size, (count, *shape))


def _mapped(path: Path, size: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A new file as an array; its room is taken at once, since a mapped file that cannot grow ends the process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: {error.strerror}: the decoded rasters of a split need {size:,} bytes",
            hint="make room, or write elsewhere with --set run.root=DIR",
        ) from error
    return np.memmap(path, np.uint8, "r+", shape=shape)


class DataOrder:
    """Which images each step sees: an endless row of shuffled passes, cut into batches.

    Args:
      labels: int64 [n] of the split.
      batch_size: images in a step.
      seed: another one gives another order.
      balanced: whether all labels that occur take turns, each with passes of its own.

    Attributes:
      batch_size: the same.
    """

    def __init__(self, labels: npt.NDArray[np.int64], batch_size: int, seed: int, *, balanced: bool) -> None:
        self._groups = (
            [np.flatnonzero(labels == label) for label in np.unique(labels)] if balanced else [np.arange(len(labels))]
        )
        self.batch_size = batch_size
        self._seed = seed
        self._latest: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """The places of a step's images in the split, int64 [batch]; steps are counted from 0."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        images = np.empty(len(positions), np.int64)
        turns, groups = np.divmod(positions, len(self._groups))
        for group, members in enumerate(self._groups):
            passes, places = np.divmod(turns[groups == group], len(members))
            images[groups == group] = [
                self._pass(group, int(p))[place] for p, place in zip(passes, places, strict=True)
            ]
        return images

    def _pass(self, group: int, number: int) -> npt.NDArray[np.int64]:
        """The images of a group in the order of one of its passes."""
        if group not in self._latest or self._latest[group][0] != number:
            order = np.random.default_rng([self._seed, group, number]).permutation(self._groups[group])
            self._latest[group] = (number, order)
        return self._latest[group][1]


def stream_batches(
    arrays: Sequence[npt.NDArray[Any]], order: DataOrder, prepare: Callable[..., tuple[Any, Any]], first_step: int
) -> Any:
    """An endless `tf.data.Dataset` of training batches.

    Args:
      arrays: [n, ...] of the split, one of each kind.
      order: which of them a step takes.
      prepare: from a step's number and its rows of every array to the batch, in TensorFlow.
      first_step: where to start, counted from 0.
    """

    def gather(step: Any) -> list[npt.NDArray[Any]]:
        images = order.batch(int(step))
        return [array[images] for array in arrays]

    def read(step: Any) -> tuple[Any, ...]:
        gathered = tf.numpy_function(gather, [step], [array.dtype for array in arrays], stateful=False)
        return step, *(
            tf.ensure_shape(batch, (order.batch_size, *array.shape[1:]))
            for batch, array in zip(gathered, arrays, strict=True)
        )

    return (
        tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        .map(read)  # one after the other: the order keeps its latest pass
        # Nothing in it is Python's control flow over tensors, for which AutoGraph would rewrite it.
        .map(tf.autograph.experimental.do_not_convert(prepare), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
    )


def training_batches(
    split: Split,
    *,
    batch_size: int,
    label_count: int,
    augmentation: AugmentationOptions,
    seed: int,
    shape: tuple[int, int, int],
    balanced: bool = False,
    first_step: int = 0,
) -> Any:
    """An endless `tf.data.Dataset` of whole training batches, shuffled and changed anew in every pass.

    Args:
      split: what to train on.
      batch_size: images in a batch.
      label_count: number of labels.
      augmentation: random changes of the rasters.
      seed: of order and changes.
      shape: [height, width, channels] of the model's input, which the split's rasters may exceed.
      balanced: whether all labels are drawn equally often, instead of every image once a pass.
      first_step: where to start, counted from 0.

    Returns:
      (image, label) pairs: float32 [batch, side, side, channels] in [-1, 1] and float32 [batch, label_count], one-hot
      unless MixUp or CutMix mixed them.

    Raises:
      ConfigError: if the split holds less than one batch, or one label alone where images are to be mixed.
    """
    check_batch_size(batch_size, split.count)
    changes = changes_of(augmentation)
    if (mixing := mixing_changes(augmentation)) and len(found := np.unique(split.labels)) == 1:
        raise ConfigError(
            f"trainer.augmentation: {' and '.join(mixing)}: all {split.count:,} images of the train split have the "
            f"label {found[0]}, so that nothing can be mixed",
            expected="training images of two labels or more",
            hint="add images of another label, or take it out of trainer.augmentation",
        )
    order = DataOrder(split.labels, batch_size, seed, balanced=balanced)

    arrays: list[npt.NDArray[Any]] = [split.rasters, split.labels]
    arrays += [] if split.objects is None else [split.objects]

    def prepare(step: Any, rasters: Any, labels: Any, objects: Any | None = None) -> tuple[Any, Any]:
        images, mixed = augment(
            rasters,
            tf.one_hot(labels, label_count),
            objects,
            tf.stack([tf.cast(seed, tf.int64), step]),
            changes,
            side=shape[0],
            channels=shape[2],
        )
        return pixels.normalize(images), mixed

    return stream_batches(arrays, order, prepare, first_step)


def evaluation_batches(split: DecodedSplit, *, batch_size: int) -> Any:
    """A `tf.data.Dataset` of one pass over the split in file order, unchanged.

    Returns:
      Images, float32 [batch, side, side, channels] in [-1, 1]; the last batch may be smaller.
    """

    def read(start: Any) -> Any:
        rasters = tf.numpy_function(
            lambda at: split.rasters[int(at) : int(at) + batch_size], [start], tf.uint8, stateful=False
        )
        return pixels.normalize(tf.cast(tf.ensure_shape(rasters, (None, *split.rasters.shape[1:])), tf.float32))

    return tf.data.Dataset.range(0, split.count, batch_size).map(read).prefetch(2)
