"""Holds the answers of two interpreters to the same images against each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.options import Options


class Parity(Options):
    """How far two interpreters of one model agree.

    Attributes:
      images: how many were compared.
      differing: how many of them differ in at least one code of any output.
      max_difference_lsb: largest difference between two codes, in steps of their output's scale.
    """

    images: int
    differing: int
    max_difference_lsb: int


def compare_outputs(first: Sequence[npt.NDArray[Any]], second: Sequence[npt.NDArray[Any]]) -> Parity:
    """Compares the codes that two interpreters gave, image by image.

    Args:
      first: int8 or uint8 [n, ...] for each output of a model, at least one; a row for each image.
      second: the same shapes and dtypes, for the same images in the same order.

    Raises:
      ModelError: when shapes or dtypes differ, or when the outputs are no codes.
    """
    kinds = [[(output.dtype, output.shape) for output in outputs] for outputs in (first, second)]
    if kinds[0] != kinds[1] or any(dtype not in (np.int8, np.uint8) for dtype, _ in kinds[0]):
        received = (", ".join(f"{dtype.name} {shape}" for dtype, shape in outputs) for outputs in kinds)
        raise ModelError(
            f"outputs cannot be compared: received {' and '.join(received)}.",
            expected="int8 or uint8 codes of one model for the same images",
            hint="convert the model to full integer, and feed both interpreters the same images",
        )
    differences = np.concatenate([_differences(*pair) for pair in zip(first, second, strict=True)], axis=1)
    return Parity(
        images=len(differences),
        differing=int(np.count_nonzero(differences.any(axis=1))),
        max_difference_lsb=int(differences.max(initial=0)),
    )


def _differences(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Between codes, int16 [n, codes]."""
    return np.abs(first.astype(np.int16) - second.astype(np.int16)).reshape(len(first), first[:1].size)
