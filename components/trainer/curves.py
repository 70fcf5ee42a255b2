"""TensorBoard's view of a training: curves, images as the model sees them, and what a task draws of its evaluations.

    <model_run>/train/          step_loss, step_accuracy, images_per_second; epoch_loss, epoch_accuracy,
                                epoch_learning_rate; train_images, of the first batch
    <model_run>/validation/     epoch_loss, epoch_accuracy, epoch_auc; pr_curve, confusion, both of the eval split

and of a detector, instead of accuracy and AUC:

    <model_run>/train/          step_score_loss, step_box_loss; epoch_score_loss, epoch_box_loss
    <model_run>/validation/     epoch_ap, epoch_ap50; detections, of the first images of the eval split

Curves of epochs are named as Keras names them. TFX deletes what a killed run has written; curves of epochs are then
written again from the checkpoint, the others begin anew.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from tensorboard.plugins.pr_curve import metadata as pr_curve

from components import pixels
from components.trainer.checkpoints import Epoch
from components.trainer.objectives.objective import Evaluation

IMAGES = 16
PR_THRESHOLDS = 101
_CELL_PX = 72
_MARGIN_PX = 40


class Curves:
    """Writes event files below `run_dir`."""

    def __init__(self, run_dir: str) -> None:
        self._train = tf.summary.create_file_writer(f"{run_dir}/train")
        self._validation = tf.summary.create_file_writer(f"{run_dir}/validation")

    def write_images(self, pictures: npt.NDArray[np.uint8], step: int) -> None:
        """Adds the first pictures of a training batch, uint8 [n, height, width, channels]."""
        with self._train.as_default(step):
            tf.summary.image("train_images", pictures[:IMAGES], max_outputs=IMAGES)

    def write_step(self, step: int, means: Mapping[str, float], images_per_second: float) -> None:
        """Adds the means since the epoch began, and how fast it goes."""
        with self._train.as_default(step):
            for name, mean in means.items():
                tf.summary.scalar(f"step_{name}", mean)
            tf.summary.scalar("images_per_second", images_per_second)

    def write_epoch(self, number: int, epoch: Epoch) -> None:
        """Adds one epoch, counted from 0."""
        with self._train.as_default(number):
            for name, figure in epoch.train.items():
                tf.summary.scalar(f"epoch_{name}", figure)
            tf.summary.scalar("epoch_learning_rate", epoch.learning_rate)
        with self._validation.as_default(number):
            for name, figure in epoch.eval.items():
                tf.summary.scalar(f"epoch_{name}", figure)
        self._train.flush()
        self._validation.flush()

    def write_evaluation(self, number: int, evaluation: Evaluation) -> None:
        """Adds what an epoch, counted from 0, came to on the eval split."""
        with self._validation.as_default(number):
            evaluation.write_summaries()
        self._validation.flush()


def pr_curve_metadata(label: int) -> Any:
    """What makes TensorBoard draw `precision_recall` of a label as a curve."""
    return pr_curve.create_summary_metadata(f"label {label}", "", PR_THRESHOLDS)


def draw_rasters(images: Any) -> npt.NDArray[np.uint8]:
    """What the model sees, float32 [n, side, side, channels] in [-1, 1], as 8-bit pixels."""
    return np.asarray(tf.cast(tf.round(pixels.denormalize(images)), tf.uint8))


def precision_recall(
    scores: npt.NDArray[np.float64], is_positive: npt.NDArray[np.bool_], *, missed: int = 0
) -> npt.NDArray[np.float64]:
    """What TensorBoard's PR curves are drawn from.

    Args:
      scores: [n], 0 to 1.
      is_positive: [n].
      missed: further positives, without a score.

    Returns:
      [6, PR_THRESHOLDS]: true positives, false positives, true negatives, false negatives, precision and recall
      where a score of at least the threshold, from 0 to 1, counts as positive.
    """
    thresholds = np.linspace(0.0, 1.0, PR_THRESHOLDS)

    def at_least(chosen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (len(chosen) - np.searchsorted(np.sort(chosen), thresholds, side="left")).astype(np.float64)

    true, false = at_least(scores[is_positive]), at_least(scores[~is_positive])
    positives, negatives = np.count_nonzero(is_positive) + missed, np.count_nonzero(~is_positive)
    precision = true / np.maximum(true + false, 1.0)
    return np.stack([true, false, negatives - false, positives - true, precision, true / np.maximum(positives, 1)])


def draw_confusion(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """A confusion matrix as a picture: rows are true labels, columns predictions, a cell's shade its share of the row.

    Args:
      confusion: int64 [labels, labels].

    Returns:
      uint8 [height, width, 3].
    """
    count = len(confusion)
    side = _MARGIN_PX + count * _CELL_PX
    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    draw.text((_MARGIN_PX, 2), "predicted", "black", font)
    for place in range(count):
        middle = _MARGIN_PX + (place + 0.5) * _CELL_PX
        draw.text((middle, _MARGIN_PX - 12), str(place), "black", font, anchor="mm")
        draw.text((_MARGIN_PX - 14, middle), str(place), "black", font, anchor="mm")
    for row, column in np.ndindex(*confusion.shape):
        left, top = _MARGIN_PX + column * _CELL_PX, _MARGIN_PX + row * _CELL_PX
        share = shares[row, column]
        fill = tuple(round(255 - share * (255 - full)) for full in (8, 81, 156))
        draw.rectangle((left, top, left + _CELL_PX - 2, top + _CELL_PX - 2), fill)
        text = f"{confusion[row, column]:,}"
        draw.text(
            (left + _CELL_PX / 2, top + _CELL_PX / 2), text, "white" if share > 0.5 else "black", font, anchor="mm"
        )
    return np.asarray(picture)
