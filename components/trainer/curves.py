"""TensorBoard's view of a training: curves, images as the model sees them, precision and recall, confusion.

    <model_run>/train/          step_loss, step_accuracy, images_per_second; epoch_loss, epoch_accuracy,
                                epoch_learning_rate; train_images, of the first batch
    <model_run>/validation/     epoch_loss, epoch_accuracy, epoch_auc; pr_curve, confusion, both of the eval split

Curves of epochs are named as Keras names them. TFX deletes what a killed run has written; curves of epochs are then
written again from the checkpoint, the others begin anew.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from tensorboard.plugins.pr_curve import metadata as pr_curve

from components import pixels
from components.quantization.metrics import confusion_matrix
from components.trainer.checkpoints import Epoch

IMAGES = 16
PR_THRESHOLDS = 101
_CELL_PX = 72
_MARGIN_PX = 40


class Curves:
    """Writes event files below `run_dir`."""

    def __init__(self, run_dir: str) -> None:
        self._train = tf.summary.create_file_writer(f"{run_dir}/train")
        self._validation = tf.summary.create_file_writer(f"{run_dir}/validation")

    def write_images(self, images: Any, step: int) -> None:
        """Adds the first images of a training batch, float32 [n, side, side, channels] in [-1, 1]."""
        rasters = tf.cast(tf.round(pixels.denormalize(images[:IMAGES])), tf.uint8)
        with self._train.as_default(step):
            tf.summary.image("train_images", rasters, max_outputs=IMAGES)

    def write_step(self, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Adds the means since the epoch began, and how fast it goes."""
        with self._train.as_default(step):
            tf.summary.scalar("step_loss", loss)
            tf.summary.scalar("step_accuracy", accuracy)
            tf.summary.scalar("images_per_second", images_per_second)

    def write_epoch(self, number: int, epoch: Epoch) -> None:
        """Adds one epoch, counted from 0."""
        with self._train.as_default(number):
            tf.summary.scalar("epoch_loss", epoch.train_loss)
            tf.summary.scalar("epoch_accuracy", epoch.train_accuracy)
            tf.summary.scalar("epoch_learning_rate", epoch.learning_rate)
        with self._validation.as_default(number):
            tf.summary.scalar("epoch_loss", epoch.eval_loss)
            tf.summary.scalar("epoch_accuracy", epoch.eval_accuracy)
            if epoch.eval_auc is not None:
                tf.summary.scalar("epoch_auc", epoch.eval_auc)
        self._train.flush()
        self._validation.flush()

    def write_evaluation(
        self, number: int, probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
    ) -> None:
        """Adds how the eval split was classified after an epoch, counted from 0.

        Args:
          number: of the epoch.
          probabilities: [n, labels], 0 to 1.
          labels: int64 [n].
        """
        count = probabilities.shape[1]
        confusion = confusion_matrix(probabilities, labels)
        with self._validation.as_default(number):
            for label in (1,) if count == 2 else range(count):
                tf.summary.write(
                    f"pr_curve/label_{label}",
                    precision_recall(probabilities[:, label], labels == label),
                    metadata=pr_curve.create_summary_metadata(f"label {label}", "", PR_THRESHOLDS),
                )
            tf.summary.image("confusion", draw_confusion(confusion)[np.newaxis])
        self._validation.flush()


def precision_recall(scores: npt.NDArray[np.float64], is_positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """What TensorBoard's PR curves are drawn from.

    Args:
      scores: [n], 0 to 1.
      is_positive: [n].

    Returns:
      [6, PR_THRESHOLDS]: true positives, false positives, true negatives, false negatives, precision and recall
      where a score of at least the threshold, from 0 to 1, counts as positive.
    """
    thresholds = np.linspace(0.0, 1.0, PR_THRESHOLDS)

    def at_least(chosen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (len(chosen) - np.searchsorted(np.sort(chosen), thresholds, side="left")).astype(np.float64)

    true, false = at_least(scores[is_positive]), at_least(scores[~is_positive])
    positives, negatives = np.count_nonzero(is_positive), np.count_nonzero(~is_positive)
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
