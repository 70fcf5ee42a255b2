"""COCO instances files: parsed, validated, and split into good records and quarantined ones.

The parts that are read, of one image, one of its annotations and one category:

    {"images":      [{"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 426}],
     "annotations": [{"id": 230831, "image_id": 139, "category_id": 1, "iscrowd": 0,
                      "area": 1797.25, "bbox": [412.8, 157.61, 53.05, 138.01]}],
     "categories":  [{"id": 1, "name": "person"}]}

A file that is not of this shape is a `DataError`. A record that is not is quarantined: left out, counted, and
listed with its reason. Two cases are milder than that:

- An annotation with a usable area and no usable box stays, without its box: labels follow from the area alone,
  and dropping it would turn a person's image into a negative one. It is listed as `bad_box`.
- The annotations of a quarantined image go with it and are not listed a second time.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from components.errors import DataError
from components.example_gen.images_folder import FileReader, is_remote
from components.example_gen.quarantine import BadRecord, Quarantined, QuarantineReason

# 2^31 - 1, the largest side that PNG can express; beyond it no format of an image has anything to say.
MAX_SIDE = 2_147_483_647
MAX_ID = 2**63 - 1  # examples carry category ids as int64

# Polygons, as a list of lists of numbers. Crowds have run lengths in their place, which are few.
_OUTLINE = re.compile(rb'"segmentation"\s*:\s*\[[\[\]0-9eE+\-.,\s]*\]')

_EXPECTED_FILE = "a COCO instances file (JSON)"
_HINT = "set data.annotations to a COCO instances file, such as instances_train2014.json"

RecordId = int | str
BoxXywhPx = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """One object in an image.

    Attributes:
      id: as the file gives it.
      category_id: a key of `CocoDataset.categories`.
      area: mask area in square pixels, finite, >= 0.
      bbox_xywh_px: left, top, width, height in pixels; finite, of positive size and touching the image, though
        possibly reaching beyond it. None where the file has no such box.
      is_crowd: one outline around many objects.
    """

    id: RecordId
    category_id: int
    area: float
    bbox_xywh_px: BoxXywhPx | None
    is_crowd: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as the annotations file describes it: `width` and `height` in pixels, up to MAX_SIDE."""

    id: RecordId
    file_name: str
    width: int
    height: int
    annotations: tuple[Annotation, ...]

    @property
    def source_id(self) -> str:
        """The id as text; unique in a dataset."""
        return str(self.id)


@dataclasses.dataclass(frozen=True, slots=True)
class CocoDataset:
    """What an instances file says.

    Attributes:
      path: where it was read from.
      images: the good ones, sorted by id (numbers before text).
      categories: id to name.
      quarantined: the bad records, images first, each kind in the order of the file.
      image_count: entries under `images`, bad ones included.
      annotation_count: entries under `annotations`, bad ones included.
      sha256: hex digest of the file.
    """

    path: str
    images: tuple[ImageRecord, ...]
    categories: dict[int, str]
    quarantined: tuple[Quarantined, ...]
    image_count: int
    annotation_count: int
    sha256: str


def read_annotations(path: str) -> CocoDataset:
    """Reads and validates a COCO instances file.

    Args:
      path: a local file, or an object as `gs://bucket/name`.

    Raises:
      DataError: the file is missing, is not JSON or not of COCO's shape, names no image, or gives an image id,
        category id or category name twice.
    """
    data = _read_object(path) if is_remote(path) else _read_file(path)
    sha256 = hashlib.sha256(data).hexdigest()
    document = _parse_json(data, path)
    del data  # 450 MB for COCO train2014
    entries = {key: _list_entry(document, key, path) for key in ("images", "annotations", "categories")}
    categories = _parse_categories(entries["categories"], path)
    images, bad_images = _parse_images(entries["images"], path)
    annotations, bad_annotations = _parse_annotations(entries["annotations"], images, categories)
    return CocoDataset(
        path=path,
        images=tuple(
            dataclasses.replace(image, annotations=tuple(sorted(annotations[image.id], key=_annotation_order)))
            for image in sorted(filter(None, images.values()), key=lambda image: (isinstance(image.id, str), image.id))
        ),
        categories=categories,
        quarantined=(*bad_images, *bad_annotations),
        image_count=len(entries["images"]),
        annotation_count=len(entries["annotations"]),
        sha256=sha256,
    )


