"""The 8-bit raster that a camera would deliver, from the encoded image, and as examples carry it: TensorFlow ops."""

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


def encode_raster(raster: Any) -> Any:
    """A uint8 raster as a string tensor of shape []: a serialized TensorProto, its pixels uncompressed.

    9,216 pixels take 9,235 bytes; as a float list they would take 36,864.
    """
    return tf.io.serialize_tensor(raster)


def encode_smaller(raster: Any, encoded: Any) -> Any:
    """What takes fewer bytes: a raster as `encode_raster` has it, or the JPEG or PNG that it was made of.

    270,022 bytes are a raster of 300x300 in colour, and half of that the usual JPEG of COCO.
    """
    serialized = encode_raster(raster)
    return tf.where(tf.strings.length(encoded) < tf.strings.length(serialized), encoded, serialized)
