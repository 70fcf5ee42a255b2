"""What a data report says, as records: everything that the page and the tables show, and nothing that they derive.

`DataReport.to_json` is what `vww data report --json` prints.
"""

import dataclasses
import enum
import json
from collections.abc import Mapping

from pipeline.report.box_findings import BoxFindings
from pipeline.report.histograms import Histogram


@dataclasses.dataclass(frozen=True, slots=True)
class DataSource:
    """Where the images come from.

    Attributes:
      format: `coco` or `image_folder`.
      annotations: COCO instances files.
      images: images folders.
      fingerprint: of the plan; a changed file changes it.
    """

    format: str
    annotations: tuple[str, ...]
    images: tuple[str, ...]
    fingerprint: str


@dataclasses.dataclass(frozen=True, slots=True)
class Coverage:
    """How much was looked at.

    Attributes:
      listed: images that the sources list, bad ones and copies included.
      planned: images that a run would write, as far as is known before their bytes are read.
      asked: images whose bytes were read for this report; fewer than planned where a limit was given.
      looked_at: those of them that could be decoded.
    """

    listed: int
    planned: int
    asked: int
    looked_at: int

    @property
    def is_partial(self) -> bool:
        """Whether a limit left images out."""
        return self.asked < self.planned


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """The label rule that is set, and what it compares.

    Attributes:
      id: of `components.example_gen.labeling`.
      quantity: `mask_area` or `box_area`.
      min_area_fraction: the threshold, of the image's area.
    """

    id: str
    quantity: str
    min_area_fraction: float


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectSizes:
    """The largest object of each image, of those that the rule counts; of all images but copies.

    Attributes:
      histogram: area fractions of the images that have an object, the threshold among the edges.
      without_object: images that have none, by label.
      dropped_label: the name of the series of images that the rule drops; None where it drops none.
    """

    histogram: Histogram
    without_object: Mapping[str, int]
    dropped_label: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class RuleCounts:
    """What a label rule would make of the same images.

    Attributes:
      name: a preset's id, or a multiple of the threshold that is set, such as `slim x 0.5`.
      quantity: `mask_area` or `box_area`.
      min_area_fraction: its threshold.
      counts: images by label.
      dropped: images that it leaves out.
      changed: images for which it says something else than the rule that is set.
    """

    name: str
    quantity: str
    min_area_fraction: float
    counts: Mapping[str, int]
    dropped: int
    changed: int


@dataclasses.dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much hangs on the label rule.

    Attributes:
      images: how many were labelled by each.
      rules: the presets, then multiples of the threshold that is set.
      near_threshold: images that another threshold, within `data_checks.THRESHOLD_MARGIN`, would label differently.
    """

    images: int
    rules: tuple[RuleCounts, ...]
    near_threshold: int


class Cue(enum.StrEnum):
    """One number that an image has without anyone understanding it."""

    BRIGHTNESS = "brightness"  # mean luma, 0...1
    CONTRAST = "contrast"  # standard deviation of the luma, 0...0.5
    ASPECT = "aspect"  # width / height
    SHORTER_SIDE = "shorter_side"  # pixels


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """Quartiles, mean and standard deviation of a cue over some images."""

    images: int
    mean: float
    deviation: float
    quartiles: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Separation:
    """How well one number alone tells one label from the others.

    Attributes:
      label: the one that it tells best.
      auc: area under the ROC curve of that number, in either direction, 0.5...1.
      chance: three standard errors above 0.5; an AUC below it may be luck in a set of this size.
    """

    label: str
    auc: float
    chance: float


@dataclasses.dataclass(frozen=True, slots=True)
class CueFindings:
    """A cue over the images that were looked at; `separation` is None where fewer than two labels have images."""

    cue: Cue
    histogram: Histogram
    overall: Spread
    by_label: Mapping[str, Spread]
    separation: Separation | None


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """Of the images that were looked at, how many do not fit the model's square input.

    Attributes:
      small: their shorter side is below the input's.
      elongated: wider or taller than `data_checks.MAX_ASPECT` to 1.
    """

    small: int
    elongated: int


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRef:
    """An image as the report names it; `path` is where its bytes are."""

    id: str
    path: str
    split: str
    label: str
    largest_object: str


@dataclasses.dataclass(frozen=True, slots=True)
class LookAlike:
    """An image of a group that looks the same; `bits` of 64 differ between its perceptual hash and the first one's."""

    image: ImageRef
    bits: int