def find_category(dataset: CocoDataset, name: str) -> int:
    """The id of a category.

    Raises:
      DataError: there is no category of that name; names the nearest ones, or all of them if none is near.
    """
    for category_id, category_name in dataset.categories.items():
        if category_name == name:
            return category_id
    names = list(dataset.categories.values())
    folded = {known.casefold(): known for known in names}
    near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3)]
    raise DataError(
        f"{dataset.path}: no category has the name {name!r}.",
        expected=f"one of the {len(names)} categories of that file" + ("" if near else f": {', '.join(sorted(names))}"),
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "set data.category",
    )


# Reading.


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        problem = "no such file."
    except IsADirectoryError:
        problem = "this is a folder, not a file."
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}."
    raise DataError(f"{path}: {problem}", expected=_EXPECTED_FILE, hint=_HINT)


def _read_object(uri: str) -> bytes:
    try:
        return FileReader().read(uri)
    except OSError as error:
        raise DataError(f"{uri}: cannot be read: {error}", expected=_EXPECTED_FILE, hint=_HINT) from error


def _parse_json(data: bytes, path: str) -> dict[str, Any]:
    if not data or data.isspace():
        raise DataError(f"{path}: the file is empty.", expected=_EXPECTED_FILE, hint=_HINT)
    try:
        document = _load_without_outlines(data)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    except (ValueError, RecursionError) as error:  # not text, a number of thousands of digits, too deep
        problem = f"not JSON: {error}."
    else:
        if isinstance(document, dict):
            return document
        problem = f"the JSON holds {_type_name(document)}."
    archive = data.startswith((b"\x1f\x8b", b"PK"))
    raise DataError(
        f"{path}: {problem}",
        expected="a JSON object with `images`, `annotations` and `categories`",
        hint="unpack it first: this is a compressed archive" if archive else _HINT,
    )


def _load_without_outlines(data: bytes) -> Any:
    """Parses JSON after cutting out the polygons: nine tenths of the file and of the time, and read by nothing here."""
    try:
        return json.loads(_OUTLINE.sub(b'"segmentation":0', data))
    except (ValueError, RecursionError):
        return json.loads(data)  # for the true place of the error


def _list_entry(document: dict[str, Any], key: str, path: str) -> list[Any]:
    value = document.get(key)
    if isinstance(value, list):
        return value
    problem = f"`{key}` is {_type_name(value)}." if key in document else f"there is no `{key}`."
    raise DataError(f"{path}: {problem}", expected=f"`{key}`: a list", hint=_HINT)


# Records.


def _parse_categories(entries: list[Any], path: str) -> dict[int, str]:
    categories: dict[int, str] = {}
    for index, entry in enumerate(entries):
        category_id, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if not (_is_int(category_id) and 0 <= category_id <= MAX_ID and _is_text(name)):
            problem = f"categories[{index}] is {_shown(entry)}."
        elif category_id in categories:
            problem = f"category id {category_id} is given to both {categories[category_id]!r} and {name!r}."
        elif name in categories.values():
            problem = f"two categories have the name {name!r}."
        else:
            categories[category_id] = name
            continue
        raise DataError(f"{path}: {problem}", expected='distinct entries like {"id": 1, "name": "person"}')
    return categories


def _parse_images(entries: list[Any], path: str) -> tuple[dict[RecordId, ImageRecord | None], list[Quarantined]]:
    """Images by id, without their annotations; None stands for one that was quarantined."""
    images: dict[RecordId, ImageRecord | None] = {}
    quarantined: list[Quarantined] = []
    seen: Counter[str] = Counter()
    for index, entry in enumerate(entries):
        try:
            image_id = _parse_id(entry, "id")
            seen[str(image_id)] += 1
            images[image_id] = None
            images[image_id] = _parse_image(entry, image_id)
        except BadRecord as bad:
            quarantined.append(Quarantined("image", _name(entry, f"images[{index}]"), bad.reason, bad.detail))
    if not entries:
        raise DataError(f"{path}: `images` is empty.", expected="at least one image", hint=_HINT)
    repeated = [image_id for image_id, count in seen.items() if count > 1]
    if repeated:
        raise DataError(
            f"{path}: {len(repeated)} image ids are given more than once: {', '.join(repeated[:5])}"
            f"{', ...' if len(repeated) > 5 else '.'}",
            expected="every image id once",
            hint="files that were merged need new ids; the split of an image follows from its id",
        )
    return images, quarantined


