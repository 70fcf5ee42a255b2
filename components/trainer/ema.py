"""Moving averages of a model's weights, which are evaluated and exported in their place.

Keras' own means are not used, after trying them (3.15.1): `use_ema` has no warm-up, so that a run of 1,000 steps with
0.9999 exports what it started with, and it leaves the moving statistics of BatchNorm out; and `SwapEMAWeights` swaps
by adding and subtracting, which changes the last bits of the weights and of their averages at every evaluation.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def decay_at(decay: float, step: Any) -> Any:
    """The decay of one step: min(decay, (1 + step) / (10 + step)), as `tf.train.ExponentialMovingAverage` has it.

    It remembers about a ninth of the steps so far until `decay` is reached (at 0.9999 after 89,991 steps), so that a
    short run forgets its start as well.

    Args:
      decay: the limit, in (0, 1).
      step: int64 [], counted from 1.

    Returns:
      float32 [].
    """
    steps = tf.cast(step, tf.float32)
    return tf.minimum(tf.constant(decay, tf.float32), (1.0 + steps) / (10.0 + steps))


class MovingAverages:
    """One average for every weight: kernels, biases, BatchNorm's scale and offset, and its moving statistics too.

    Averaged kernels give other activations than the last ones do, and the statistics of the last ones would not fit
    them. slim averages all of them alike (train_image_classifier.py: `slim.get_model_variables()`).

    Args:
      weights: the model's, as `model.weights` lists them.
      decay: the limit of the decay, in (0, 1).

    Attributes:
      shadows: `tf.Variable`s in the order of `weights`.
    """

    def __init__(self, weights: Sequence[keras.Variable], decay: float) -> None:
        self._weights = list(weights)
        self._decay = decay
        self.shadows = [tf.Variable(weight.value, trainable=False) for weight in self._weights]

    def update(self, step: Any) -> None:
        """Moves every average towards its weight; once after each optimizer step, counted from 1."""
        towards = 1.0 - decay_at(self._decay, step)
        for shadow, weight in zip(self.shadows, self._weights, strict=True):
            shadow.assign_sub(towards * (shadow - weight.value))
