"""Optimizers, schedules and the moving statistics' pace, from the Trainer's options."""

from typing import Any

import keras
from keras import ops

from components.trainer.options import (
    SGD,
    Adam,
    AdamW,
    CosineSchedule,
    ExponentialSchedule,
    RMSprop,
    StepSchedule,
    TrainerOptions,
)
from components.trainer.stages import Stage


class _WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras publishes no types
    """Another schedule, scaled by a line from 0 at step 0 to 1 at `steps`."""

    def __init__(self, schedule: Any, steps: int) -> None:
        self._schedule = schedule
        self._steps = steps

    def __call__(self, step: Any) -> Any:
        share = ops.cast(step, "float32") / self._steps
        return self._schedule(step) * ops.minimum(share, 1.0)


def build_schedule(options: TrainerOptions, stage: Stage, steps_per_epoch: int) -> Any:
    """The learning rate by the steps of a stage, as a Keras schedule."""
    schedule = options.schedule
    warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
    if isinstance(schedule, CosineSchedule):
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps > 0 else stage.learning_rate,
            decay_steps=max(stage.epochs * steps_per_epoch - warmup_steps, 1),
            warmup_target=stage.learning_rate if warmup_steps > 0 else None,
            warmup_steps=warmup_steps,
        )
    if isinstance(schedule, ExponentialSchedule):
        rates: Any = keras.optimizers.schedules.ExponentialDecay(
            stage.learning_rate,
            decay_steps=max(round(schedule.epochs_per_decay * steps_per_epoch), 1),
            decay_rate=schedule.decay_factor,
            staircase=schedule.staircase,
        )
    else:
        if isinstance(schedule, StepSchedule):
            later = [stage.learning_rate * schedule.decay_factor**n for n in range(1, len(schedule.at_epochs) + 1)]
        else:
            later = list(schedule.rates)
        # Keras changes the rate after its boundary; here the step at the boundary is the first with the new rate.
        rates = keras.optimizers.schedules.PiecewiseConstantDecay(
            [round(epoch * steps_per_epoch) - 1 for epoch in schedule.at_epochs], [stage.learning_rate, *later]
        )
    return _WarmUp(rates, warmup_steps) if warmup_steps > 0 else rates


def build_optimizer(
    options: TrainerOptions, stage: Stage, steps_per_epoch: int, model: keras.Model
) -> keras.optimizers.Optimizer:
    """A stage's optimizer with its schedule, and with its slots for the variables that are trained."""
    rate = build_schedule(options, stage, steps_per_epoch)
    match options.optimizer:
        case RMSprop() as chosen:
            optimizer = keras.optimizers.RMSprop(rate, rho=chosen.rho, momentum=chosen.momentum, epsilon=chosen.epsilon)
        case Adam() as chosen:
            optimizer = keras.optimizers.Adam(rate, beta_1=chosen.beta_1, beta_2=chosen.beta_2, epsilon=chosen.epsilon)
        case AdamW() as chosen:
            optimizer = keras.optimizers.AdamW(
                rate,
                weight_decay=options.weight_decay,
                beta_1=chosen.beta_1,
                beta_2=chosen.beta_2,
                epsilon=chosen.epsilon,
            )
            decayed = {id(kernel) for kernel in decayed_kernels(model)}
            optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if id(v) not in decayed])
        case SGD() as chosen:
            optimizer = keras.optimizers.SGD(rate, momentum=chosen.momentum, nesterov=chosen.nesterov)
    if options.precision == "mixed_float16":  # float16 has no gradients below 6e-8
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def l2_penalty(options: TrainerOptions) -> float:
    """The scale of slim's L2 penalty that the model's own layers add to the loss; AdamW decays by itself."""
    return 0.0 if isinstance(options.optimizer, AdamW) else options.weight_decay


def decayed_kernels(model: keras.Model) -> list[keras.Variable]:
    """The variables that weight decay is about: kernels, but no depthwise ones, biases or BatchNorm scales.

    slim: `mobilenet_v1_arg_scope(regularize_depthwise=False)`. A depthwise kernel has 9 weights per channel and feeds a
    BatchNorm, so that shrinking it takes away capacity and prevents nothing.
    """
    return [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]


def batch_norm_momentum(limit: float, total_steps: int) -> float:
    """The momentum whose memory, 1 / (1 - momentum) steps, is at most a tenth of the training.

    slim's 0.9997 remembers 3,333 steps. After a run of a few hundred, moving statistics that started at mean 0 and
    variance 1 would still be mostly those, and the trained model would fail in evaluation.
    """
    return min(limit, max(1.0 - 10.0 / total_steps, 0.0))
