"""What `vww augment preview` asks of its child process, and what it hears back."""

from components.options import Options
from pipeline.config import RunConfig


class PreviewRequest(Options):
    """What to draw.

    Attributes:
      config: of the run.
      images: how many training images.
      versions: how many of each.
      sheet: the JPEG file.
      tensorboard: folder for TensorBoard images; None for none.
    """

    config: RunConfig
    images: int
    versions: int
    sheet: str
    tensorboard: str | None


class PreviewReport(Options):
    """What was drawn.

    Attributes:
      images: how many there were.
    """

    images: int
