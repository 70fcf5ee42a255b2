"""A detector's images and boxes: decoded once, drawn into training batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features, pixels
from components.detection.detections import GroundTruth
from components.trainer.augmentation.boxes import augment_boxes
from components.trainer.augmentation.options import AugmentationOptions, changes_of
from components.trainer.batch_size import check_batch_size
from components.trainer.box_targets import BoxTargets
from components.trainer.input_pipeline import DataOrder, allocate_rasters, stream_batches
from components.transformed_examples import read_boxes, read_index

_READ_BATCH = 1_024


@dataclass(frozen=True)
class BoxSplit:
    """One split, decoded.

    Attributes:
      rasters: uint8 [n, side, side, channels], in memory or in a mapped file.
      boxes_yxyx: float32 [n, boxes, 4] in 0...1.
      labels: int32 [n, boxes], 0 where there is no box.
      crowds: bool [n, boxes].
    """

    rasters: npt.NDArray[np.uint8]
    boxes_yxyx: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    crowds: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def targets(self, images: slice) -> BoxTargets:
        """What is in some of the images."""
        return BoxTargets(self.boxes_yxyx[images], self.labels[images], self.crowds[images])

    @cached_property
    def truths(self) -> tuple[GroundTruth, ...]:
        """What is in each image; its sides and areas are the raster's, and of boxes, not of masks."""
        side = self.rasters.shape[1]
        found = []
        for boxes, labels, crowds in zip(self.boxes_yxyx, self.labels, self.crowds, strict=True):
            boxes, crowds = boxes[labels > 0], crowds[labels > 0]  # noqa: PLW2901  # without the padding
            areas = np.prod((boxes[:, 2:] - boxes[:, :2]) * side, axis=1)
            found.append(GroundTruth(boxes, labels[labels > 0].astype(np.int64), crowds, areas, side, side))
        return tuple(found)


def read_box_split(
    files: Sequence[str], shape: tuple[int, int, int], spill: Path, *, key: str = features.RASTER
) -> BoxSplit:
    """Decodes one split; arguments and errors as of `input_pipeline.read_split`."""
    count = len(read_index(files)[1])
    rasters = allocate_rasters(count, shape, spill)
    parts: list[Any] = []
    at = 0
    for batch, *described in read_boxes(files, shape, key).batch(_READ_BATCH).as_numpy_iterator():
        rasters[at : at + len(batch)] = batch
        at += len(batch)
        parts.append(described)
    boxes, labels, crowds = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    most = max(int((labels > 0).sum(axis=1).max(initial=0)), 1)  # padding costs every step
    return BoxSplit(rasters, boxes[:, :most], labels[:, :most].astype(np.int32), crowds[:, :most])


def box_batches(
    split: BoxSplit,
    *,
    batch_size: int,
    augmentation: AugmentationOptions,
    seed: int,
    shape: tuple[int, int, int],
    first_step: int = 0,
) -> Any:
    """An endless `tf.data.Dataset` of whole training batches, shuffled and changed anew in every pass.

    Args:
      split: what to train on.
      batch_size: images in a batch.
      augmentation: random changes of the rasters.
      seed: of order and changes.
      shape: [height, width, channels] of the model's input, which the split's rasters may exceed.
      first_step: where to start, counted from 0.

    Returns:
      (image, targets) pairs: float32 [batch, side, side, channels] in [-1, 1] and `BoxTargets`.

    Raises:
      ConfigError: if the split holds less than one batch.
    """
    check_batch_size(batch_size, split.count)
    changes = changes_of(augmentation)
    order = DataOrder(np.zeros(split.count, np.int64), batch_size, seed, balanced=False)

    def prepare(step: Any, rasters: Any, *targets: Any) -> tuple[Any, BoxTargets]:
        images, changed = augment_boxes(
            rasters,
            BoxTargets(*targets),
            tf.stack([tf.cast(seed, tf.int64), step]),
            changes,
            side=shape[0],
            channels=shape[2],
        )
        return pixels.normalize(images), changed

    return stream_batches([split.rasters, split.boxes_yxyx, split.labels, split.crowds], order, prepare, first_step)
