"""Settings of the augmentation: an ordered list of random changes, or a preset's name; `trainer.augmentation`."""

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from components.options import Options

PresetName = Literal["none", "slim", "mlperf", "ssd"]
Probability = Annotated[float, Field(gt=0, le=1)]
_Kept = Annotated[float, Field(gt=0, le=1)]
_DEFAULT_KEPT = 0.5


# Changes of place: where each pixel of the result comes from.


class HorizontalFlip(Options):
    """Left and right change sides."""

    name: Literal["horizontal_flip"]
    probability: Probability = 0.5


class Crop(Options):
    """A part of the image, stretched over the whole of it.

    Attributes:
      min_area_fraction, max_area_fraction: share of the image that is left, drawn evenly.
      min_aspect, max_aspect: width / height of the part, where the whole image has 1; drawn evenly on a logarithmic
        scale, and giving way where a part of the drawn area would not fit.
      min_object_kept: share of the box of at least one labelled object that has to stay in view; of all changes of
        place in a list, the strictest limit holds for what they do together.
      probability: of a crop at all.
    """

    name: Literal["crop"]
    min_area_fraction: float = Field(gt=0, le=1)
    max_area_fraction: float = Field(default=1.0, gt=0, le=1)
    min_aspect: float = Field(default=0.75, gt=0)
    max_aspect: float = Field(default=1.33, gt=0)
    min_object_kept: _Kept = _DEFAULT_KEPT
    probability: Probability = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self, "area_fraction")
        _check_range(self, "aspect")
        return self


class Rotation(Options):
    """Around the image's centre, by up to `max_degrees` either way."""

    name: Literal["rotation"]
    max_degrees: float = Field(gt=0, le=180)
    min_object_kept: _Kept = _DEFAULT_KEPT
    probability: Probability = 1.0


class Zoom(Options):
    """In or out by a factor of 1 plus or minus up to `max_fraction`, drawn for rows and columns each, as Keras does."""

    name: Literal["zoom"]
    max_fraction: float = Field(gt=0, lt=1)
    min_object_kept: _Kept = _DEFAULT_KEPT
    probability: Probability = 1.0


class Shift(Options):
    """By up to `max_fraction` of the side, each way, in whole pixels of the model's raster."""

    name: Literal["shift"]
    max_fraction: float = Field(gt=0, le=0.5)
    min_object_kept: _Kept = _DEFAULT_KEPT
    probability: Probability = 1.0


class SsdRandomCrop(Options):
    """A crop as SSD draws it, of a detector's images alone.

    As in `crop`; how much of a box has to stay in view is drawn for each image from 0, 0.1, 0.3, 0.5, 0.7, 0.9 and 1.
    """

    name: Literal["ssd_random_crop"]
    min_area_fraction: float = Field(default=0.1, gt=0, le=1)
    max_area_fraction: float = Field(default=1.0, gt=0, le=1)
    min_aspect: float = Field(default=0.5, gt=0)
    max_aspect: float = Field(default=2.0, gt=0)
    probability: Probability = 0.85

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self, "area_fraction")
        _check_range(self, "aspect")
        return self


class Expand(Options):
    """The whole image, smaller by a factor of up to `max_factor`, somewhere on mid-gray, of a detector alone."""

    name: Literal["expand"]
    max_factor: float = Field(default=2.0, gt=1, le=4)
    probability: Probability = 0.5


# Changes of the values, pixel by pixel.


class Brightness(Options):
    """Adds up to `max_delta` of the value range, either way."""

    name: Literal["brightness"]
    max_delta: float = Field(gt=0, le=1)
    probability: Probability = 1.0


class Contrast(Options):
    """Scales the distance from mid-gray by 1 plus or minus up to `max_delta`."""

    name: Literal["contrast"]
    max_delta: float = Field(gt=0, lt=1)
    probability: Probability = 1.0


class Saturation(Options):
    """Scales the saturation of HSV, which changes the gray that a colour turns into."""

    name: Literal["saturation"]
    min_factor: float = Field(ge=0)
    max_factor: float = Field(gt=0)
    probability: Probability = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self, "factor")
        return self


# Changes of the finished picture.


class JpegNoise(Options):
    """What a JPEG of a quality drawn from `min_quality` to `max_quality` leaves of the image."""

    name: Literal["jpeg_noise"]
    min_quality: int = Field(ge=1, le=100)
    max_quality: int = Field(default=100, ge=1, le=100)
    probability: Probability = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self, "quality")
        return self


class Erasing(Options):
    """A rectangle of random values (Zhong et al., arXiv 1708.04896, with its defaults).

    Attributes:
      min_area_fraction, max_area_fraction: of the rectangle, in the image.
      min_aspect, max_aspect: of the rectangle, drawn evenly on a logarithmic scale.
      min_object_kept: share of a labelled object that has to stay, cut off parts counted as lost.
      probability: of a rectangle at all.
    """

    name: Literal["erasing"]
    min_area_fraction: float = Field(default=0.02, gt=0, lt=1)
    max_area_fraction: float = Field(default=0.4, gt=0, lt=1)
    min_aspect: float = Field(default=0.3, gt=0)
    max_aspect: float = Field(default=3.3, gt=0)
    min_object_kept: _Kept = _DEFAULT_KEPT
    probability: Probability = 0.5

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self, "area_fraction")
        _check_range(self, "aspect")
        return self


