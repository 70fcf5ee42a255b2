"""What is asked of either task's scoring: figures of the float model and of the int8 file on the same images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from components import features, pixels
from components.pusher.figures import ClassifierFigures, DetectorFigures
from components.pusher.judged_images import JudgedImages
from components.pusher.pictures import PictureBook
from components.quantization.contracts import TensorContract

Codes = npt.NDArray[np.int8]
Outputs = tuple[Codes, ...]  # of all images, one for each output of the flatbuffer


@dataclass(frozen=True)
class JudgedSplit:
    """The images of one split; what is known and was found of them beside that is the task's."""

    images: JudgedImages


Split = TypeVar("Split", bound=JudgedSplit)


@dataclass(frozen=True)
class Measured:
    """What follows from the answers of both models.

    Attributes:
      figures: of both.
      pictures: of the eval split; None where TFLite Micro failed.
      refusals: what refuses the int8 file that is no threshold.
    """

    figures: ClassifierFigures | DetectorFigures
    pictures: PictureBook | None = None
    refusals: tuple[str, ...] = ()


class Scoring(ABC, Generic[Split]):
    """The part of the judgement that depends on the task."""

    @abstractmethod
    def answer(self, saved_model_dir: Path, images: JudgedImages, example_files: Sequence[str]) -> Split:
        """A split with the float model's answers, by the signature that is converted.

        Args:
          saved_model_dir: the float model.
          images: of the split.
          example_files: the examples that they were made from.
        """

    @abstractmethod
    def measure(
        self,
        splits: Mapping[str, Split],
        outputs: Mapping[str, Outputs] | None,
        contracts: tuple[TensorContract, ...],
    ) -> Measured:
        """The figures of both models, and what there is to see of the int8 file's answers.

        Args:
          splits: eval, and test where there is one.
          outputs: what TFLite Micro answered for each of them; None where it failed.
          contracts: of these outputs.
        """


def answer_pixels(saved_model_dir: Path, rasters: npt.NDArray[np.uint8]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The pixels signature's outputs by name, of one image after the other, uint8 [n, height, width, channels]."""
    import tensorflow as tf

    signature: Any = tf.saved_model.load(str(saved_model_dir)).signatures[features.PIXELS_SIGNATURE]
    # One by one: the whole split as float32 would be four times what is held already.
    for raster in rasters:
        image = tf.constant(pixels.normalize(raster[np.newaxis].astype(np.float32)))
        yield {name: value.numpy() for name, value in signature(**{features.IMAGE: image}).items()}