@dataclasses.dataclass(frozen=True, slots=True)
class LookAlikeGroup:
    """Images that look the same, each as at least one other does.

    Attributes:
      images: how many.
      splits, labels: of these images.
      first: some of them, of different splits and labels where there are any; at most `data_report.MAX_IN_GROUP`.
    """

    images: int
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    first: tuple[LookAlike, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Images that look the same, among those looked at.

    Attributes:
      images: how many look like another one.
      groups: how many groups they form.
      across_splits, across_labels: groups of more than one split, and of more than one label.
      listed: groups of several splits first, then of several labels; at most `data_report.MAX_GROUPS`.
    """

    images: int
    groups: int
    across_splits: int
    across_labels: int
    listed: tuple[LookAlikeGroup, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class BadRecordRef:
    """One record that is left out, and what is known of it."""

    id: str
    detail: str


class Kind(enum.StrEnum):
    """Why records are left out."""

    QUARANTINED_IMAGE = "image, quarantined"
    QUARANTINED_ANNOTATION = "annotation, quarantined"
    DROPPED = "image, dropped on purpose"


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """Records that are left out for one reason.

    Attributes:
      kind: what they are.
      reason: a `QuarantineReason` or a `DropReason`.
      from_bytes: whether it came to light only when this report read the images.
      count: how many.
      first: a few of them.
    """

    kind: Kind
    reason: str
    from_bytes: bool
    count: int
    first: tuple[BadRecordRef, ...]


class CheckVerdict(enum.StrEnum):
    """What a check says."""

    FINE = "fine"
    WARN = "warn"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One question about the set, answered.

    Attributes:
      name: such as `class_balance`.
      value: what was measured.
      limit: what it is held against.
      shown: value as a person reads it.
      wanted: the limit as a person reads it.
      verdict: whether the value keeps to the limit.
      about: one sentence on what was measured.
      advice: what to do if it warns.
    """

    name: str
    value: float
    limit: float
    shown: str
    wanted: str
    verdict: CheckVerdict
    about: str
    advice: str


@dataclasses.dataclass(frozen=True, slots=True)
class DataReport:
    """Everything that is known of a set before it is trained on.

    Attributes:
      name: of the config.
      side: of the model's input, in pixels.
      source, coverage: where the images are and how many were looked at.
      labels: names, by label.
      counts: planned images by split and label.
      rule, objects, sensitivity: of annotated objects that label their image; None where folders are the labels, or
        where a detector learns the objects themselves.
      cues: brightness and the like; empty where no image could be decoded.
      shape: images that do not fit the model's input.
      exif_ignored: of the images that were looked at, those that EXIF turns and that are taken as stored, since their
        annotations state sizes.
      near_duplicates: images that look the same.
      left_out: by kind and reason.
      ignored: files that are no images by their names, by suffix.
      samples: images for the contact sheets, by label.
      refusals: what a run would say before it trains, and end.
      boxes: what a detector learns from; None for a classifier.
      checks: what follows from all of it.
    """

    name: str
    side: int
    source: DataSource
    coverage: Coverage
    labels: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    rule: Rule | None
    objects: ObjectSizes | None
    sensitivity: Sensitivity | None
    cues: tuple[CueFindings, ...]
    shape: Shape
    exif_ignored: int
    near_duplicates: NearDuplicates
    left_out: tuple[LeftOut, ...]
    ignored: Mapping[str, int]
    samples: Mapping[str, tuple[ImageRef, ...]]
    refusals: tuple[str, ...]
    boxes: BoxFindings | None = None
    checks: tuple[Check, ...] = ()

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that warn."""
        return tuple(check for check in self.checks if check.verdict is CheckVerdict.WARN)

    def to_json(self) -> str:
        """The whole report, readable by any JSON parser: what ASCII cannot say is escaped."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n"
