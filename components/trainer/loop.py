"""The training loop: steps, averages, evaluation, checkpoints and when to stop."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.errors import ModelError
from components.quantization.metrics import classifier_metrics
from components.trainer.checkpoints import Checkpoint, Epoch, Position
from components.trainer.ema import MovingAverages
from components.trainer.input_pipeline import Split, evaluation_batches
from components.trainer.optimization import build_optimizer, build_schedule
from components.trainer.options import BestBy, EarlyStopping, TrainerOptions


class TrainingLoop:
    """A model in training.

    Args:
      model: from float32 images to logits, untrained or with weights to start from.
      options: how to train.
      steps_per_epoch: optimizer steps in an epoch.
      class_weights: float [labels], by which the loss of an image is multiplied.

    Attributes:
      model: the same.
      position: how far the training is.
      best: weights of the best epoch so far, in the model's order; empty before the first.
    """

    def __init__(
        self,
        model: keras.Model,
        options: TrainerOptions,
        steps_per_epoch: int,
        class_weights: npt.NDArray[np.float32],
    ) -> None:
        self.model = model
        self.position = Position()
        self.best: Sequence[npt.NDArray[Any]] = ()
        self._options = options
        self._steps_per_epoch = steps_per_epoch
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._schedule = build_schedule(options, steps_per_epoch)
        self._optimizer = build_optimizer(options, steps_per_epoch, model)
        self._averages = None if options.ema_decay is None else MovingAverages(model.weights, options.ema_decay)
        self._loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=options.label_smoothing)
        # No XLA: it makes depthwise convolutions 15 times slower on a CPU.
        self._train = tf.function(self._train_on_batch)
        self._predict = tf.function(
            lambda images: model(images, training=False),
            input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
        )

    @property
    def total_steps(self) -> int:
        """Of the whole training, unless it stops early."""
        return self._options.epochs * self._steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch is over, or the metric has stood still for long enough."""
        stopping = self._options.early_stopping
        if stopping is not None and epochs_without_gain(self._metric_values(), stopping) >= stopping.patience_epochs:
            return True
        return self.position.step >= self.total_steps

    @property
    def averages(self) -> list[npt.NDArray[Any]]:
        """The averaged weights in the model's order, or without `ema_decay` the weights themselves."""
        return [v.numpy() for v in (self.model.weights if self._averages is None else self._averages.shadows)]

    def _train_on_batch(self, images: Any, labels: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            weights = tf.linalg.matvec(labels, self._class_weights)
            loss = tf.add_n([self._loss(labels, logits, sample_weight=weights), *self.model.losses])
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        if self._averages is not None:
            self._averages.update(self._optimizer.iterations.value)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == tf.argmax(labels, 1), tf.float32))

    def step(self, images: Any, labels: Any) -> None:
        """One step.

        Args:
          images: float32 [batch, side, side, channels] in [-1, 1].
          labels: one-hot float32 [batch, labels].

        Raises:
          ModelError: if the loss is not finite.
        """
        loss, accuracy = (float(value) for value in self._train(images, labels))
        before = self.position
        self._check_finite(loss, before.step)
        self.position = before.model_copy(
            update={
                "step": before.step + 1,
                "loss_sum": before.loss_sum + loss,
                "accuracy_sum": before.accuracy_sum + accuracy,
            }
        )

    @property
    def is_epoch_over(self) -> bool:
        """Whether the latest step was the last of an epoch."""
        return self.position.step % self._steps_per_epoch == 0

    def finish_epoch(self, eval_split: Split) -> Epoch:
        """Evaluates, with the averaged weights where there are any, and keeps them if they are the best so far.

        Raises:
          ModelError: if the loss on the eval split is not finite.
        """
        with nullcontext() if self._averages is None else self._averages.applied():
            batches = evaluation_batches(eval_split, batch_size=self._options.batch_size)
            logits = np.concatenate([self._predict(images).numpy() for images in batches])
            weights = self.model.get_weights()
        log_probabilities = _log_softmax(logits.astype(np.float64))
        loss = -float(log_probabilities[np.arange(len(logits)), eval_split.labels].mean())
        last_step = self.position.step - 1
        self._check_finite(loss, last_step)
        metrics = classifier_metrics(np.exp(log_probabilities), eval_split.labels)
        epoch = Epoch(
            learning_rate=self._learning_rate(last_step),
            train_loss=self.position.loss_sum / self._steps_per_epoch,
            train_accuracy=self.position.accuracy_sum / self._steps_per_epoch,
            eval_loss=loss,
            eval_accuracy=metrics.accuracy,
            eval_auc=metrics.auc,
        )
        self.position = Position(step=self.position.step, history=(*self.position.history, epoch))
        values = self._metric_values()
        if all(values[-1] > earlier for earlier in values[:-1]):
            self.best = weights
        return epoch

    def checkpoint(self) -> Checkpoint:
        """Everything that decides how the training goes on.

        Raises:
          ModelError: if a weight is not finite, so that no checkpoint is ever one of a diverged training.
        """
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            self._check_finite(math.nan, self.position.step - 1)
        return Checkpoint(self.position, [variable.numpy() for variable in self._state()], self.best)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back, or on, to a checkpoint."""
        for variable, value in zip(self._state(), checkpoint.variables, strict=True):
            variable.assign(value)
        self.position = checkpoint.position
        self.best = checkpoint.best

    def _state(self) -> list[Any]:
        """Every variable that a step reads and changes; the model's include the counters behind dropout."""
        shadows = [] if self._averages is None else self._averages.shadows
        return [*self.model.variables, *self._optimizer.variables, *shadows]

    def _metric_values(self) -> list[float]:
        return metric_values(self.position.history, self._options.best_by)

    def _learning_rate(self, step: int) -> float:
        return float(self._schedule(step))

    def _check_finite(self, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        rate = self._learning_rate(step)
        raise ModelError(
            f"training diverged: received loss={loss} at step {step + 1:,} of {self.total_steps:,}, "
            f"epoch {step // self._steps_per_epoch + 1}, learning rate {rate:.3g}",
            expected="a finite loss",
            hint=f"--set trainer.learning_rate={self._options.learning_rate / 3:.2g}, or a longer "
            "trainer.schedule.warmup_epochs; the last checkpoint before it is kept",
        )


def metric_values(history: Sequence[Epoch], best_by: BestBy) -> list[float]:
    """The metric of every epoch, turned so that more is better.

    Raises:
      ModelError: if it is the AUC, and the eval split has none.
    """
    read: dict[str, Callable[[Epoch], float | None]] = {
        "accuracy": lambda epoch: epoch.eval_accuracy,
        "auc": lambda epoch: epoch.eval_auc,
        "loss": lambda epoch: -epoch.eval_loss,
    }
    values = [read[best_by.metric](epoch) for epoch in history]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        raise ModelError(
            "trainer.best_by.metric=auc: the eval split has no AUC",
            expected="images of every label in it, and not of one label alone",
            hint="add such images, or --set trainer.best_by.metric=accuracy",
        )
    return known


def epochs_without_gain(values: Sequence[float], stopping: EarlyStopping) -> int:
    """How many epochs have passed since the metric last rose by more than `min_delta`."""
    best, since = -math.inf, 0
    for value in values:
        best, since = (value, 0) if value > best + stopping.min_delta else (best, since + 1)
    return since


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
