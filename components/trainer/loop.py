"""The training loop: steps, averages, evaluation, checkpoints and when to stop."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.errors import ModelError
from components.trainer.checkpoints import Checkpoint, Epoch, Position
from components.trainer.ema import MovingAverages
from components.trainer.objectives.objective import Evaluation, Objective
from components.trainer.optimization import build_optimizer, build_schedule
from components.trainer.options import EarlyStopping, Metric, TrainerOptions
from components.trainer.stages import Stage, freeze_below


class TrainingLoop:
    """A model in training.

    Args:
      model: from float32 images to its task's outputs, untrained or with weights to start from; made in the strategy's
        scope.
      options: how to train.
      steps_per_epoch: optimizer steps in an epoch.
      objective: what is learned from a batch, and what an epoch comes to.
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
        objective: Objective,
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
        self._objective = objective
        self._strategy = strategy
        self._pending: dict[str, Any] | None = None
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

    def _train_on_batch(self, images: Any, targets: Any, step: Any) -> dict[str, Any]:
        sizes = self._strategy.run(self._objective.size, args=(targets,))
        size = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sizes, axis=None)
        figures = self._strategy.run(self._train_on_share, args=(images, targets, size))
        if self._averages is not None:
            self._averages.update(step)
        return {n: self._strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for n, part in figures.items()}

    def _train_on_share(self, images: Any, targets: Any, size: Any) -> dict[str, Any]:
        """A replica's share of loss and figures; the sum over the replicas is the batch's."""
        with tf.GradientTape() as tape:
            outputs = tf.nest.map_structure(_as_float32, self.model(images, training=True))
            learned, figures = self._objective.loss(outputs, targets, size)
            penalties = [penalty / self._strategy.num_replicas_in_sync for penalty in self.model.losses]
            loss = tf.add_n([learned, *penalties])
            scaled = self._optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(scaled, [v.value for v in variables]), variables)
        return {"loss": loss, **figures}

    def step(self, images: Any, targets: Any) -> None:
        """One step; what it came to is looked at after the next one was started, so that a GPU need not wait.

        Args:
          images: float32 [batch, side, side, channels] in [-1, 1].
          targets: as the objective takes them.

        Raises:
          ModelError: if the loss of the step before is not finite.
        """
        result = self._train(images, targets, tf.constant(self.position.step + 1, tf.int64))
        self._settle()
        self._pending = result
        self.position = self.position.model_copy(
            update={"step": self.position.step + 1, "stage_step": self.position.stage_step + 1}
        )

    def _settle(self) -> None:
        """Waits for the latest step, and adds it to the epoch's sums."""
        if self._pending is None:
            return
        figures = {name: float(value) for name, value in self._pending.items()}
        self._pending = None
        self._check_finite(figures["loss"])
        sums = {name: self.position.sums.get(name, 0.0) + value for name, value in figures.items()}
        self.position = self.position.model_copy(update={"sums": sums})

    @property
    def is_epoch_over(self) -> bool:
        """Whether the latest step was the last of an epoch."""
        return self.position.stage_step % self.steps_per_epoch == 0

    def finish_epoch(self, eval_split: Any) -> tuple[Epoch, Evaluation]:
        """Evaluates, with the averaged weights where there are any, and keeps them if they are the best so far.

        Args:
          eval_split: as the objective takes it.

        Raises:
          ModelError: if a loss is not finite.
        """
        self._settle()
        self._check_weights()
        weights = self.averages
        self._judged.set_weights(weights)
        evaluation = self._objective.evaluate(self._predict, eval_split)
        self._check_finite(evaluation.figures["loss"])
        epoch = Epoch(
            learning_rate=self.learning_rate,
            train={name: total / self.steps_per_epoch for name, total in self.position.sums.items()},
            eval=dict(evaluation.figures),
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
        return epoch, evaluation

    def _is_stage_over(self, values: Sequence[float]) -> bool:
        """Whether its last epoch is over, or the metric has stood still in it for long enough."""
        epochs = self.position.stage_step // self.steps_per_epoch
        stopping = self._options.early_stopping
        if stopping is not None and epochs_without_gain(values[-epochs:], stopping) >= stopping.patience_epochs:
            return True
        return epochs == self._stage.epochs

    @property
    def means(self) -> Mapping[str, float] | None:
        """Of the figures over the epoch's steps, but for the latest, which may still run; None after its first."""
        steps = (self.position.stage_step - 1) % self.steps_per_epoch
        return None if steps < 1 else {name: total / steps for name, total in self.position.sums.items()}

    @property
    def progress(self) -> str | None:
        """How the epoch goes, in a few words; None after its first step."""
        latest = self.position.history[-1].eval if self.position.history else None
        return None if self.means is None else self._objective.describe(self.means, latest)

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
      ModelError: if the eval split does not define it.
    """
    sign = -1 if metric == "loss" else 1
    if any(metric not in epoch.eval for epoch in history):
        expected, hint = _UNDEFINED[metric]
        raise ModelError(
            f"trainer.best_by.metric={metric}: the eval split has no {metric.upper()}", expected=expected, hint=hint
        )
    return [sign * epoch.eval[metric] for epoch in history]


_NO_BOX = ("boxes of labelled objects in it, not only crowds", "add such images, or --set trainer.best_by.metric=loss")
_UNDEFINED: dict[Metric, tuple[str, str]] = {
    "auc": (
        "images of every label in it, and not of one label alone",
        "add such images, or --set trainer.best_by.metric=accuracy",
    ),
    "ap": _NO_BOX,
    "ap50": _NO_BOX,
}


def epochs_without_gain(values: Sequence[float], stopping: EarlyStopping) -> int:
    """How many epochs have passed since the metric last rose by more than `min_delta`."""
    best, since = -math.inf, 0
    for value in values:
        best, since = (value, 0) if value > best + stopping.min_delta else (best, since + 1)
    return since


def _lower(options: TrainerOptions, stage: int) -> str:
    """How to set a third of a stage's learning rate."""
    lower = f"{options.course[stage].learning_rate / 3:.2g}"
    return (
        f"--set trainer.learning_rate={lower}"
        if options.stages is None
        else f"a learning_rate of {lower} in trainer.stages, stage {stage}"
    )


def _as_float32(output: Any) -> Any:
    return tf.cast(output, tf.float32)
