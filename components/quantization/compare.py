"""Holds the answers of two interpreters to the same images against each other."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.options import Options


class Parity(Options):
    """How far two interpreters of one model agree.

    Attributes:
      images: how many were compared.
      differing: how many of them differ in at least one code.
      max_difference_lsb: largest difference between two codes, in steps of the output's scale.
    """

    images: int
    differing: int
    max_difference_lsb: int


def compare_outputs(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Parity:
    """Compares the codes that two interpreters gave, image by image.

    Args:
      first: int8 or uint8 [n, ...], one row for each image.
      second: the same shape and dtype, for the same images in the same order.

    Raises:
      ModelError: when shapes or dtypes differ, or when the outputs are no codes.
    """
    if first.shape != second.shape or first.dtype != second.dtype or first.dtype not in (np.int8, np.uint8):
        raise ModelError(
            "outputs cannot be compared: "
            f"received {first.dtype.name} {first.shape} and {second.dtype.name} {second.shape}.",
            expected="int8 or uint8 codes of one model for the same images",
            hint="convert the model to full integer, and feed both interpreters the same images",
        )
    images = len(first)
    differences = np.abs(first.astype(np.int16) - second.astype(np.int16)).reshape(images, first[:1].size)
    return Parity(
        images=images,
        differing=int(np.count_nonzero(differences.any(axis=1))),
        max_difference_lsb=int(differences.max(initial=0)),
    )
