"""Settings of the Trainer: the config section `trainer`."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.detection.options import DetectorOptions
from components.options import Options
from components.trainer.augmentation.options import AugmentationOptions, check_task_changes, mixing_changes
from components.trainer.stages import ALL, Stage, check_stages

Backbone = Literal["mobilenet_v1", "mobilenet_v2"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Activation = Literal["relu6", "relu"]
Border = Literal["gray", "black"]
InputRange = Literal["-1..1", "0..1", "0..255"]

# What a float network that was trained elsewhere takes for black and for white.
INPUT_RANGES: dict[InputRange, tuple[float, float]] = {
    "-1..1": (-1.0, 1.0),
    "0..1": (0.0, 1.0),
    "0..255": (0.0, 255.0),
}

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


class AdamW(Options):
    """Adam whose weight decay does not pass through the moments (Loshchilov and Hutter, arXiv 1711.05101)."""

    name: Literal["adamw"]
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0)


class SGD(Options):
    """Gradient descent with momentum, Nesterov's if wanted."""

    name: Literal["sgd"]
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False


class _Schedule(Options):
    """What all schedules share: over the first `warmup_epochs` the rate rises in a line from 0.

    The epochs of a schedule are counted from the start of the training, or of its stage where there are stages; only
    the cosine begins after the warm-up.
    """

    warmup_epochs: float = Field(default=0.0, ge=0)


class ExponentialSchedule(_Schedule):
    """The learning rate times `decay_factor` every `epochs_per_decay` epochs; without `staircase`, evenly."""

    name: Literal["exponential"]
    decay_factor: float = Field(gt=0, le=1)
    epochs_per_decay: float = Field(gt=0)
    staircase: bool = True


class CosineSchedule(_Schedule):
    """After the warm-up, half a cosine down to 0 at the last step of the training or stage."""

    name: Literal["cosine"]


class StepSchedule(_Schedule):
    """The learning rate times `decay_factor` at each of `at_epochs`."""

    name: Literal["step"]
    decay_factor: float = Field(gt=0, le=1)
    at_epochs: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_rising(self.at_epochs)
        return self


class PiecewiseSchedule(_Schedule):
    """The learning rate up to the first of `at_epochs`, then `rates[0]` up to the second, and so on."""

    name: Literal["piecewise"]
    at_epochs: tuple[float, ...] = Field(min_length=1)
    rates: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_rising(self.at_epochs)
        if len(self.rates) != len(self.at_epochs):
            raise ValueError(f"rates: {len(self.rates)} values for {len(self.at_epochs)} at_epochs; one for each")
        return self


def _check_rising(epochs: tuple[float, ...]) -> None:
    if epochs[0] <= 0 or any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError(f"at_epochs: positive and rising, received {list(epochs)}")


Metric = Literal["accuracy", "auc", "ap", "ap50", "loss"]


class BestBy(Options):
    """Which epoch's weights are kept: those with the highest figure, or the lowest loss, on the eval split.

    A classifier has accuracy and AUC, a detector COCO's AP and AP50. The loss is without label smoothing, class weights
    or weight decay.

    Attributes:
      metric: None takes accuracy, or the AP of a detector.
    """

    metric: Metric | None = None


