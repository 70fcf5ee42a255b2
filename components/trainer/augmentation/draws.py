"""Random numbers that follow from a seed and the name of what they are for."""

import math
import zlib
from typing import Any

import tensorflow as tf


def seed_of(seed: Any, purpose: str) -> Any:
    """A seed of its own for each purpose, so that one more change leaves the draws of the others as they were.

    Args:
      seed: int64 [2].
      purpose: such as the name of a change.

    Returns:
      int64 [2].
    """
    return tf.random.fold_in(seed, zlib.crc32(purpose.encode()) >> 1)


def uniform(seed: Any, purpose: str, shape: list[Any], least: float = 0.0, most: float = 1.0) -> Any:
    """float32 of the given shape, even from `least` to `most`."""
    return tf.random.stateless_uniform(shape, seed_of(seed, purpose), least, most)


def log_uniform(seed: Any, purpose: str, shape: list[Any], least: float, most: float) -> Any:
    """float32 of the given shape from `least` to `most`, even on a logarithmic scale."""
    return tf.exp(uniform(seed, purpose, shape, math.log(least), math.log(most)))


def happens(seed: Any, purpose: str, shape: list[Any], probability: float) -> Any:
    """Bool of the given shape, true with that probability."""
    if probability == 1.0:
        return tf.ones(shape, tf.bool)
    return uniform(seed, f"{purpose}/probability", shape) < probability


def beta(seed: Any, purpose: str, shape: list[Any], alpha: float) -> Any:
    """float32 of the given shape from Beta(alpha, alpha)."""
    one, other = tf.unstack(tf.random.stateless_gamma([2, *shape], seed_of(seed, purpose), alpha, dtype=tf.float64))
    # Of a tiny alpha, both may underflow to 0.
    return tf.cast(tf.math.divide_no_nan(one, one + other), tf.float32)
