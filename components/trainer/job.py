"""TrainingJob: everything that the Trainer has to know."""

from pydantic import Field

from components.options import Options
from components.trainer.options import TrainerOptions


class TrainingJob(Options):
    """Everything that `run_fn` has to know, as one JSON exec property.

    Attributes:
      trainer: the config section `trainer`.
      side: of the rasters, in pixels.
      channels: of the rasters.
      label_count: number of labels.
      seed: of initial weights, data order and augmentation.
      initial_weights_sha256: of what `trainer.initial_weights` names, as the run found it; None where it names nothing.
    """

    trainer: TrainerOptions
    side: int
    channels: int
    label_count: int = Field(ge=2)
    seed: int
    initial_weights_sha256: str | None = None

    @property
    def raster_shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        return self.side, self.side, self.channels