# Changes between the images of a batch.


class MixUp(Options):
    """Weighted mean of two images and of their labels, the weight from Beta(alpha, alpha) (arXiv 1710.09412)."""

    name: Literal["mixup"]
    alpha: float = Field(gt=0, le=100)
    probability: Probability = 1.0


class CutMix(Options):
    """A rectangle of another image, its share of the area from Beta(alpha, alpha) (arXiv 1905.04899).

    The labels are mixed by area, whatever the rectangle covers or shows.
    """

    name: Literal["cutmix"]
    alpha: float = Field(gt=0, le=100)
    probability: Probability = 1.0


PlaceChange = HorizontalFlip | Crop | Rotation | Zoom | Shift | SsdRandomCrop | Expand
ValueChange = Brightness | Contrast | Saturation
PictureChange = JpegNoise | Erasing
BatchChange = MixUp | CutMix
Change = Annotated[
    HorizontalFlip
    | Crop
    | Rotation
    | Zoom
    | Shift
    | SsdRandomCrop
    | Expand
    | Brightness
    | Contrast
    | Saturation
    | JpegNoise
    | Erasing
    | MixUp
    | CutMix,
    Field(discriminator="name"),
]


def _check_range(options: Options, what: str) -> None:
    least, most = getattr(options, f"min_{what}"), getattr(options, f"max_{what}")
    if least > most:
        raise ValueError(f"min_{what}: received {least:g}, which is more than max_{what}={most:g}")


def _rank(change: Options) -> int:
    """Changes of a higher rank come after those of a lower one; place and value changes mix freely."""
    return 2 if isinstance(change, BatchChange) else 1 if isinstance(change, PictureChange) else 0


def _check_order(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    names = [change.name for change in changes]
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise ValueError(f"expected every change once, received {twice} twice")
    for earlier, later in pairwise(changes):
        if _rank(earlier) > _rank(later):
            rule = (
                "mixup and cutmix, which mix finished images, come last"
                if isinstance(earlier, BatchChange)
                else "jpeg_noise and erasing change the finished picture, and come after place, brightness and colour"
            )
            raise ValueError(f"expected {later.name} before {earlier.name}: {rule}")
    return changes


def _shape(value: object) -> str:
    """Which member of the union is meant, so that an error speaks of that one alone."""
    return "list" if isinstance(value, list | tuple) else "preset"


AugmentationOptions = Annotated[
    Annotated[PresetName, Tag("preset")] | Annotated[tuple[Change, ...], AfterValidator(_check_order), Tag("list")],
    Discriminator(_shape),
]

PRESETS: Final[Mapping[PresetName, tuple[Change, ...]]] = MappingProxyType(
    {
        "none": (),
        # tensorflow/models @1794977b, research/slim/preprocessing/inception_preprocessing.py, fast mode, which is what
        # slim calls `mobilenet_v1`. Its crops may lose the labelled object; these keep half of one.
        "slim": (
            Crop(name="crop", min_area_fraction=0.05, max_area_fraction=1.0, min_aspect=0.75, max_aspect=1.33),
            HorizontalFlip(name="horizontal_flip"),
            Brightness(name="brightness", max_delta=32 / 255),
            Saturation(name="saturation", min_factor=0.5, max_factor=1.5),
        ),
        # mlcommons/tiny, benchmark/training/visual_wake_words/train_vww.py: Keras' ImageDataGenerator.
        "mlperf": (
            Rotation(name="rotation", max_degrees=10),
            Shift(name="shift", max_fraction=0.05),
            Zoom(name="zoom", max_fraction=0.1),
            HorizontalFlip(name="horizontal_flip"),
        ),
        # tensorflow/models, research/object_detection/samples/configs/ssd_mobilenet_v1_coco.config; see `augment_boxes`
        # for what differs.
        "ssd": (HorizontalFlip(name="horizontal_flip"), SsdRandomCrop(name="ssd_random_crop")),
    }
)


def changes_of(augmentation: AugmentationOptions) -> tuple[Change, ...]:
    """The changes that a preset's name, or a list, stands for, in their order."""
    return PRESETS[augmentation] if isinstance(augmentation, str) else augmentation


def needs_colour(augmentation: AugmentationOptions) -> bool:
    """Whether a change has no meaning on gray rasters."""
    return any(isinstance(change, Saturation) for change in changes_of(augmentation))


def mixing_changes(augmentation: AugmentationOptions) -> list[str]:
    """The names of the changes that mix images, and so labels."""
    return [change.name for change in changes_of(augmentation) if isinstance(change, BatchChange)]


def check_task_changes(augmentation: AugmentationOptions, *, is_detector: bool) -> None:
    """Checks that every change has a meaning for the task.

    Raises:
      ValueError: naming the change.
    """
    if is_detector and (mixing := mixing_changes(augmentation)):
        raise ValueError(
            f"augmentation: {mixing[0]} mixes labels of whole images, of which a detector has none; take it out"
        )
    of_detectors = [c.name for c in changes_of(augmentation) if isinstance(c, SsdRandomCrop | Expand)]
    if not is_detector and of_detectors:
        instead = "crop" if of_detectors[0] == "ssd_random_crop" else "zoom"
        raise ValueError(f"augmentation: {of_detectors[0]} is of detectors; a classifier takes {instead}")
