"""A model as a function from rasters to what `vww predict` prints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.pusher.manifest import Manifest
from pipeline.evaluation.report import Runtime
from pipeline.prediction.records import Prediction

Rasters = npt.NDArray[np.uint8]

_SLIM_SUFFIX = "_micro.tflite"


@dataclass(frozen=True)
class Sight:
    """An image as it was read: the file's name, and its size in pixels as it stands upright."""

    file: str
    width: int
    height: int


@dataclass(frozen=True)
class Predictor:
    """A model that answers.

    Attributes:
      description: what it is, for a person.
      shape: [height, width, channels] of its rasters.
      labels: that it tells apart.
      answer: from uint8 [n, *shape] and the n images to n predictions.
    """

    description: str
    shape: tuple[int, int, int]
    labels: tuple[str, ...]
    answer: Callable[[Rasters, Sequence[Sight]], list[Prediction]]


def flatbuffer_name(manifest: Manifest, runtime: Runtime) -> str:
    """The file that ships to TFLite Micro, or the portable one beside it."""
    slim = manifest.golden.flatbuffer
    return slim if runtime == "tflm" else f"{slim.removesuffix(_SLIM_SUFFIX)}.tflite"
