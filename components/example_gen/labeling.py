"""Label rules: which label an image gets from its annotations, and how large its largest object is.

A rule has an id, a version and a digest; all three stand in every dataset's and release's manifest, because rules
that all call themselves "visual wake words" disagree on many images (docs/label-rules.md).
"""

import bisect
import dataclasses
import enum
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pydantic import Field

from components.example_gen.image_records import Annotation, ImageRecord
from components.options import Options

NEGATIVE: Final = 0
BACKGROUND: Final = "background"  # slim's word for the label of images without any of several categories

# The default of --small_object_area_threshold in tensorflow/models @1794977b,
# research/slim/datasets/build_visualwakewords_data.py. Its docstring says 5 %; the number that runs is 0.5 %.
SLIM_MIN_AREA_FRACTION: Final = 0.005
# areaRatio in SiliconLabs/platform_ml_models @fa61977c, eembc/Person_detection/buildPersonDetectionDatabase.py.
MLPERF_MIN_AREA_FRACTION: Final = 0.025

# Buckets of the largest object's area fraction, smallest first; the last edge is open. Slices of the evaluation.
NO_OBJECT: Final = "none"
NOT_ANNOTATED: Final = "not_annotated"  # a folder per class says nothing of objects
_BUCKETS: Final = ("under_0.5%", "0.5%_to_2%", "2%_to_10%", "over_10%")
_BUCKET_EDGES: Final = (SLIM_MIN_AREA_FRACTION, 0.02, 0.1)
SIZE_BUCKETS: Final = (NO_OBJECT, *_BUCKETS, NOT_ANNOTATED)


class Quantity(enum.StrEnum):
    """What is measured of an annotation."""

    MASK_AREA = "mask_area"  # COCO's field `area`, of the segmentation mask
    BOX_AREA = "box_area"  # width * height of `bbox`


class SmallOnly(enum.StrEnum):
    """What becomes of an image that has objects, none of them large enough."""

    NEGATIVE = "negative"
    DROP = "drop"


class RuleParameters(Options):
    """What a label rule compares.

    Attributes:
      quantity: what is measured of an annotation.
      min_area_fraction: measured area / image area, in 0...1, that decides.
      inclusive: whether exactly that fraction is enough.
      sums: whether the category's annotations count together; otherwise each alone.
      crowds: whether crowd annotations count. Where they do not, an image of crowds alone has no object.
      small_only: what becomes of an image that has objects, none of them large enough.
    """

    quantity: Quantity = Quantity.MASK_AREA
    min_area_fraction: float = Field(ge=0, lt=1)
    inclusive: bool = True
    sums: bool = False
    crowds: bool = True
    small_only: SmallOnly = SmallOnly.NEGATIVE


@dataclasses.dataclass(frozen=True, slots=True)
class LabelRule:
    """One named way to turn an image's annotations into a label.

    Attributes:
      id: name of the rule, as in `data.label_rule`.
      version: raised whenever the same annotations would be labelled differently.
      parameters: what it compares; None where folders are the labels.
      source: the code that the rule reproduces.
      words: what it asks, where the parameters do not say it all.
    """

    id: str
    version: int
    parameters: RuleParameters | None
    source: str
    words: str | None = None

    def in_words(self) -> str:
        """What the rule asks, as one sentence without a capital or a full stop."""
        if self.words is not None:
            return self.words
        assert self.parameters is not None
        given = self.parameters
        area = "segmentation mask (COCO's `area`)" if given.quantity is Quantity.MASK_AREA else "bounding box"
        objects = f"objects' {area} areas together cover" if given.sums else f"largest object's {area} covers"
        small = "is left out" if given.small_only is SmallOnly.DROP else "counts as one without objects"
        least = f"{'at least' if given.inclusive else 'more than'} {100 * given.min_area_fraction:.6g} % of the image"
        crowds = "count" if given.crowds else "do not count"
        return (
            f"an image has a category's label if its {objects} {least};"
            f" crowd annotations {crowds}; an image with smaller objects only {small}"
        )

    def digest(self) -> str:
        """SHA-256, in hex, of the rule's canonical JSON."""
        parameters = None if self.parameters is None else self.parameters.model_dump(mode="json")
        identity = {"id": self.id, "version": self.version, "parameters": parameters}
        return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_SLIM = RuleParameters(min_area_fraction=SLIM_MIN_AREA_FRACTION)
_STRICT_MASK = RuleParameters(min_area_fraction=SLIM_MIN_AREA_FRACTION, inclusive=False)

