"""The plan of a data set: which image goes where, with which label, before an image is decoded.

The command's preflight and CocoExampleGen's executor both start here, so that what one accepts the other runs.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from components import features
from components.dataset import BoxCounts
from components.errors import DataError
from components.example_gen import labeling
from components.example_gen.box_counts import check_boxes, count_boxes
from components.example_gen.duplicates import find_duplicates
from components.example_gen.image_looks import look_at_images
from components.example_gen.image_records import ImageRecord
from components.example_gen.inventory import FoundImage, Inventory, take_inventory
from components.example_gen.near_duplicates import find_near_duplicates, group_pairs
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import Dropped, DropReason, Quarantined, QuarantineReason, check_quarantine
from components.example_gen.splits import assign_split, read_split_ids

# Images of one split by label: counts[split][label].
SplitCounts = Mapping[str, tuple[int, ...]]
# Where copies and look-alikes of an image stay, if their splits are stated: held-out images are not moved.
_HELD_OUT_FIRST = (features.TEST, features.EVAL, features.TRAIN)


@dataclasses.dataclass(frozen=True, slots=True)
class LabeledImage:
    """One image to be written.

    Attributes:
      record: what its source says.
      split: one of `features.SPLITS`.
      label: its place in `DatasetPlan.label_names`.
      bucket: one of `labeling.SIZE_BUCKETS`, for the largest object that the rule counts.
      path: the file, local or `gs://`.
      size_bytes: of the file.
    """

    record: ImageRecord
    split: str
    label: int
    bucket: str
    path: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What will be written, and what was left out.

    Attributes:
      records: the images, in the order of the sources.
      label_names: by label, such as ("not-person", "person").
      positive: the label that the others are the rest of; None where no label is special.
      rule: the rule that labelled them.
      quarantined: bad images and annotations found so far; bad bytes come to light when the images are read.
      dropped: good images that are left out on purpose.
      image_count, annotation_count: all that the sources list, quarantined ones included.
      counts: images per split and label.
      fingerprint: hex SHA-256 of the annotations files, the stated splits, and name, size and time of every image.
        A changed file changes it.
      inventory: what all of this was decided from.
      boxes: of a detector; None where labels are of images.
    """

    records: tuple[LabeledImage, ...]
    label_names: tuple[str, ...]
    positive: str | None
    rule: labeling.LabelRule
    quarantined: tuple[Quarantined, ...]
    dropped: tuple[Dropped, ...]
    image_count: int
    annotation_count: int
    counts: SplitCounts
    fingerprint: str
    inventory: Inventory
    boxes: BoxCounts | None = None