class EarlyStopping(Options):
    """Stops when the metric of `best_by` has not improved by more than `min_delta` for `patience_epochs` epochs.

    With stages it ends the stage, and the epochs are counted anew in each.
    """

    patience_epochs: int = Field(ge=1)
    min_delta: float = Field(default=0.0, ge=0)


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
      batch_size: images in a step, over all GPUs.
      epochs: passes over the train split.
      stages: what is trained when, instead of `epochs` and `learning_rate`; see `Stage`. Each begins with a fresh
        optimizer, and with its schedule and warm-up from the start.
      precision: of the activations in training; weights, evaluation and export are always float32.
      xla: whether XLA compiles the step; on a CPU it makes depthwise convolutions many times slower.
      label_smoothing: share of the probability that is spread over all labels.
      weight_decay: on all kernels but the depthwise ones; an L2 penalty, slim's `scale * sum(w**2) / 2`, or with
        `adamw` a step of `learning_rate * weight_decay * w`.
      class_balance: `weights` weighs every image by the rarity of its label, `sampling` draws all labels equally often.
      ema_decay: of the moving averages that are evaluated and exported instead of the raw weights; slim's is 0.9999.
      best_by: which epoch's weights are kept.
      early_stopping: when to stop before the last epoch.
      checkpoint_interval_steps: how often a checkpoint is written, beside the one after every epoch.
      augmentation: random changes of the training rasters, in their order, or a preset's name.
      detector: what stands on the backbone of a detector; None for a classifier.
    """

    backbone: Backbone = "mobilenet_v1"
    alpha: float = 0.25
    activation: Activation = "relu6"
    border: Border = "gray"
    initial_weights: str | None = Field(default=None, min_length=1)
    initial_weights_range: InputRange = "-1..1"
    dropout: float = Field(default=0.001, ge=0, lt=1)
    max_batch_norm_momentum: float = Field(default=0.9997, gt=0, lt=1)
    optimizer: Annotated[RMSprop | Adam | AdamW | SGD, Field(discriminator="name")]
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Annotated[
        ExponentialSchedule | CosineSchedule | StepSchedule | PiecewiseSchedule, Field(discriminator="name")
    ]
    batch_size: int = Field(ge=1)
    epochs: int | None = Field(default=None, ge=1)
    stages: tuple[Stage, ...] | None = Field(default=None, min_length=1)
    precision: Precision = "float32"
    xla: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    class_balance: Literal["none", "weights", "sampling"] = "none"
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    best_by: BestBy = BestBy()
    early_stopping: EarlyStopping | None = None
    checkpoint_interval_steps: int = Field(default=500, ge=1)
    augmentation: AugmentationOptions = "none"
    detector: DetectorOptions | None = None

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

    @model_validator(mode="after")
    def _check_course(self) -> Self:
        single = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        if self.stages is None:
            missing = [key for key, value in single.items() if value is None]
            if missing:
                keys = " ".join(f"--set trainer.{key}=VALUE" for key in missing)
                raise ValueError(f"{', '.join(missing)}: missing; pass {keys} or write it into the file; or stages")
            return self
        given = [key for key, value in single.items() if value is not None]
        if given:
            raise ValueError(f"{', '.join(given)}: each of the stages has its own; leave it out, or the stages")
        check_stages(self.stages, self.backbone)
        if isinstance(self.schedule, PiecewiseSchedule):
            raise ValueError(  # noqa: TRY004  # pydantic turns it into a message about the key
                "schedule: piecewise states its own rates; with stages take cosine, step or exponential"
            )
        if self.initial_weights is None and self.stages[0].train_from != ALL:
            raise ValueError(
                f"stages: the blocks below {self.stages[0].train_from} would keep random weights; set initial_weights, "
                f"or begin with train_from: {ALL}"
            )
        return self

    @property
    def best_metric(self) -> Metric:
        """By which the best epoch is chosen."""
        if self.best_by.metric is not None:
            return self.best_by.metric
        return "accuracy" if self.detector is None else "ap"

    @property
    def course(self) -> tuple[Stage, ...]:
        """The stages; where there are none, one of everything."""
        if self.stages is not None:
            return self.stages
        assert self.epochs is not None
        assert self.learning_rate is not None
        return (Stage(train_from=ALL, epochs=self.epochs, learning_rate=self.learning_rate),)

    @model_validator(mode="after")
    def _check_mixing(self) -> Self:
        if self.batch_size == 1 and (mixing := mixing_changes(self.augmentation)):
            raise ValueError(f"batch_size: received 1; expected images to mix for {' and '.join(mixing)}")
        return self

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        without_meaning = _CLASSIFIER_KEYS if self.detector is not None else ()
        for key in without_meaning:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key}: has no meaning for a detector; leave it out")
        check_task_changes(self.augmentation, is_detector=self.detector is not None)
        figures = ("accuracy", "auc") if self.detector is None else ("ap", "ap50")
        if self.best_by.metric not in {None, "loss", *figures}:
            raise ValueError(f"best_by: expected {', '.join(figures)} or loss, received {self.best_by.metric}")
        return self


_CLASSIFIER_KEYS = ("dropout", "label_smoothing", "class_balance")
