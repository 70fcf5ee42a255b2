"""The plan of a data set: which image goes where, with which label, before a byte of an image is read.

The command's preflight and CocoExampleGen's executor both start here, so that what one accepts the other runs.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from components import features
from components.errors import DataError
from components.example_gen import coco, labeling, splits
from components.example_gen.coco import ImageRecord
from components.example_gen.images_folder import FindFile, ImageFile, open_images_folder
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import BadRecord, Quarantined, QuarantineReason, check_quarantine

# Images of one split by label: counts[split][labeling.POSITIVE].
SplitCounts = Mapping[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class LabeledImage:
    """One image to be written.

    Attributes:
      record: what the annotations file says.
      split: one of `features.SPLITS`.
      label: labeling.POSITIVE or labeling.NEGATIVE.
      bucket: one of `labeling.SIZE_BUCKETS`, for the largest object of the category.
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
      records: the images, sorted by id.
      label_names: by label, such as ("not-person", "person").
      category_id: the COCO category that makes an image positive.
      rule: the rule that labelled them.
      quarantined: bad images and annotations found so far; bad bytes come to light when the images are read.
      image_count, annotation_count: all that the annotations file lists, quarantined ones included.
      counts: images per split and label.
      fingerprint: hex SHA-256 of the annotations file and of name, size and time of every image. A changed file
        changes it.
    """

    records: tuple[LabeledImage, ...]
    label_names: tuple[str, str]
    category_id: int
    rule: labeling.LabelRule
    quarantined: tuple[Quarantined, ...]
    image_count: int
    annotation_count: int
    counts: SplitCounts
    fingerprint: str


def plan_dataset(options: ExampleGenOptions) -> DatasetPlan:
    """Reads the annotations, looks at the images folder, and decides every image's split and label.

    Raises:
      DataError: the annotations or the folder cannot be used (see `coco.read_annotations`), the category is
        unknown, too much is bad (`check_quarantine`), or a split is of no use (`check_splits`).
    """
    find_file = open_images_folder(options.images)
    dataset = coco.read_annotations(options.annotations)
    category_id = coco.find_category(dataset, options.category)
    label_names = (f"not-{options.category}", options.category)
    files, bad_images = _find_files(dataset.images, find_file)
    quarantined = (*dataset.quarantined, *bad_images)
    check_quarantine(
        quarantined,
        image_count=dataset.image_count,
        annotation_count=dataset.annotation_count,
        limit=options.max_quarantined_fraction,
    )
    rule = labeling.LABEL_RULES[options.label_rule]
    shares: dict[str, float] = dict(options.splits.items())
    records = tuple(
        LabeledImage(
            record=record,
            split=splits.assign_split(record.source_id, shares, options.split_seed),
            label=labeling.label_image(record, category_id, rule),
            bucket=labeling.size_bucket(labeling.largest_area_fraction(record, category_id)),
            path=file.path,
            size_bytes=file.size,
        )
        for record, file in files
    )
    counts = count_labels((image.split, image.label) for image in records)
    check_splits(counts, label_names=label_names, shares=shares)
    return DatasetPlan(
        records=records,
        label_names=label_names,
        category_id=category_id,
        rule=rule,
        quarantined=quarantined,
        image_count=dataset.image_count,
        annotation_count=dataset.annotation_count,
        counts=counts,
        fingerprint=_fingerprint(dataset.sha256, files),
    )


# What is refused.


def check_splits(counts: SplitCounts, *, label_names: Sequence[str], shares: Mapping[str, float]) -> None:
    """Refuses a split that nothing can be learned from or measured on.

    Args:
      counts: images per split and label (`count_labels`).
      label_names: by label.
      shares: the share of each split (`data.splits`).

    Raises:
      DataError: a split has no image, or images of one label only.
    """
    total = sum(map(sum, counts.values()))
    for split, by_label in sorted(counts.items(), key=lambda item: any(item[1])):  # empty ones first
        if not any(by_label):
            raise DataError(
                f"the {split} split is empty: its share is {shares[split]:.0%} of {total} images.",
                expected="at least one image of each label in every split",
                hint="use more images, raise its share in data.splits, or set another data.split_seed",
            )
        if not all(by_label):
            tally = ", ".join(f"{name} {count}" for name, count in zip(label_names, by_label, strict=True))
            raise DataError(
                f"the {split} split has one label only: {tally}.",
                expected="images of both labels in every split",
                hint="use more images, another data.category or another data.split_seed",
            )


def count_labels(labels: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Images per split and label, from each image's (split, label); every split has an entry."""
    tally = Counter(labels)
    return {split: (tally[split, labeling.NEGATIVE], tally[split, labeling.POSITIVE]) for split in features.SPLITS}


def _find_files(
    images: Iterable[ImageRecord], find_file: FindFile
) -> tuple[list[tuple[ImageRecord, ImageFile]], list[Quarantined]]:
    """The file of each image. One file under two ids could be trained on and evaluated on: the first id keeps it."""
    found: list[tuple[ImageRecord, ImageFile]] = []
    quarantined: list[Quarantined] = []
    owners: dict[str, ImageRecord] = {}
    for record in images:
        try:
            file = find_file(record.file_name)
        except BadRecord as bad:
            quarantined.append(Quarantined("image", record.source_id, bad.reason, bad.detail))
            continue
        owner = owners.setdefault(file.path, record)
        if owner is record:
            found.append((record, file))
        else:
            detail = f"{record.file_name} is the file of image {owner.source_id} too"
            quarantined.append(Quarantined("image", record.source_id, QuarantineReason.DUPLICATE_FILE, detail))
    return found, quarantined


def _fingerprint(annotations_sha256: str, files: Iterable[tuple[ImageRecord, ImageFile]]) -> str:
    digest = hashlib.sha256(annotations_sha256.encode())
    for record, file in files:
        digest.update(f"{record.file_name}\0{file.size}\0{file.stamp}\n".encode())
    return digest.hexdigest()
