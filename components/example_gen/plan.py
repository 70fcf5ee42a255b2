"""The plan of a data set: which image goes where, with which label, before a byte of an image is read.

The command's preflight and CocoExampleGen's executor both start here, so that what one accepts the other runs.
"""

import dataclasses
import functools
import hashlib
import json
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from components import features
from components.errors import DataError
from components.example_gen import coco, labeling, splits
from components.example_gen.coco import BadRecord, ImageRecord, Quarantined, QuarantineReason
from components.example_gen.options import ExampleGenOptions

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
    find_file = _open_images_folder(options.images)
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
    if reasons.most_common(1)[0][0] is QuarantineReason.MISSING_FILE:
        return "set data.images to the folder that the annotations' file_name is relative to"
    return "mend the records, or raise data.max_quarantined_fraction to leave them out"


def check_splits(counts: SplitCounts, *, label_names: Sequence[str], shares: Mapping[str, float]) -> None:
    """Refuses a split that nothing can be learned from or measured on.

    Args:
      counts: images per split and label (`count_labels`).
      label_names: by label.
      shares: the share of each split (`data.splits`).

    Raises:
      DataError: a split has no image, or images of one label only.
    """
    total = sum(sum(by_label) for by_label in counts.values())
    for split, by_label in counts.items():
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


def render_quarantine(quarantined: Iterable[Quarantined]) -> str:
    """JSON lines, one record each: {"kind": ..., "id": ..., "reason": ..., "detail": ...}; sorted."""
    return "".join(json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n" for entry in sorted(quarantined))


# The images folder.


@dataclasses.dataclass(frozen=True, slots=True)
class _ImageFile:
    """A file below the images folder: its real path, size in bytes, and a number that a new content changes."""

    path: str
    size: int
    stamp: int


_FindFile = Callable[[str], _ImageFile]


def _find_files(
    images: Iterable[ImageRecord], find_file: _FindFile
) -> tuple[list[tuple[ImageRecord, _ImageFile]], list[Quarantined]]:
    """The file of each image. One file under two ids could be trained on and evaluated on: the first id keeps it."""
    found: list[tuple[ImageRecord, _ImageFile]] = []
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


def _open_images_folder(folder: str) -> _FindFile:
    """A function from `file_name` to the file, which raises `BadRecord`."""
    return _open_bucket(folder) if coco.is_remote(folder) else _open_local_folder(folder)


def _open_local_folder(folder: str) -> _FindFile:
    root = os.path.realpath(folder)
    if not Path(root).is_dir():
        raise _no_folder(folder, "not a folder" if Path(root).exists() else "no such folder")
    real_folder = functools.cache(os.path.realpath)  # a system call per level; files share their folders

    def find_file(file_name: str) -> _ImageFile:
        parent, name = posixpath.split(f"{root}/{_relative(file_name)}")
        path = f"{real_folder(parent)}/{name}"
        try:
            _check_inside(path, root)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                path = os.path.realpath(path)
                _check_inside(path, root)
                status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {file_name} in {folder}") from None
        except OSError as error:
            raise BadRecord(QuarantineReason.UNREADABLE, f"{file_name}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise BadRecord(QuarantineReason.NOT_AN_IMAGE, f"{file_name} is not a regular file")
        return _ImageFile(path, status.st_size, status.st_mtime_ns)

    return find_file


def _open_bucket(uri: str) -> _FindFile:
    """Lists the folder once; an object's generation changes with every write, as a file's time does."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    bucket, _, prefix = f"{uri.rstrip('/')}/".removeprefix("gs://").partition("/")
    try:
        blobs = Client().list_blobs(bucket, prefix=prefix, fields="items(name,size,generation),nextPageToken")
        files = {blob.name: _ImageFile(f"gs://{bucket}/{blob.name}", blob.size, blob.generation) for blob in blobs}
    except (GoogleAPIError, GoogleAuthError, ValueError) as error:
        raise _no_folder(uri, f"cannot be listed: {error}") from error
    if not files:
        raise _no_folder(uri, "no object has this prefix")

    def find_file(file_name: str) -> _ImageFile:
        try:
            return files[f"{prefix}{_relative(file_name)}"]
        except KeyError:
            raise BadRecord(QuarantineReason.MISSING_FILE, f"no file {file_name} in {uri}") from None

    return find_file


def _relative(file_name: str) -> str:
    relative = posixpath.normpath(file_name)
    if relative.startswith("/") or relative.split("/", 1)[0] == "..":
        raise BadRecord(QuarantineReason.OUTSIDE_IMAGES_FOLDER, f"file_name={json.dumps(file_name)}")
    return relative


def _check_inside(path: str, root: str) -> None:
    if not path.startswith(f"{root.rstrip('/')}/"):
        raise BadRecord(QuarantineReason.OUTSIDE_IMAGES_FOLDER, f"a symbolic link leads to {path}")


def _no_folder(folder: str, problem: str) -> DataError:
    return DataError(
        f"{folder}: {problem}.",
        expected="the folder that the annotations' file_name is relative to",
        hint="set data.images",
    )


def _fingerprint(annotations_sha256: str, files: Iterable[tuple[ImageRecord, _ImageFile]]) -> str:
    digest = hashlib.sha256(annotations_sha256.encode())
    for record, file in files:
        digest.update(f"{record.file_name}\0{file.size}\0{file.stamp}\n".encode())
    return digest.hexdigest()