def _parse_image(entry: dict[str, Any], image_id: RecordId) -> ImageRecord:
    file_name, width, height = (_field(entry, key) for key in ("file_name", "width", "height"))
    if not _is_text(file_name):
        raise BadRecord(QuarantineReason.BAD_FILE_NAME, f"file_name={_shown(file_name)}")
    if not all(_is_int(side) and 0 < side <= MAX_SIDE for side in (width, height)):
        raise BadRecord(QuarantineReason.BAD_SIZE, f"width={_shown(width)}, height={_shown(height)}")
    return ImageRecord(image_id, file_name, width, height, annotations=())


def _parse_annotations(
    entries: list[Any], images: Mapping[RecordId, ImageRecord | None], categories: Mapping[int, str]
) -> tuple[defaultdict[RecordId, list[Annotation]], list[Quarantined]]:
    """Annotations by image id, in the order of the file."""
    annotations: defaultdict[RecordId, list[Annotation]] = defaultdict(list)
    quarantined: list[Quarantined] = []
    for index, entry in enumerate(entries):
        name = _name(entry, f"annotations[{index}]")
        try:
            image = _find_image(entry, images)
            if image is None:  # it goes with its image
                continue
            annotation = _parse_annotation(entry, image, categories)
        except BadRecord as bad:
            quarantined.append(Quarantined("annotation", name, bad.reason, bad.detail))
            continue
        annotations[image.id].append(annotation)
        if annotation.bbox_xywh_px is None:
            detail = f"bbox={_shown(entry.get('bbox'))} in image {image.id} of {image.width}x{image.height}"
            quarantined.append(Quarantined("annotation", name, QuarantineReason.BAD_BOX, detail))
    return annotations, quarantined


def _annotation_order(annotation: Annotation) -> tuple[Any, ...]:
    """By id, so that a file whose entries stand in another order makes the same examples; ids may come twice."""
    box = annotation.bbox_xywh_px
    by_id = isinstance(annotation.id, str), annotation.id
    return *by_id, annotation.category_id, annotation.area, () if box is None else box, annotation.is_crowd


def _find_image(entry: object, images: Mapping[RecordId, ImageRecord | None]) -> ImageRecord | None:
    image_id = _parse_id(entry, "image_id")
    if image_id not in images:
        raise BadRecord(QuarantineReason.UNKNOWN_IMAGE, f"image_id={_shown(image_id)}")
    return images[image_id]


def _parse_annotation(entry: dict[str, Any], image: ImageRecord, categories: Mapping[int, str]) -> Annotation:
    annotation_id = _parse_id(entry, "id")
    category_id = _field(entry, "category_id")
    if not _is_int(category_id) or category_id not in categories:
        raise BadRecord(QuarantineReason.UNKNOWN_CATEGORY, f"category_id={_shown(category_id)}")
    area = _finite(_field(entry, "area"))
    if area is None or area < 0:
        raise BadRecord(QuarantineReason.BAD_AREA, f"area={_shown(entry['area'])}")
    is_crowd = entry.get("iscrowd", 0)  # left out by many COCO-format exports
    if is_crowd not in (0, 1):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"iscrowd={_shown(is_crowd)}")
    return Annotation(annotation_id, category_id, area, _parse_box(entry.get("bbox"), image), bool(is_crowd))


def _parse_box(value: object, image: ImageRecord) -> BoxXywhPx | None:
    """The box if it has a positive size and touches the image."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = (_finite(number) for number in value)
    if x is None or y is None or width is None or height is None or width <= 0 or height <= 0:
        return None
    is_inside = x < image.width and y < image.height and x + width > 0 and y + height > 0
    return (x, y, width, height) if is_inside else None


# Values.


def _name(entry: object, place: str) -> str:
    entry_id = entry.get("id") if isinstance(entry, dict) else None
    return str(entry_id) if _is_id(entry_id) else place


def _parse_id(entry: object, key: str) -> RecordId:
    if not isinstance(entry, dict):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"the entry is {_type_name(entry)}")
    value = _field(entry, key)
    if not _is_id(value):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"{key}={_shown(value)}")
    return value


def _field(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise BadRecord(QuarantineReason.MISSING_FIELD, f"there is no `{key}`")
    return entry[key]


def _is_int(value: object) -> TypeGuard[int]:
    return type(value) is int  # True and 1.0 would pass for 1 otherwise


def _is_id(value: object) -> TypeGuard[RecordId]:
    return _is_int(value) or _is_text(value)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be a file's name: JSON can also spell NUL and half a surrogate pair."""
    return (
        isinstance(value, str) and value != "" and "\0" not in value and value.encode(errors="ignore").decode() == value
    )


def _finite(value: object) -> float | None:
    if not (type(value) is float or _is_int(value)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
