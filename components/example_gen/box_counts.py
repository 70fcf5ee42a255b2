"""How many boxes of which label a detector finds in each split, and whether that is enough to start with."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from components.dataset import BoxCounts
from components.errors import DataError
from components.example_gen.boxes import BoxTable
from components.example_gen.image_records import ImageRecord

# What boxes of other formats are, when most reach beyond their image, and when none is larger than a pixel.
MAYBE_CORNERS = "they may be corners [x1, y1, x2, y2], where COCO has [x, y, width, height]"
MAYBE_NORMALISED = "they may be normalised to 0...1, where COCO has pixels"


def count_boxes(
    records: Mapping[str, Sequence[ImageRecord]], category_labels: Mapping[int, int], label_names: Sequence[str]
) -> BoxCounts:
    """Counts the labelled boxes.

    Args:
      records: the images of each split.
      category_labels: label by the id of each COCO category that has one.
      label_names: by label, the background first.
    """
    labels: dict[str, dict[str, int]] = {}
    crowds: dict[str, int] = {}
    clipped: dict[str, int] = {}
    per_image: dict[str, tuple[tuple[int, int], ...]] = {}
    for split, images in records.items():
        table = BoxTable.of(images, category_labels)
        tally = np.bincount(table.labels[~table.crowds], minlength=len(label_names))
        labels[split] = {name: int(tally[label]) for label, name in enumerate(label_names) if label}
        crowds[split] = int(np.count_nonzero(table.crowds))
        clipped[split] = int(np.count_nonzero(table.clipped))
        in_images = Counter(np.bincount(table.images, minlength=len(images)).tolist())
        per_image[split] = tuple(sorted(in_images.items()))
    return BoxCounts(labels=labels, crowds=crowds, per_image=per_image, clipped=clipped)


def check_boxes(counts: BoxCounts) -> None:
    """Refuses a split without boxes of a category: it can neither be learned nor shown to have been.

    Raises:
      DataError: naming the split and every such category.
    """
    for split, by_label in counts.labels.items():
        missing = [name for name, boxes in by_label.items() if boxes == 0]
        if not missing:
            continue
        others = ", ".join(f"{name} {boxes:,}" for name, boxes in by_label.items() if boxes)
        crowds = f", and {counts.crowds[split]:,} crowds, which do not count" if counts.crowds[split] else ""
        raise DataError(
            f"the {split} split has no box of {' or '.join(map(repr, missing))}; it has {others or 'none at all'}"
            f"{crowds}.",
            expected="boxes of every category of data.category in every split",
            hint="add images of it, or take it out of data.category; where data.splits shares images out, another"
            " data.split_seed does it differently",
        )
