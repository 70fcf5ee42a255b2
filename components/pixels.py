"""The pixel contract: one rule from camera byte to model input, shared by training, export and the C bundle.

A camera, and Transform's 8-bit raster, deliver p in 0...255. The float model sees p / 127.5 - 1 in [-1, 1].
The device feeds the int8 model q = p - 128, exactly. With the input range pinned to [-1, 1], the converter
chooses scale 2/255 and zero point -1 or 0, for which p / 127.5 - 1 always lies half way between two codes;
q = p - 128 is declared, not rounded (docs/decisions/0003-pixel-contract.md).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

HALF_RANGE = 127.5
INT8_OFFSET = 128


def normalize(pixels: Any) -> Any:
    """Pixels as a float array or tensor in [0, 255] to the float model's [-1, 1].

    Takes float32 NumPy arrays and TensorFlow tensors alike; the caller casts.
    """
    return pixels / HALF_RANGE - 1.0


def denormalize(images: Any) -> Any:
    """The float model's [-1, 1] back to [0, 255], of arrays and tensors alike; the caller rounds and casts."""
    return (images + 1.0) * HALF_RANGE


def quantize(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Pixels to the int8 codes that a device feeds the model: p - 128."""
    return (pixels ^ np.uint8(INT8_OFFSET)).view(np.int8)  # the top bit turned is 128 less in two's complement
