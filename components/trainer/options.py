"""Settings of the Trainer: the config section `trainer`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.options import Options

Backbone = Literal["mobilenet_v1", "mobilenet_v2"]
InputRange = Literal["-1..1", "0..1", "0..255"]

# The published width multipliers: Howard et al. (arXiv 1704.04861), Sandler et al. (arXiv 1801.04381), and for v2's
# 0.25, of which keras.applications has no ImageNet weights, Wake Vision (arXiv 2405.00892).
ALPHAS: dict[Backbone, tuple[float, ...]] = {
    "mobilenet_v1": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v2": (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}
IMAGENET = "imagenet"


class RMSprop(Options):
    """RMSprop with momentum; the defaults are slim's (train_image_classifier.py)."""

    name: Literal["rmsprop"]
    rho: float = Field(default=0.9, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    epsilon: float = Field(default=1.0, gt=0)


class Adam(Options):
    """Adam with its authors' defaults."""

    name: Literal["adam"]
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0)


class ExponentialSchedule(Options):
    """The learning rate times `decay_factor`, at once, every `epochs_per_decay` epochs."""

    name: Literal["exponential"]
    decay_factor: float = Field(gt=0, le=1)
    epochs_per_decay: float = Field(gt=0)


class CosineSchedule(Options):
    """A linear rise from 0 over `warmup_epochs`, then half a cosine down to 0 at the last step."""

    name: Literal["cosine"]
    warmup_epochs: float = Field(default=0.0, ge=0)


class AugmentationOptions(Options):
    """Random changes of a training raster; 0 or false switches one off.

    Attributes:
      horizontal_flip: mirror every second image.
      max_shift_fraction: shift by up to this share of the side, each way; what enters is the mirrored edge.
      max_brightness_delta: add up to this share of the value range, either way.
      max_contrast_delta: scale the distance from mid-gray by 1 plus or minus up to this.
    """

    horizontal_flip: bool = True
    max_shift_fraction: float = Field(default=0.0, ge=0, le=0.5)
    max_brightness_delta: float = Field(default=0.0, ge=0, le=1)
    max_contrast_delta: float = Field(default=0.0, ge=0, lt=1)


class TrainerOptions(Options):
    """How the model is built and trained.

    Attributes:
      backbone: the architecture.
      alpha: width multiplier, one of `ALPHAS`.
      activation: relu6, or relu for a network whose weights were trained with it.
      border: what the first convolution sees around the image: the 0 of SAME padding, which is mid-gray, or black.
      initial_weights: a path, `https://…`, `gs://…` or `imagenet`; None starts from random weights.
      initial_weights_range: of the input that those weights were trained with, black..white.
      dropout: share of the pooled features that is dropped in training.
      max_batch_norm_momentum: of the moving statistics; a short run uses less, see `optimization.batch_norm_momentum`.
      optimizer: the optimizer and its parameters.
      learning_rate: its first, or after warm-up its highest, value.
      schedule: how the learning rate falls.
      batch_size: images in a step.
      epochs: passes over the train split.
      label_smoothing: share of the probability that is spread over all labels.
      weight_decay: L2 penalty, slim's `scale * sum(w**2) / 2`, on all kernels but the depthwise ones.
      augmentation: random changes of the training rasters.
    """

    backbone: Backbone = "mobilenet_v1"
    alpha: float = 0.25
    activation: Literal["relu6", "relu"] = "relu6"
    border: Literal["gray", "black"] = "gray"
    initial_weights: str | None = Field(default=None, min_length=1)
    initial_weights_range: InputRange = "-1..1"
    dropout: float = Field(default=0.001, ge=0, lt=1)
    max_batch_norm_momentum: float = Field(default=0.9997, gt=0, lt=1)
    optimizer: Annotated[RMSprop | Adam, Field(discriminator="name")]
    learning_rate: float = Field(gt=0)
    schedule: Annotated[ExponentialSchedule | CosineSchedule, Field(discriminator="name")]
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    augmentation: AugmentationOptions = AugmentationOptions()

    @model_validator(mode="after")
    def _check_backbone(self) -> Self:
        published = ALPHAS[self.backbone]
        if self.alpha not in published:
            raise ValueError(
                f"alpha: received {self.alpha:g}; {self.backbone} takes {', '.join(f'{a:g}' for a in published)}"
            )
        if self.initial_weights == IMAGENET:
            if (self.backbone, self.alpha) == ("mobilenet_v2", 0.25):
                raise ValueError("initial_weights: keras.applications has no imagenet weights for mobilenet_v2 at 0.25")
            if self.initial_weights_range != "-1..1":
                raise ValueError("initial_weights_range: imagenet's weights take -1..1")
        return self
