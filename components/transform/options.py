"""Settings of Transform: the config section `transform`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.gate_options import Task
from components.options import Options


class TrainingRaster(Options):
    """A second raster of each image, of which only the augmentation makes use.

    Attributes:
      side: in pixels, from the model's to twice that.
      channels: 1 for grayscale, 3 for RGB; at least the model's.
    """

    side: int = Field(ge=32, le=1024)
    channels: Literal[1, 3]


class TransformOptions(Options):
    """What a camera would deliver.

    Attributes:
      side: height and width of the model's input, in pixels.
      channels: 1 for grayscale, 3 for RGB.
      training_raster: more pixels or colours for the augmentation to change; None where the raster is enough.
      max_boxes: of one image that a detector learns from, the largest; those beyond are background to it, and counted.
    """

    side: int = Field(default=96, ge=32, le=512)
    channels: Literal[1, 3] = 1
    training_raster: TrainingRaster | None = None
    max_boxes: int = Field(default=64, ge=1, le=1000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        training = self.training_raster
        if training is None:
            return self
        if not self.side <= training.side <= 2 * self.side:
            raise ValueError(
                f"training_raster: received side={training.side}; expected {self.side} to {2 * self.side}, from the "
                "model's side to twice it, beyond which pixels would be skipped"
            )
        if training.channels < self.channels:
            raise ValueError("training_raster: received channels=1; an RGB model takes 3")
        if (training.side, training.channels) == (self.side, self.channels):
            raise ValueError("training_raster: the same as the model's raster; leave it out")
        return self


class TransformJob(Options):
    """All that Transform's preprocessing needs to know.

    Attributes:
      options: the config section `transform`.
      task: which of the features it makes.
    """

    options: TransformOptions
    task: Task