def plan_dataset(
    options: ExampleGenOptions, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> DatasetPlan:
    """Reads the annotations or the class folders, and decides every image's label and split.

    No image is read, but for those of equal size, which may be copies, and all of them where look-alikes are to be
    grouped.

    Args:
      options: the config section `data`.
      on_progress: told how many of how many images were looked at for look-alikes.

    Raises:
      DataError: the annotations or folders cannot be used (see `take_inventory`), an id list names unknown images,
        too much is bad (`check_quarantine`), or a split is of no use (`check_splits`, `check_boxes`).
    """
    inventory = take_inventory(options)
    stated = _state_splits(inventory, options)
    images, conflicting, copies = _without_copies(inventory, stated, options)
    images, too_small = _without_unlabelled(images)
    quarantined = (*inventory.quarantined, *conflicting)
    check_quarantine(
        quarantined,
        image_count=inventory.image_count,
        annotation_count=inventory.annotation_count,
        limit=options.max_quarantined_fraction,
    )
    splits = _assign_splits(images, stated, options, on_progress)
    records = tuple(
        LabeledImage(
            record=image.record,
            split=split,
            label=image.label.label,
            bucket=inventory.size_bucket(image.label),
            path=image.file.path,
            size_bytes=image.file.size,
        )
        for image, split in zip(images, splits, strict=True)
        if image.label.label is not None
    )
    counts = count_labels(
        ((image.split, image.label) for image in records),
        splits={*options.shares, *stated.values()} if _leaves_some_to_shares(images, stated) else set(stated.values()),
        label_count=len(inventory.label_names),
    )
    dropped = (*copies, *too_small)
    boxes = None if options.boxes is None else count_label_boxes(records, inventory)
    check_splits(counts, boxes, label_names=inventory.label_names, quarantined=quarantined, dropped=dropped)
    return DatasetPlan(
        records=records,
        label_names=inventory.label_names,
        positive=inventory.positive,
        rule=options.rule,
        quarantined=quarantined,
        dropped=dropped,
        image_count=inventory.image_count,
        annotation_count=inventory.annotation_count,
        counts=counts,
        fingerprint=_fingerprint(inventory, stated),
        inventory=inventory,
        boxes=boxes,
    )


# What is left out.


def _without_copies(
    inventory: Inventory, stated: Mapping[str, str], options: ExampleGenOptions
) -> tuple[list[FoundImage], list[Quarantined], list[Dropped]]:
    """One image of each content: a copy in another split would be a leak, one with another label is an error."""
    images = inventory.images
    quarantined: list[Quarantined] = []
    dropped: list[Dropped] = []
    out: set[int] = set()
    for group in find_duplicates(image.file for image in images):
        labelled = [at for at in group if images[at].label.label is not None]
        said = {at: _what_is_learned(images[at], inventory, options) for at in labelled}
        if len(set(said.values())) > 1:
            out.update(labelled)
            for at in labelled:
                other = next(images[o] for o in labelled if said[o] != said[at])
                what = "another label" if options.boxes is None else "other objects"
                detail = f"the same bytes as image {other.record.source_id}, which has {what}"
                quarantined.append(
                    Quarantined("image", images[at].record.source_id, QuarantineReason.CONFLICTING_LABELS, detail)
                )
            continue
        keep = min(labelled or group, key=lambda at: (_held_out_rank(stated.get(images[at].record.source_id)), at))
        for at in group:
            if at != keep:
                out.add(at)
                detail = f"the same bytes as image {images[keep].record.source_id}"
                dropped.append(Dropped(images[at].record.source_id, DropReason.DUPLICATE, detail))
    return [image for at, image in enumerate(images) if at not in out], quarantined, dropped


def _what_is_learned(image: FoundImage, inventory: Inventory, options: ExampleGenOptions) -> Hashable:
    """Of an image: its label, or the objects that a detector learns, whatever ids and areas their file states."""
    if options.boxes is None:
        return image.label.label
    labels = inventory.category_ids
    objects = [each for each in image.record.annotations if each.category_id in labels]
    return tuple(sorted((labels[each.category_id], each.bbox_xywh_px, each.is_crowd) for each in objects))


def _without_unlabelled(images: Iterable[FoundImage]) -> tuple[list[FoundImage], list[Dropped]]:
    kept: list[FoundImage] = []
    dropped: list[Dropped] = []
    for image in images:
        if image.label.label is None:
            detail = f"its largest object has {image.label.largest_fraction:.2%} of the image"
            dropped.append(Dropped(image.record.source_id, DropReason.SMALL_OBJECTS_ONLY, detail))
        else:
            kept.append(image)
    return kept, dropped


# Splits.


def _state_splits(inventory: Inventory, options: ExampleGenOptions) -> dict[str, str]:
    """The split of every image for which a file, a folder or an id list states it."""
    listed = read_split_ids({str(split): path for split, path in options.split_ids.items()})
    known = {image.record.source_id for image in inventory.images}
    known.update(entry.id for entry in inventory.quarantined if entry.kind == "image")
    unknown = [source_id for source_id in listed if source_id not in known]
    if unknown:
        lists = ", ".join(options.split_ids.values())
        raise DataError(
            f"{len(unknown)} of {len(listed)} images of the id lists are not in the data: {', '.join(unknown[:5])}"
            f"{', ...' if len(unknown) > 5 else '.'}",
            expected=f"ids of images in the data, such as {min(known, default='none')!r}",
            hint=f"add the annotations that {lists} was made for, or take the ids out of it"
            if options.annotations
            else f"write paths below data.images into {lists}",
        )
    stated = {image.record.source_id: image.split for image in inventory.images if image.split is not None}
    for key in ("split_ids", "splits"):
        if inventory.images and len(stated) == len(inventory.images) and getattr(options, key):
            raise DataError(
                f"{options.images} holds a folder per split, and data.{key} states splits too.",
                expected="one of the two",
                hint=f"leave data.{key} out",
            )
    return stated | listed


def _assign_splits(
    images: Sequence[FoundImage],
    stated: Mapping[str, str],
    options: ExampleGenOptions,
    on_progress: Callable[[int, int], None],
) -> list[str]:
    """The split of each image; look-alikes share one if the options ask for it."""
    ids = [image.record.source_id for image in images]
    splits = [stated.get(i) or assign_split(i, options.shares, options.split_seed) for i in ids]
    if options.group_near_duplicates:
        looks = look_at_images([image.file.path for image in images], on_progress)
        pairs = find_near_duplicates([None if look is None else look.hash for look in looks])
        for group in group_pairs(pairs):
            leader = min(group, key=lambda at: (_held_out_rank(stated.get(ids[at])), ids[at]))
            for at in group:
                splits[at] = splits[leader]
    return splits


def _held_out_rank(split: str | None) -> int:
    return len(_HELD_OUT_FIRST) if split is None else _HELD_OUT_FIRST.index(split)


def _leaves_some_to_shares(images: Iterable[FoundImage], stated: Mapping[str, str]) -> bool:
    return any(image.record.source_id not in stated for image in images)


def count_labels(
    labels: Iterable[tuple[str, int]], *, splits: Iterable[str], label_count: int
) -> dict[str, tuple[int, ...]]:
    """Images per split and label, from each image's (split, label); every split that is named has an entry."""
    tally = Counter(labels)
    wanted = {*splits, *features.REQUIRED_SPLITS}
    return {
        split: tuple(tally[split, label] for label in range(label_count))
        for split in features.SPLITS
        if split in wanted
    }


def count_label_boxes(images: Iterable[LabeledImage], inventory: Inventory) -> BoxCounts:
    """What a detector finds in some of the planned images."""
    by_split: dict[str, list[ImageRecord]] = {split: [] for split in features.REQUIRED_SPLITS}
    for image in images:
        by_split.setdefault(image.split, []).append(image.record)
    return count_boxes(by_split, inventory.category_ids, inventory.label_names)


def check_splits(
    counts: SplitCounts,
    boxes: BoxCounts | None,
    *,
    label_names: Sequence[str],
    quarantined: Iterable[Quarantined],
    dropped: Iterable[Dropped],
) -> None:
    """Refuses a split that nothing can be learned from or measured on.

    Args:
      counts: images per split and label (`count_labels`).
      boxes: of a detector, which needs boxes of every label and no image of the background.
      label_names: by label.
      quarantined: bad records, of which images may be why.
      dropped: images that were left out on purpose, which may be why too.

    Raises:
      DataError: a split has no image, or none of a label, or a detector's no box of one.
    """
    total = sum(map(sum, counts.values()))
    bad = Counter(f"quarantined as {entry.reason}" for entry in quarantined if entry.kind == "image")
    reasons = bad + Counter(f"left out as {entry.reason}" for entry in dropped)
    also = "".join(f"; {reason}: {count:,}" for reason, count in reasons.items())
    for split, by_label in sorted(counts.items(), key=lambda item: any(item[1])):  # empty ones first
        if not any(by_label):
            raise DataError(
                f"the {split} split is empty; there are {total} images in all{also}.",
                expected="at least one image of each label in every split",
                hint="add images; where data.splits shares them out, raise its share or set another data.split_seed",
            )
        if boxes is None and not all(by_label):
            tally = ", ".join(f"{name} {count}" for name, count in zip(label_names, by_label, strict=True))
            missing = label_names[by_label.index(0)]
            raise DataError(
                f"the {split} split has no image of the label {missing!r}: {tally}{also}.",
                expected="images of every label in every split",
                hint=f"add images of {missing!r}; of a COCO set, data.category and data.label_rule decide the label;"
                " where data.splits shares them out, another data.split_seed does it differently",
            )
    if boxes is not None:
        check_boxes(boxes)


def _fingerprint(inventory: Inventory, stated: Mapping[str, str]) -> str:
    digest = hashlib.sha256(inventory.digest.encode())
    for source_id, split in sorted(stated.items()):
        digest.update(f"{source_id}\0{split}\n".encode())
    for image in inventory.images:
        digest.update(f"{image.record.file_name}\0{image.file.size}\0{image.file.stamp}\n".encode())
    return digest.hexdigest()
