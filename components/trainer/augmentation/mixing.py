"""MixUp and CutMix: each image of a batch mixed with another one of it, and their labels in the same proportion."""

from typing import Any

import tensorflow as tf

from components.trainer.augmentation.draws import beta, happens, seed_of, uniform
from components.trainer.augmentation.options import BatchChange, CutMix, MixUp
from components.trainer.augmentation.rectangles import mask_inside


def mix(rasters: Any, labels: Any, change: BatchChange, seed: Any) -> tuple[Any, Any]:
    """Mixes each image with its partner in a shuffled copy of the batch.

    Args:
      rasters: float32 [n, side, side, channels].
      labels: float32 [n, labels], one-hot or already mixed.
      change: how.
      seed: int64 [2].

    Returns:
      Both, changed; the labels of an image still add up to 1.
    """
    count = tf.shape(rasters)[0]
    partners = tf.random.experimental.stateless_shuffle(tf.range(count), seed_of(seed, f"{change.name}/partners"))
    own = beta(seed, change.name, [count], change.alpha)
    own = tf.where(happens(seed, change.name, [count], change.probability), own, 1.0)
    others = tf.gather(rasters, partners)
    match change:
        case MixUp():
            share = own[:, tf.newaxis, tf.newaxis, tf.newaxis]
            mixed = share * rasters + (1 - share) * others
        case CutMix():
            inside = mask_inside(_draw_rectangles(1 - own, seed), rasters.shape[1])
            mixed = tf.where(inside, others, rasters)
            own = 1 - tf.reduce_mean(tf.cast(inside, tf.float32), [1, 2, 3])
    return mixed, own[:, tf.newaxis] * labels + (1 - own[:, tf.newaxis]) * tf.gather(labels, partners)


def _draw_rectangles(areas: Any, seed: Any) -> Any:
    """float32 [n, 4] of squares around any place of the image, what reaches beyond an edge cut off."""
    half = tf.sqrt(areas)[:, tf.newaxis] / 2
    centres = uniform(seed, "cutmix/centres", [tf.shape(areas)[0], 2], -0.5, 0.5)
    return tf.clip_by_value(tf.concat([centres - half, centres + half], -1), -0.5, 0.5)
