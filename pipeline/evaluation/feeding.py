"""From 8-bit rasters to what a model's input wants, whoever trained it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components import pixels
from components.errors import ModelError
from components.quantization.contracts import TensorContract
from components.trainer.options import INPUT_RANGES, InputRange

_GRID_TOLERANCE = 0.02


def feed(rasters: npt.NDArray[np.uint8], source: TensorContract, input_range: InputRange) -> npt.NDArray[Any]:
    """Rasters, uint8 [n, height, width, channels], as an input wants them.

    An 8-bit input whose codes span one of the known ranges takes the pixels themselves, as on a device: p - 128 of
    int8, p of uint8.
    """
    if source.scale is None or source.zero_point is None:
        return np.asarray(scale_pixels(rasters.astype(np.float32), input_range), source.dtype)
    span = 255 * source.scale
    if any(abs(span / (white - black) - 1) < _GRID_TOLERANCE for black, white in INPUT_RANGES.values()):
        return pixels.quantize(rasters) if source.dtype == "int8" else rasters.astype(source.dtype)
    codes = np.round(scale_pixels(rasters.astype(np.float32), input_range) / source.scale) + source.zero_point
    limits = np.iinfo(source.dtype)
    return np.asarray(np.clip(codes, limits.min, limits.max), source.dtype)


def scale_pixels(images: Any, input_range: InputRange) -> Any:
    """Pixels of 0 to 255 to what a float model was trained with."""
    return {"-1..1": pixels.normalize(images), "0..1": images / 255.0, "0..255": images}[input_range]


def image_shape(shape: tuple[Any, ...], name: str) -> tuple[int, int, int]:
    """The [height, width, channels] of an input of four dimensions.

    Raises:
      ModelError: if it is no square image of one or three channels.
    """
    if len(shape) != 4 or None in shape[1:] or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise ModelError(
            f"{name} takes an input of shape {list(shape)}",
            expected="square images of one or three channels: [n, side, side, 1 or 3]",
        )
    return int(shape[1]), int(shape[2]), int(shape[3])
