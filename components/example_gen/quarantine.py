"""Quarantine: bad records are left out, counted and listed with their reason, and refused where they are too many."""

import dataclasses
import enum
import json
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from components.errors import DataError


class QuarantineReason(enum.StrEnum):
    """Why an image or an annotation was left out."""

    # What the annotations file says.
    MISSING_FIELD = "missing_field"
    BAD_FIELD = "bad_field"
    BAD_FILE_NAME = "bad_file_name"
    BAD_SIZE = "bad_size"
    BAD_AREA = "bad_area"
    BAD_BOX = "bad_box"
    MISSING_BOX = "missing_box"  # this and the next three: of what a detector learns from
    BOX_NOT_FINITE = "box_not_finite"
    EMPTY_BOX = "empty_box"
    BOX_OUTSIDE = "box_outside"
    UNKNOWN_IMAGE = "unknown_image"
    UNKNOWN_CATEGORY = "unknown_category"
    # What the images folder holds.
    MISSING_FILE = "missing_file"
    OUTSIDE_IMAGES_FOLDER = "outside_images_folder"
    CONFLICTING_LABELS = "conflicting_labels"
    # What the bytes are.
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    SIZE_MISMATCH = "size_mismatch"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Quarantined:
    """One bad record. `id` is the record's own id, or its place in the file (`images[3]`) if it has none."""

    kind: Literal["image", "annotation"]
    id: str
    reason: QuarantineReason
    detail: str


class DropReason(enum.StrEnum):
    """Why a good image was left out on purpose."""

    DUPLICATE = "duplicate"  # another image has the very same bytes
    SMALL_OBJECTS_ONLY = "small_objects_only"  # the label rule drops it


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Dropped:
    """One image that was left out on purpose; no sign of bad data, and under no limit."""

    id: str
    reason: DropReason
    detail: str


class BadRecord(Exception):  # noqa: N818 - a verdict on one record, caught where the records are listed
    """An image or an annotation to be quarantined, thrown to the loop that knows its id."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def check_quarantine(
    quarantined: Iterable[Quarantined], *, image_count: int, annotation_count: int, limit: float
) -> None:
    """Refuses a data set of which too much is bad.

    Images and annotations are judged apart, each against their own total. Called on the plan, and again when the
    images' bytes were read.

    Args:
      quarantined: everything left out so far.
      image_count: images in the annotations file.
      annotation_count: annotations in the annotations file.
      limit: largest share, in 0...1, that may be bad.

    Raises:
      DataError: a share is above the limit; lists the counts by reason and the first five records.
    """
    listed = sorted(quarantined)
    for kind, total in (("image", image_count), ("annotation", annotation_count)):
        bad = [entry for entry in listed if entry.kind == kind]
        if not bad or len(bad) / total <= limit:
            continue
        reasons = Counter(entry.reason for entry in bad)
        raise DataError(
            f"{len(bad)} of {total} {kind}s are bad ({len(bad) / total:.1%}): "
            + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            + "".join(f"\n    {kind} {entry.id}: {entry.reason}, {entry.detail}" for entry in bad[:5])
            + ("\n    ..." if len(bad) > 5 else ""),
            expected=f"at most {100 * limit:g} % (data.max_quarantined_fraction)",
            hint=_quarantine_hint(reasons),
        )


def _quarantine_hint(reasons: Counter[QuarantineReason]) -> str:
    most = reasons.most_common(1)[0][0]
    if most is QuarantineReason.MISSING_FILE:
        return "set data.images to the folder that the annotations' file_name is relative to"
    hint = "mend the records, or raise data.max_quarantined_fraction to leave them out"
    if most is QuarantineReason.BOX_OUTSIDE:
        return f"{hint}; a bbox is [x, y, width, height] in pixels, not corners [x1, y1, x2, y2]"
    return hint


def render_quarantine(quarantined: Iterable[Quarantined], dropped: Iterable[Dropped]) -> str:
    """JSON lines, one record each: {"kind": ..., "id": ..., "reason": ..., "detail": ...}; sorted, the dropped last."""
    lines = [dataclasses.asdict(entry) for entry in sorted(quarantined)]
    lines += [{"kind": "dropped", **dataclasses.asdict(entry)} for entry in sorted(dropped)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
