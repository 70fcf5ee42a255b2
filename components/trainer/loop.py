"""The training loop: steps, averages, evaluation, checkpoints and when to stop."""

import math
from collections.abc import Callable, Sequence
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
from components.trainer.options import EarlyStopping, Metric, TrainerOptions
from components.trainer.stages import Stage, freeze_below


class TrainingLoop:
    """A model in training.

    Args:
      model: from float32 images to logits, untrained or with weights to start from; made in the strategy's scope.
      options: how to train.
      steps_per_epoch: optimizer steps in an epoch.
      class_weights: float [labels], by which the loss of an image is multiplied.
      strategy: over which devices a step is spread.
      judged: the same model in float32, which takes the weights that are evaluated; its own do not matter.

    Attributes:
      model: the same.
      steps_per_epoch: the same.
      position: how far the training is.
      best: weights of the best epoch so far, in the model's order; empty before the first.
    """

    def __init__(
        self,
        model: keras.Model,
        options: TrainerOptions,
        steps_per_epoch: int,
        class_weights: npt.NDArray[np.float32],
        *,
        strategy: Any,
        judged: keras.Model,
    ) -> None:
        self.model = model
        self._judged = judged
        self.position = Position()
        self.best: Sequence[npt.NDArray[Any]] = ()
        self._options = options
        self.steps_per_epoch = steps_per_epoch
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._strategy = strategy
        self._loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=options.label_smoothing, reduction="none"
        )
        self._pending: tuple[Any, Any] | None = None
        with strategy.scope():
            self._averages = None if options.ema_decay is None else MovingAverages(model.weights, options.ema_decay)
        self._predict = tf.function(
            lambda images: judged(images, training=False),
            input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
        )
        self._enter_stage()

    def _enter_stage(self) -> None:
        """Freezes and unfreezes, and begins with a fresh optimizer.

        Moments and step counts of an earlier stage are dropped on purpose: they belong to another rate, and beside
        them Adam would take the first steps of the newly unfrozen variables without its bias correction.
        """
        freeze_below(self.model, self._options.backbone, self._stage.train_from)
        self._schedule = build_schedule(self._options, self._stage, self.steps_per_epoch)
        with self._strategy.scope():
            self._optimizer = build_optimizer(self._options, self._stage, self.steps_per_epoch, self.model)
        self._train = tf.function(self._train_on_batch, jit_compile=self._options.xla)

    @property
    def _stage(self) -> Stage:
        course = self._options.course
        return course[min(self.position.stage, len(course) - 1)]

    @property
    def total_steps(self) -> int:
        """Of the whole training, unless a stage stops early from here on."""
        to_come = sum(stage.epochs for stage in self._options.course[self.position.stage :]) * self.steps_per_epoch
        return self.position.step - self.position.stage_step + to_come

    @property
    def is_finished(self) -> bool:
        """Whether the last stage is over."""
        return self.position.stage == len(self._options.course)

    @property
    def averages(self) -> list[npt.NDArray[Any]]:
        """The averaged weights in the model's order, or without `ema_decay` the weights themselves."""
        return [v.numpy() for v in (self.model.weights if self._averages is None else self._averages.shadows)]

    def _train_on_batch(self, images: Any, labels: Any, step: Any) -> tuple[Any, Any]:
        loss, accuracy = self._strategy.run(self._train_on_share, args=(images, labels))
        if self._averages is not None:
            self._averages.update(step)
        return tuple(self._strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in (loss, accuracy))

    def _train_on_share(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """A replica's share of loss and accuracy; the sum over the replicas is the batch's."""
        batch = tf.cast(self._options.batch_size, tf.float32)
        with tf.GradientTape() as tape:
            logits = tf.cast(self.model(images, training=True), tf.float32)
            weighted = self._loss(labels, logits) * tf.linalg.matvec(labels, self._class_weights)
            penalties = [penalty / self._strategy.num_replicas_in_sync for penalty in self.model.losses]
            loss = tf.add_n([tf.reduce_sum(weighted) / batch, *penalties])
            scaled = self._optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(scaled, [v.value for v in variables]), variables)
        right = tf.cast(tf.argmax(logits, 1) == tf.argmax(labels, 1), tf.float32)
        return loss, tf.reduce_sum(right) / batch

    def step(self, images: Any, labels: Any) -> None:
        """One step; what it came to is looked at after the next one was started, so that a GPU need not wait.

        Args:
          images: float32 [batch, side, side, channels] in [-1, 1].
          labels: float32 [batch, labels], every row a distribution over the labels.

        Raises:
          ModelError: if the loss of the step before is not finite.
        """
        result = self._train(images, labels, tf.constant(self.position.step + 1, tf.int64))
        self._settle()
        self._pending = result
        self.position = self.position.model_copy(
            update={"step": self.position.step + 1, "stage_step": self.position.stage_step + 1}
        )

    def _settle(self) -> None:
        """Waits for the latest step, and adds it to the epoch's sums."""
        if self._pending is None:
            return
        loss, accuracy = (float(value) for value in self._pending)
        self._pending = None
        self._check_finite(loss)
        sums = {"loss_sum": self.position.loss_sum + loss, "accuracy_sum": self.position.accuracy_sum + accuracy}
        self.position = self.position.model_copy(update=sums)

    @property
    def is_epoch_over(self) -> bool:
        """Whether the latest step was the last of an epoch."""
        return self.position.stage_step % self.steps_per_epoch == 0

    def finish_epoch(self, eval_split: Split) -> tuple[Epoch, npt.NDArray[np.float64]]:
        """Evaluates, with the averaged weights where there are any, and keeps them if they are the best so far.

        Returns:
          The epoch, and the probabilities of the eval split's images, float64 [n, labels].

        Raises:
          ModelError: if a loss is not finite.
        """
        self._settle()
        self._check_weights()
        weights = self.averages
        self._judged.set_weights(weights)
        batches = evaluation_batches(eval_split, batch_size=self._options.batch_size)
        logits = np.concatenate([self._predict(images).numpy() for images in batches])
        log_probabilities = _log_softmax(logits.astype(np.float64))
        loss = -float(log_probabilities[np.arange(len(logits)), eval_split.labels].mean())
        self._check_finite(loss)
        probabilities = np.exp(log_probabilities)
        metrics = classifier_metrics(probabilities, eval_split.labels)
        epoch = Epoch(
            learning_rate=self.learning_rate,
            train_loss=self.position.loss_sum / self.steps_per_epoch,
            train_accuracy=self.position.accuracy_sum / self.steps_per_epoch,
            eval_loss=loss,
            eval_accuracy=metrics.accuracy,
            eval_auc=metrics.auc,
        )
        before = self.position
        self.position = Position(
            step=before.step, stage=before.stage, stage_step=before.stage_step, history=(*before.history, epoch)
        )
        values = metric_values(self.position.history, self._options.best_metric)
        if all(values[-1] > earlier for earlier in values[:-1]):
            self.best = weights
        if self._is_stage_over(values):
            self.position = self.position.model_copy(update={"stage": before.stage + 1, "stage_step": 0})
            if not self.is_finished:
                self._enter_stage()
        return epoch, probabilities

    def _is_stage_over(self, values: Sequence[float]) -> bool:
        """Whether its last epoch is over, or the metric has stood still in it for long enough."""
        epochs = self.position.stage_step // self.steps_per_epoch
        stopping = self._options.early_stopping
        if stopping is not None and epochs_without_gain(values[-epochs:], stopping) >= stopping.patience_epochs:
            return True
        return epochs == self._stage.epochs

    @property
    def means(self) -> tuple[float, float] | None:
        """Loss and accuracy over the epoch's steps, but for the latest, which may still run; None after its first."""
        steps = (self.position.stage_step - 1) % self.steps_per_epoch
        return None if steps < 1 else (self.position.loss_sum / steps, self.position.accuracy_sum / steps)

    @property
    def checkpoint_bytes(self) -> int:
        """About what a checkpoint takes."""
        weights = sum(weight.nbytes for weight in self.model.get_weights())
        return int(sum(variable.numpy().nbytes for variable in self._state()) + 2 * weights)

    def checkpoint(self) -> Checkpoint:
        """Everything that decides how the training goes on.

        Raises:
          ModelError: if a weight is not finite, so that no checkpoint is ever one of a diverged training.
        """
        self._settle()
        self._check_weights()
        return Checkpoint(self.position, [variable.numpy() for variable in self._state()], self.averages, self.best)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back, or on, to a checkpoint."""
        self.position = checkpoint.position
        self.best = checkpoint.best
        self._enter_stage()
        for variable, value in zip(self._state(), checkpoint.variables, strict=True):
            variable.assign(value)

    def _state(self) -> list[Any]:
        """Every variable that a step reads and changes; the model's include the counters behind dropout."""
        shadows = [] if self._averages is None else self._averages.shadows
        return [*self.model.variables, *self._optimizer.variables, *shadows]

    @property
    def learning_rate(self) -> float:
        """Of the latest step."""
        return float(self._schedule(max(self.position.stage_step - 1, 0)))

    def _check_weights(self) -> None:
        """Raises about the latest step, if it left a weight that is not finite."""
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            self._check_finite(math.nan)

    def _check_finite(self, loss: float) -> None:
        """Raises about the latest step, if a loss is not finite."""
        if math.isfinite(loss):
            return
        step, rate = self.position.step, self.learning_rate
        raise ModelError(
            f"training diverged: received loss={loss} at step {step:,} of {self.total_steps:,}, "
            f"epoch {len(self.position.history) + 1}, learning rate {rate:.3g}",
            expected="a finite loss",
            hint=f"{_lower(self._options, self.position.stage)}, or a longer trainer.schedule.warmup_epochs; the last "
            "checkpoint before it is kept",
        )


def metric_values(history: Sequence[Epoch], metric: Metric) -> list[float]:
    """The metric of every epoch, turned so that more is better.

    Raises:
      ModelError: if it is the AUC, and the eval split has none.
    """
    read: dict[Metric, Callable[[Epoch], float | None]] = {
        "accuracy": lambda epoch: epoch.eval_accuracy,
        "auc": lambda epoch: epoch.eval_auc,
        "loss": lambda epoch: -epoch.eval_loss,
    }
    values = [read[metric](epoch) for epoch in history]
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


def _lower(options: TrainerOptions, stage: int) -> str:
    """How to set a third of a stage's learning rate."""
    lower = f"{options.course[stage].learning_rate / 3:.2g}"
    return (
        f"--set trainer.learning_rate={lower}"
        if options.stages is None
        else f"a learning_rate of {lower} in trainer.stages, stage {stage}"
    )


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
