"""Settings of Transform: the config section `transform`."""

from typing import Literal

from pydantic import Field

from components.options import Options


class TransformOptions(Options):
    """What a camera would deliver.

    Attributes:
      side: height and width of the model's input, in pixels.
      channels: 1 for grayscale, 3 for RGB.
    """

    side: int = Field(default=96, ge=32, le=512)
    channels: Literal[1, 3] = 1
