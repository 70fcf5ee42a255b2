"""Classification: one label for each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features
from components.quantization.metrics import classifier_metrics, confusion_matrix
from components.trainer.curves import draw_confusion, draw_rasters, pr_curve_metadata, precision_recall
from components.trainer.input_pipeline import Split, evaluation_batches, read_split, training_batches
from components.trainer.job import TrainingJob
from components.trainer.objectives.objective import Predict
from components.trainer.options import TrainerOptions


@dataclass(frozen=True)
class ClassifierEvaluation:
    """What a classifier came to.

    Attributes:
      figures: loss, the mean cross-entropy; accuracy; and `auc` as in `components.quantization.metrics`, left out where
        the split lacks a label.
      probabilities: float64 [n, labels].
      labels: int64 [n].
    """

    figures: Mapping[str, float]
    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def write_summaries(self) -> None:
        """Precision and recall of each label, and the confusion."""
        count = self.probabilities.shape[1]
        for label in (1,) if count == 2 else range(count):
            curve = precision_recall(self.probabilities[:, label], self.labels == label)
            tf.summary.write(f"pr_curve/label_{label}", curve, metadata=pr_curve_metadata(label))
        confusion = confusion_matrix(self.probabilities, self.labels)
        tf.summary.image("confusion", draw_confusion(confusion)[np.newaxis])


class ClassifierObjective:
    """Cross-entropy, and accuracy beside it.

    Args:
      options: how to train.
      class_weights: float [labels], by which the loss of an image is multiplied.
    """

    def __init__(self, options: TrainerOptions, class_weights: npt.NDArray[np.float32]) -> None:
        self._batch_size = options.batch_size
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=options.label_smoothing, reduction="none"
        )

    def size(self, targets: Any) -> Any:
        """How many images there are."""
        return tf.cast(tf.shape(targets)[0], tf.float32)

    def loss(self, outputs: Any, targets: Any, size: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002  # known before
        """Of logits and labels, both float32 [n, labels], every row of labels a distribution over them."""
        batch = tf.cast(self._batch_size, tf.float32)
        weighted = self._loss(targets, outputs) * tf.linalg.matvec(targets, self._class_weights)
        right = tf.cast(tf.argmax(outputs, 1) == tf.argmax(targets, 1), tf.float32)
        return tf.reduce_sum(weighted) / batch, {"accuracy": tf.reduce_sum(right) / batch}

    def evaluate(self, predict: Predict, split: Split) -> ClassifierEvaluation:
        """Judges a model by its probabilities of all labels."""
        batches = evaluation_batches(split, batch_size=self._batch_size)
        logits = np.concatenate([predict(images).numpy() for images in batches])
        log_probabilities = _log_softmax(logits.astype(np.float64))
        loss = -float(log_probabilities[np.arange(len(logits)), split.labels].mean())
        probabilities = np.exp(log_probabilities)
        metrics = classifier_metrics(probabilities, split.labels)
        figures = {"loss": loss, "accuracy": metrics.accuracy}
        if metrics.auc is not None:
            figures["auc"] = metrics.auc
        return ClassifierEvaluation(figures, probabilities, split.labels)

    def describe(self, means: Mapping[str, float], latest: Mapping[str, float] | None) -> str:  # noqa: ARG002  # of the protocol
        """Loss and accuracy of the epoch's steps."""
        return f"loss {means['loss']:.3f}, accuracy {means['accuracy']:.3f}"


class ClassificationTask:
    """The task of a job, with its images.

    Args:
      job: what to train.
      train_files, eval_files: TFRecord files of transformed examples.
      spill_folder: for decoded images that do not fit in memory.

    Attributes:
      objective, train_split, eval_split: see `objective.Task`.
    """

    def __init__(
        self, job: TrainingJob, train_files: Sequence[str], eval_files: Sequence[str], spill_folder: Path
    ) -> None:
        self._job = job
        self.train_split = read_split(
            train_files,
            job.training_raster_shape or job.raster_shape,
            spill_folder / "train.rasters",
            key=features.RASTER if job.training_raster_shape is None else features.TRAINING_RASTER,
        )
        self.eval_split = read_split(eval_files, job.raster_shape, spill_folder / "eval.rasters")
        weights = (
            class_weights(self.train_split.labels, job.label_count)
            if job.trainer.class_balance == "weights"
            else np.ones(job.label_count, np.float32)
        )
        self.objective = ClassifierObjective(job.trainer, weights)

    def batches(self, first_step: int) -> Any:
        """See `input_pipeline.training_batches`."""
        options = self._job.trainer
        return training_batches(
            self.train_split,
            batch_size=options.batch_size,
            label_count=self._job.label_count,
            augmentation=options.augmentation,
            seed=self._job.seed,
            shape=self._job.raster_shape,
            balanced=options.class_balance == "sampling",
            first_step=first_step,
        )

    def draw(self, images: Any, targets: Any) -> npt.NDArray[np.uint8]:  # noqa: ARG002  # a label needs no drawing
        """The images as the model sees them."""
        return draw_rasters(images)


def class_weights(labels: npt.NDArray[np.int64], label_count: int) -> npt.NDArray[np.float32]:
    """The weight of each label, n / (k * its images): all k that occur weigh the same, and an image 1 on average.

    Args:
      labels: int64 [n].
      label_count: number of labels; one without an image gets 0.

    Returns:
      float32 [label_count].
    """
    counts = np.bincount(labels, minlength=label_count)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