LABEL_RULES: Final[Mapping[str, LabelRule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in (
            LabelRule(
                "slim", 1, _SLIM, "tensorflow/models@1794977b research/slim/datasets/build_visualwakewords_data_lib.py"
            ),
            LabelRule(
                "slim-download",
                1,
                _STRICT_MASK,
                "tensorflow/models@333a59f6 research/slim/datasets/download_and_convert_visualwakewords_lib.py",
            ),
            LabelRule(
                "pyvww",
                1,
                _STRICT_MASK,
                "Mxbonn/visualwakewords@23f90a0b scripts/create_visualwakewords_annotations.py",
            ),
            LabelRule(
                "mlperf",
                1,
                RuleParameters(
                    quantity=Quantity.BOX_AREA,
                    min_area_fraction=MLPERF_MIN_AREA_FRACTION,
                    inclusive=False,
                    crowds=False,
                    small_only=SmallOnly.DROP,
                ),
                "SiliconLabs/platform_ml_models@fa61977c eembc/Person_detection/buildPersonDetectionDatabase.py",
            ),
            LabelRule(
                "kenning",
                1,
                RuleParameters(
                    quantity=Quantity.BOX_AREA, min_area_fraction=SLIM_MIN_AREA_FRACTION, inclusive=False, sums=True
                ),
                "antmicro/kenning@0d0cbddf kenning/datasets/visual_wake_words_dataset.py",
            ),
            # The text speaks of boxes, and not of crowds; pyvww, the code published beside it, measures masks.
            LabelRule(
                "paper",
                1,
                RuleParameters(quantity=Quantity.BOX_AREA, min_area_fraction=SLIM_MIN_AREA_FRACTION, inclusive=False),
                "arXiv 1906.05721, section 3",
            ),
        )
    }
)

FOLDER_RULE: Final = LabelRule(
    "folder", 1, None, "the folder that an image lies in", "the folder that an image lies in is its label"
)
# A detector's: its boxes have the labels, and an image gets one for its place in counts and slices.
BOXES_RULE: Final = LabelRule(
    "boxes",
    1,
    RuleParameters(quantity=Quantity.BOX_AREA, min_area_fraction=0, crowds=False),
    "data.boxes",
    "every object has the label of its category; an image counts under the label of its largest object, by bounding"
    " box, crowds aside",
)


def custom_rule(parameters: RuleParameters) -> LabelRule:
    """A rule of the user's own; its digest tells it from others."""
    return LabelRule("custom", 1, parameters, "data.label_rule")


@dataclasses.dataclass(frozen=True, slots=True)
class ImageLabel:
    """What a rule says of one image.

    Attributes:
      label: NEGATIVE, or 1 + the place of a category in the list that was asked for; None if the image is dropped.
      largest_fraction: measured area / image area of the largest annotation that the rule counts, of any of the
        categories; 0.0 where there is none.
    """

    label: int | None
    largest_fraction: float


def label_image(record: ImageRecord, category_ids: Sequence[int], rule: RuleParameters) -> ImageLabel:
    """Labels one image.

    An image with large enough objects of several categories gets the label of the largest; of equal ones, the first
    in `category_ids`.

    Args:
      record: the image with its annotations and its size.
      category_ids: COCO categories; the first one's label is 1.
      rule: what is compared.
    """
    image_area = record.area_px
    totals = [0.0] * len(category_ids)
    largest = 0.0
    has_object = False
    for annotation in record.annotations:
        if annotation.category_id in category_ids and (rule.crowds or not annotation.is_crowd):
            has_object = True
            place = category_ids.index(annotation.category_id)
            area = _measure(annotation, rule.quantity)
            totals[place] = totals[place] + area if rule.sums else max(totals[place], area)
            largest = max(largest, area)
    if not has_object:
        return ImageLabel(NEGATIVE, 0.0)
    best = max(totals)
    fraction = best / image_area
    is_enough = fraction >= rule.min_area_fraction if rule.inclusive else fraction > rule.min_area_fraction
    if is_enough:
        return ImageLabel(1 + totals.index(best), largest / image_area)
    return ImageLabel(NEGATIVE if rule.small_only is SmallOnly.NEGATIVE else None, largest / image_area)


def find_label_givers(
    record: ImageRecord, label: int, category_labels: Mapping[int, int], rule: RuleParameters | None
) -> Collection[Annotation]:
    """The objects without which an image would not have its label.

    Args:
      record: the image.
      label: what `label_image` said of it.
      category_labels: label by the id of each COCO category that has one.
      rule: by which it was labelled; None where folders are the labels.

    Returns:
      Those of the label's category that the rule counts and finds large enough; all that it counts where their areas
      are added up.
    """
    if rule is None or label == NEGATIVE:
        return ()
    least = 0.0 if rule.sums else rule.min_area_fraction * record.area_px
    return [
        annotation
        for annotation in record.annotations
        if category_labels.get(annotation.category_id) == label
        and (rule.crowds or not annotation.is_crowd)
        and _measure(annotation, rule.quantity) >= least
    ]


def _measure(annotation: Annotation, quantity: Quantity) -> float:
    """Square pixels; an annotation without a usable box has no area of one."""
    if quantity is Quantity.MASK_AREA:
        return annotation.area
    box = annotation.bbox_xywh_px
    return 0.0 if box is None else box[2] * box[3]


def size_bucket(fraction: float) -> str:
    """The entry of `SIZE_BUCKETS` that an area fraction falls into; an edge belongs to the larger bucket."""
    return NO_OBJECT if fraction == 0.0 else _BUCKETS[bisect.bisect_right(_BUCKET_EDGES, fraction)]
