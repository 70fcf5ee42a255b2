"""What a run says of its data in one line."""

from collections import Counter
from collections.abc import Mapping

from components.dataset import BoxCounts
from components.example_gen.box_counts import MAYBE_CORNERS
from components.example_gen.plan import DatasetPlan
from components.features import TRAIN


def describe_plan(plan: DatasetPlan, max_boxes: int) -> str:
    """Images of every split with their labels, or their boxes, and what is left out.

    Args:
      plan: of the data.
      max_boxes: of one image that a detector learns from.
    """
    if plan.boxes is None:
        in_words = {
            split: _in_words(dict(zip(plan.label_names, counts, strict=True))) for split, counts in plan.counts.items()
        }
    else:
        in_words = {split: f"boxes: {_in_words(by_label)}" for split, by_label in plan.boxes.labels.items()}
    splits = "; ".join(f"{split} {sum(counts):,} ({in_words[split]})" for split, counts in plan.counts.items())
    notes = [] if plan.boxes is None else _describe_boxes(plan.boxes, max_boxes)
    notes += [f"{len(plan.quarantined):,} records quarantined"] if plan.quarantined else []
    dropped = Counter(entry.reason for entry in plan.dropped)
    notes += [f"{count:,} images dropped ({reason.replace('_', ' ')})" for reason, count in dropped.items()]
    notes += [f"{count:,} {suffix} files passed over" for suffix, count in plan.inventory.ignored.items()]
    return "; ".join([splits, *notes])


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _describe_boxes(boxes: BoxCounts, max_boxes: int) -> list[str]:
    crowds = sum(boxes.crowds.values())
    notes = [f"{crowds:,} crowds"] if crowds else []
    images, too_many = boxes.beyond(TRAIN, max_boxes)
    if images:
        notes.append(
            f"{images:,} train images have more than {max_boxes} boxes, of which the {too_many:,} smallest are"
            " taught as background; raise transform.max_boxes"
        )
    if clipped := boxes.clipped_in_all:
        why = f": {MAYBE_CORNERS}" if 2 * clipped > boxes.total else ""
        notes.append(f"{clipped:,} of {boxes.total:,} boxes reach beyond their image and are clipped{why}")
    return notes
