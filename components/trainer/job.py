"""TrainingJob: everything that the Trainer has to know, and what of it decides the model's footprint."""

from typing import Self

from pydantic import Field

from components.detection.options import DecoderOptions, DetectorNetwork
from components.options import Options
from components.trainer.options import Activation, Backbone, Border, TrainerOptions


class Architecture(Options):
    """All that decides which operators a model has and how large its tensors are.

    Attributes:
      backbone, alpha, activation, border: as in the config section `trainer`.
      side: of the input, in pixels.
      channels: of the input.
      label_count: number of labels, of a detector the background included.
      detector: what stands on the backbone; None for a classifier.
    """

    backbone: Backbone
    alpha: float
    activation: Activation
    border: Border
    side: int
    channels: int
    label_count: int = Field(ge=2)
    detector: DetectorNetwork | None = None

    @classmethod
    def of(cls, trainer: TrainerOptions, *, side: int, channels: int, label_count: int) -> Self:
        """The architecture that a config asks for."""
        detector = trainer.detector
        return cls(
            detector=None if detector is None else detector.network,
            backbone=trainer.backbone,
            alpha=trainer.alpha,
            activation=trainer.activation,
            border=trainer.border,
            side=side,
            channels=channels,
            label_count=label_count,
        )

    def __str__(self) -> str:
        kind = "" if self.detector is None else "SSD on "
        return (
            f"{kind}{self.backbone} {self.alpha} at {self.side}x{self.side}x{self.channels}, {self.label_count} labels"
        )


class TrainingJob(Options):
    """Everything that `run_fn` has to know, as one JSON exec property.

    Attributes:
      trainer: the config section `trainer`.
      side: of the rasters, in pixels.
      channels: of the rasters.
      label_count: number of labels.
      seed: of initial weights, data order and augmentation.
      training_raster_shape: [height, width, channels] of what the train split is augmented from; None for the rasters.
      initial_weights_sha256: of what `trainer.initial_weights` names, as the run found it; None where it names nothing.
      decoder: of a detector, whose exported model gives detections.
      categories: of a detector, the names of the labels 1 and up.
    """

    trainer: TrainerOptions
    side: int
    channels: int
    label_count: int = Field(ge=2)
    seed: int
    training_raster_shape: tuple[int, int, int] | None = None
    initial_weights_sha256: str | None = None
    decoder: DecoderOptions = DecoderOptions()
    categories: tuple[str, ...] | None = None

    @property
    def raster_shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        return self.side, self.side, self.channels

    @property
    def architecture(self) -> Architecture:
        """The part that decides the model's footprint."""
        return Architecture.of(self.trainer, side=self.side, channels=self.channels, label_count=self.label_count)
