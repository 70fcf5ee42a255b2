"""Image files as the rasters that a model sees, without TensorFlow, to feed a model whose answers need no label."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from components.errors import DataError

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_MODES = {1: "L", 3: "RGB"}


def read_image_files(folder: Path, shape: tuple[int, int, int], at_most: int) -> npt.NDArray[np.uint8]:
    """The images below a folder, in the order of their paths.

    Gray or RGB, the whole image resized with antialiased bilinear interpolation, as the Transform graph does it; a
    pixel may differ from that graph's by its decoder's and its resizer's rounding.

    Args:
      folder: with .jpg, .jpeg or .png files, or folders of them.
      shape: [height, width, channels], 1 or 3 channels.
      at_most: how many to read, from the first on.

    Returns:
      uint8 [n, *shape], n at least 1.

    Raises:
      DataError: when the folder holds none, or one that cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not paths:
        raise DataError(
            f"{folder}: {'no image is there' if folder.is_dir() else 'no such folder'}",
            expected=f"a folder with files of {', '.join(sorted(_SUFFIXES))}, at any depth",
            hint="name another folder with --images",
        )
    return np.stack([read_image_file(path, shape) for path in paths[:at_most]])


def read_image_file(path: Path, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """One image, uint8 [height, width, channels], as `read_image_files` reads it.

    Raises:
      DataError: when it cannot be read.
    """
    height, width, channels = shape
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            resized = image.convert(_MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", expected="a whole JPEG or PNG file", hint="mend it, or take it out"
        ) from error
    return np.asarray(resized, np.uint8).reshape(shape)
