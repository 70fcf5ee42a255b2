"""Optimizers, schedules and the moving statistics' pace, from the Trainer's options."""

from typing import Any

import keras

from components.trainer.options import CosineSchedule, RMSprop, TrainerOptions


def build_schedule(options: TrainerOptions, steps_per_epoch: int) -> Any:
    """The learning rate by step, as a Keras schedule."""
    schedule = options.schedule
    if isinstance(schedule, CosineSchedule):
        warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps > 0 else options.learning_rate,
            decay_steps=max(options.epochs * steps_per_epoch - warmup_steps, 1),
            warmup_target=options.learning_rate if warmup_steps > 0 else None,
            warmup_steps=warmup_steps,
        )
    return keras.optimizers.schedules.ExponentialDecay(
        options.learning_rate,
        decay_steps=max(round(schedule.epochs_per_decay * steps_per_epoch), 1),
        decay_rate=schedule.decay_factor,
        staircase=True,
    )


def build_optimizer(options: TrainerOptions, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule."""
    learning_rate = build_schedule(options, steps_per_epoch)
    optimizer = options.optimizer
    if isinstance(optimizer, RMSprop):
        return keras.optimizers.RMSprop(
            learning_rate, rho=optimizer.rho, momentum=optimizer.momentum, epsilon=optimizer.epsilon
        )
    return keras.optimizers.Adam(
        learning_rate, beta_1=optimizer.beta_1, beta_2=optimizer.beta_2, epsilon=optimizer.epsilon
    )


def batch_norm_momentum(limit: float, total_steps: int) -> float:
    """The momentum whose memory, 1 / (1 - momentum) steps, is at most a tenth of the training.

    slim's 0.9997 remembers 3,333 steps. After a run of a few hundred, moving statistics that started at mean 0 and
    variance 1 would still be mostly those, and the trained model would fail in evaluation.
    """
    return min(limit, max(1.0 - 10.0 / total_steps, 0.0))
