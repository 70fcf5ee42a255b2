"""Label rules: which image is positive, and how large its largest object is.

A rule has an id, a version and a digest; all three stand in every dataset's and release's manifest, because two
rules that both call themselves "visual wake words" disagree on many images (DESIGN.md, decision 1).
"""

import bisect
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from components.example_gen.coco import ImageRecord

NEGATIVE: Final = 0
POSITIVE: Final = 1

# The default of --small_object_area_threshold in tensorflow/models @1794977b,
# research/slim/datasets/build_visualwakewords_data.py. Its docstring says 5 %; the number that runs is 0.5 %.
SLIM_MIN_AREA_FRACTION: Final = 0.005

# Buckets of the largest object's area fraction, smallest first; the last edge is open. Slices of the evaluation.
NO_OBJECT: Final = "none"
_BUCKETS: Final = ("under_0.5%", "0.5%_to_2%", "2%_to_10%", "over_10%")
_BUCKET_EDGES: Final = (SLIM_MIN_AREA_FRACTION, 0.02, 0.1)
SIZE_BUCKETS: Final = (NO_OBJECT, *_BUCKETS)


@dataclasses.dataclass(frozen=True, slots=True)
class LabelRule:
    """One named way to turn an image's annotations into a label.

    Attributes:
      id: name of the rule in `LABEL_RULES` and in the config (`data.label_rule`).
      version: raised whenever the same annotations would be labelled differently.
      min_area_fraction: object area / image area, in 0...1, from which on an object counts.
      statement: the rule in one sentence.
      source: the code that the rule reproduces.
    """

    id: str
    version: int
    min_area_fraction: float
    statement: str
    source: str

    def digest(self) -> str:
        """SHA-256, in hex, of the rule's canonical JSON."""
        canonical = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


SLIM: Final = LabelRule(
    id="slim",
    version=1,
    min_area_fraction=SLIM_MIN_AREA_FRACTION,
    statement=(
        "positive if any annotation of the category, crowds included, has area / (height * width) >= "
        "min_area_fraction; negative otherwise, also where there are smaller ones only"
    ),
    source="tensorflow/models@1794977b research/slim/datasets/build_visualwakewords_data_lib.py",
)

LABEL_RULES: Final[Mapping[str, LabelRule]] = MappingProxyType({rule.id: rule for rule in (SLIM,)})


def label_image(record: ImageRecord, category_id: int, rule: LabelRule) -> int:
    """The label of one image.

    Args:
      record: the image with its annotations.
      category_id: COCO category that makes an image positive.
      rule: one of `LABEL_RULES`.

    Returns:
      POSITIVE or NEGATIVE.
    """
    fractions = _area_fractions(record, category_id)
    return POSITIVE if any(fraction >= rule.min_area_fraction for fraction in fractions) else NEGATIVE


def largest_area_fraction(record: ImageRecord, category_id: int) -> float:
    """Area of the category's largest annotation / area of the image; 0.0 where there is none."""
    return max(_area_fractions(record, category_id), default=0.0)


def size_bucket(fraction: float) -> str:
    """The entry of `SIZE_BUCKETS` that an area fraction falls into; an edge belongs to the larger bucket."""
    return NO_OBJECT if fraction == 0.0 else _BUCKETS[bisect.bisect_right(_BUCKET_EDGES, fraction)]


def _area_fractions(record: ImageRecord, category_id: int) -> list[float]:
    """Mask area / image area of each annotation of the category, in the arithmetic of the slim builder."""
    image_area = record.height * record.width
    return [a.area / image_area for a in record.annotations if a.category_id == category_id]
