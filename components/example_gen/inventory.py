"""What the sources hold: every image with its file, its label and the split that its source states, in one list.

COCO annotations and a folder per class meet here; nothing downstream knows which it was.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from components.errors import DataError
from components.example_gen import coco, labeling
from components.example_gen.coco import CocoDataset
from components.example_gen.coco_entries import composed
from components.example_gen.image_folder import check_file_name, read_image_folder
from components.example_gen.image_records import ImageRecord
from components.example_gen.labeling import ImageLabel
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import BadRecord, Quarantined
from components.example_gen.storage import ImageFile, open_images_folder


@dataclasses.dataclass(frozen=True, slots=True)
class FoundImage:
    """One image that is there.

    Attributes:
      record: what its source says.
      file: where it is.
      label: what the rule says.
      split: where its source puts it; None if nothing is stated.
    """

    record: ImageRecord
    file: ImageFile
    label: ImageLabel
    split: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Inventory:
    """What the sources hold.

    Attributes:
      images: those that are there, in the order of the sources.
      label_names: by label.
      positive: the label that the others are the rest of; None where no label is special.
      has_objects: whether the source annotates objects.
      category_ids: label by the id of each COCO category that has one, in the order of the labels.
      quarantined: bad images and annotations.
      image_count, annotation_count: all that the sources list, quarantined ones included.
      ignored: files in an images folder that are no images by their names, by suffix.
      digest: SHA-256 over the annotations files, or over the class folders' names.
    """

    images: tuple[FoundImage, ...]
    label_names: tuple[str, ...]
    positive: str | None
    has_objects: bool
    category_ids: Mapping[int, int]
    quarantined: tuple[Quarantined, ...]
    image_count: int
    annotation_count: int
    ignored: dict[str, int]
    digest: str

    def size_bucket(self, label: ImageLabel) -> str:
        """The entry of `labeling.SIZE_BUCKETS` for the image's largest object."""
        return labeling.size_bucket(label.largest_fraction) if self.has_objects else labeling.NOT_ANNOTATED


def take_inventory(options: ExampleGenOptions) -> Inventory:
    """Reads the annotations or the class folders, and finds and labels every image.

    Raises:
      DataError: a file or folder cannot be used (`coco.read_annotations`, `read_image_folder`), a category is
        unknown, or the annotations files contradict each other.
    """
    return _take_folders(options) if options.format == "image_folder" else _take_coco(options)


def _take_coco(options: ExampleGenOptions) -> Inventory:
    parameters = options.rule.parameters
    assert parameters is not None
    datasets = [coco.read_annotations(source.annotations, options.boxes) for source in options.sources]
    _check_categories_agree(datasets)
    prefixes = _id_prefixes(options, datasets)
    images: list[FoundImage] = []
    quarantined: list[Quarantined] = []
    for source, dataset, prefix in zip(options.sources, datasets, prefixes, strict=True):
        find_file = open_images_folder(source.images)
        category_ids = tuple(coco.find_category(dataset, name) for name in options.categories)
        quarantined += [dataclasses.replace(entry, id=f"{prefix}{entry.id}") for entry in dataset.quarantined]
        for listed in dataset.images:
            record = dataclasses.replace(listed, id=f"{prefix}{listed.id}") if prefix else listed
            try:
                file = find_file(record.file_name)
            except BadRecord as bad:
                quarantined.append(Quarantined("image", record.source_id, bad.reason, bad.detail))
                continue
            label = labeling.label_image(record, category_ids, parameters)
            images.append(FoundImage(record, file, label, source.split))
    return Inventory(
        images=tuple(images),
        label_names=options.category_labels,
        positive=options.positive,
        has_objects=True,
        category_ids=_label_categories(options.categories, datasets),
        quarantined=tuple(quarantined),
        image_count=sum(dataset.image_count for dataset in datasets),
        annotation_count=sum(dataset.annotation_count for dataset in datasets),
        ignored={},
        digest=_digest_of(dataset.sha256 for dataset in datasets),
    )


def _id_prefixes(options: ExampleGenOptions, datasets: list[CocoDataset]) -> list[str]:
    """What makes ids unique where annotations files count from the same number, as many exports do."""
    ids = [image.source_id for dataset in datasets for image in dataset.images]
    if len(set(ids)) == len(ids):
        return [""] * len(datasets)
    return [f"{source.split or place}/" for place, source in enumerate(options.sources)]


def _label_categories(names: Sequence[str], datasets: Sequence[CocoDataset]) -> dict[int, int]:
    """One id means one category in all annotations files, though one category may have several ids."""
    return {
        coco.find_category(dataset, name): label for label, name in enumerate(names, start=1) for dataset in datasets
    }


def _check_categories_agree(datasets: list[CocoDataset]) -> None:
    """Examples carry category ids, so one id must mean one thing."""
    names: dict[int, tuple[str, str]] = {}
    for dataset in datasets:
        for category_id, name in dataset.categories.items():
            other, path = names.setdefault(category_id, (name, dataset.path))
            if composed(other) != composed(name):
                raise DataError(
                    f"category {category_id} is {other!r} in {path} and {name!r} in {dataset.path}.",
                    expected="one name for a category id in all annotations files",
                    hint="export them with the same list of categories",
                )


def _take_folders(options: ExampleGenOptions) -> Inventory:
    assert isinstance(options.images, str)
    content = read_image_folder(options.images)
    find_file = open_images_folder(options.images)
    images: list[FoundImage] = []
    quarantined: list[Quarantined] = []
    labels = {name: ImageLabel(label, 0.0) for label, name in enumerate(content.label_names)}
    for image in content.images:
        try:
            check_file_name(image.file_name)
            file = find_file(image.file_name)
        except BadRecord as bad:
            quarantined.append(Quarantined("image", ascii(image.file_name), bad.reason, bad.detail))
            continue
        record = ImageRecord(image.file_name, image.file_name, None, None)
        images.append(FoundImage(record, file, labels[image.label_name], image.split))
    return Inventory(
        images=tuple(images),
        label_names=content.label_names,
        positive=None,
        has_objects=False,
        category_ids={},
        quarantined=tuple(quarantined),
        image_count=len(content.images),
        annotation_count=0,
        ignored=content.ignored,
        digest=_digest_of(content.label_names),
    )


def _digest_of(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
