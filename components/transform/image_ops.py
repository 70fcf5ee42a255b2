"""From encoded image to the 8-bit raster that a camera would deliver, as TensorFlow ops."""

from typing import Any

import tensorflow as tf


def rasterize(encoded: Any, side: int, channels: int) -> Any:
    """Decodes one image, resizes it to a square and rounds it to the 8-bit grid.

    The decoder itself gives grayscale: a JPEG's own luma plane, which costs no colour conversion and is what a
    grayscale camera would have stored. The whole image is resized, its aspect not kept, with antialiased bilinear
    interpolation (docs/decisions/0003-pixel-contract.md).

    Args:
      encoded: string tensor of shape [], a JPEG or PNG.
      side: height and width of the result, in pixels.
      channels: 1 for grayscale, 3 for RGB.

    Returns:
      uint8 tensor of shape [side, side, channels].
    """
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    image.set_shape([None, None, channels])
    resized = tf.image.resize(image, [side, side], method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)


def describe_raster(raster: Any) -> tuple[Any, Any]:
    """Brightness and contrast of a raster: mean and standard deviation of its values / 255.

    The sums are of integers, so that no machine and no order of adding gives other bits.

    Args:
      raster: uint8 tensor of shape [side, side, channels].

    Returns:
      Two float32 tensors of shape []: 0 to 1, and 0 to 0.5.
    """
    values = tf.cast(raster, tf.int64)
    count = tf.size(values, tf.int64)
    mean = tf.reduce_sum(values) / count
    variance = tf.maximum(tf.reduce_sum(values * values) / count - mean * mean, 0.0)
    return tf.cast(mean / 255.0, tf.float32), tf.cast(tf.sqrt(variance) / 255.0, tf.float32)


def encode_raster(raster: Any) -> Any:
    """A uint8 raster as a string tensor of shape []: a serialized TensorProto, its pixels uncompressed.

    9,216 pixels take 9,235 bytes; as a float list they would take 36,864.
    """
    return tf.io.serialize_tensor(raster)
