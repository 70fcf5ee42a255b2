"""COCO instances files: parsed, validated, and split into good records and quarantined ones.

The parts that are read, of one image, one of its annotations and one category:

    {"images":      [{"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 426}],
     "annotations": [{"id": 230831, "image_id": 139, "category_id": 1, "iscrowd": 0,
                      "area": 1797.25, "bbox": [412.8, 157.61, 53.05, 138.01]}],
     "categories":  [{"id": 1, "name": "person"}]}

A file that is not of this shape is a `DataError`. A record that is not is quarantined: left out, counted, and
listed with its reason. Some cases are milder than that:

- An annotation with a usable area and no usable box stays, without its box: labels follow from the area alone,
  and dropping it would turn a person's image into a negative one. It is listed as `bad_box`. A detector has no use
  for it (`components.example_gen.boxes`).
- The annotations of a quarantined image go with it and are not listed a second time.
"""

import dataclasses
import difflib
import json
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import DataError
from components.example_gen.boxes import is_within, judge_box
from components.example_gen.coco_entries import (
    MAX_AREA,
    MAX_ID,
    composed,
    find_image,
    is_int,
    is_text,
    name_entry,
    parse_annotation,
    parse_id,
    parse_image,
    same_as_text,
    shown,
    type_name,
)
from components.example_gen.image_records import PACKED, ImageRecord, RecordId, pack_annotation, sort_packed
from components.example_gen.json_stream import Entry, EntryReader, NotAnObjectError
from components.example_gen.options import BoxOptions
from components.example_gen.quarantine import BadRecord, Quarantined, QuarantineReason
from components.example_gen.storage import FileReader

_EXPECTED_FILE = "a COCO instances file (JSON)"
_HINT = "set data.annotations to a COCO instances file, such as instances_train2014.json"
_LISTS = ("images", "annotations", "categories")
_NUMBERS = {int, float}


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


def read_annotations(path: str, boxes: BoxOptions | None = None) -> CocoDataset:
    """Reads and validates a COCO instances file, holding one entry at a time and 51 bytes of every annotation.

    Args:
      path: a local file, or an object as `gs://bucket/name`.
      boxes: of a detector; annotations without a box that it can learn from are then quarantined as a whole.

    Raises:
      DataError: the file is missing, is not JSON or not of COCO's shape, names no image, or gives an image id,
        category id or category name twice.
    """
    document = _Document(path, boxes)
    sha256 = document.read()
    if document.is_annotations_pending:
        document.read_annotations_again()
    return CocoDataset(
        path=path,
        images=tuple(document.take_images()),
        categories=document.categories,
        quarantined=(*document.bad_images, *document.bad_annotations),
        image_count=document.counts["images"],
        annotation_count=document.counts["annotations"],
        sha256=sha256,
    )


class _Document:
    """An instances file while it is read.

    Annotations are judged by the images and the categories. COCO's own files name the categories last, so a category
    is only looked up at the end; where that fails, or where the images come last, the annotations are read again.
    """

    def __init__(self, path: str, boxes: BoxOptions | None) -> None:
        self.path = path
        self.boxes = boxes
        self.images: dict[RecordId, ImageRecord | None] = {}  # None stands for one that was quarantined
        self.categories: dict[int, str] = {}
        self.packed: defaultdict[RecordId, bytearray] = defaultdict(bytearray)
        self.bad_images: list[Quarantined] = []
        self.bad_annotations: list[Quarantined] = []
        self.counts: Counter[str] = Counter()
        self.is_annotations_pending = False
        self._used_categories: set[int] = set()
        self._seen: set[str] = set()  # lists
        self._repeated: dict[str, None] = {}

    def read(self) -> str:
        """Reads everything; returns the file's digest."""
        entries, reader = _open_entries(self.path)
        for entry in entries:
            if entry.place is None:
                self._begin(entry)
            elif entry.key == "images":
                self._add_image(entry)
            elif entry.key == "categories":
                self._add_category(entry)
            elif entry.key == "annotations" and not self.is_annotations_pending:
                self._add_annotation(entry, categories=None)
            self.counts[entry.key] += entry.place is not None
        self._check_complete()
        self._check_names()
        self.is_annotations_pending |= not self._used_categories <= self.categories.keys()
        return reader.sha256

    def read_annotations_again(self) -> None:
        """Now that all images and categories are known."""
        self.packed.clear()
        self.bad_annotations.clear()
        entries, _ = _open_entries(self.path)
        for entry in entries:
            if entry.key == "annotations" and entry.place is not None:
                self._add_annotation(entry, self.categories)

    def take_images(self) -> Iterator[ImageRecord]:
        """The good images with their annotations, sorted by id; each is let go of here as it is handed over."""
        for image_id in sorted(self.images, key=lambda image_id: (isinstance(image_id, str), image_id)):
            image = self.images.pop(image_id)
            if image is not None:
                yield dataclasses.replace(image, packed=sort_packed(self.packed.pop(image_id, bytearray())))

    def _begin(self, entry: Entry) -> None:
        if entry.key not in _LISTS:
            return
        if entry.key in self._seen:
            raise DataError(f"{self.path}: `{entry.key}` stands twice.", expected=_EXPECTED_FILE, hint=_HINT)
        if not isinstance(entry.value, list):
            problem = f"`{entry.key}` is {type_name(entry.value)}."
            raise DataError(f"{self.path}: {problem}", expected=f"`{entry.key}`: a list", hint=_HINT)
        self.is_annotations_pending |= entry.key == "annotations" and "images" not in self._seen
        self._seen.add(entry.key)

    def _check_names(self) -> None:
        """Of two categories of one name, one must be unused: Roboflow puts an empty one of the project's name first."""
        used: dict[str, int] = {}
        for category_id in sorted(self.categories, key=lambda i: i not in self._used_categories):
            name = composed(self.categories[category_id])
            if name not in used:
                used[name] = category_id
            elif category_id in self._used_categories:
                raise DataError(
                    f"{self.path}: two categories have the name {name!r}.",
                    expected="every name once among the categories of the annotations",
                )
            else:
                del self.categories[category_id]

    def _check_complete(self) -> None:
        for key in _LISTS:
            if key not in self._seen:
                raise DataError(f"{self.path}: there is no `{key}`.", expected=f"`{key}`: a list", hint=_HINT)
        if not self.counts["images"]:
            raise DataError(f"{self.path}: `images` is empty.", expected="at least one image", hint=_HINT)
        repeated = list(self._repeated)
        if repeated:
            raise DataError(
                f"{self.path}: {len(repeated)} image ids are given more than once: {', '.join(repeated[:5])}"
                f"{', ...' if len(repeated) > 5 else '.'}",
                expected="every image id once",
                hint="files that were merged need new ids; the split of an image follows from its id",
            )

    def _add_category(self, entry: Entry) -> None:
        value, categories = entry.value, self.categories
        category_id, name = (value.get("id"), value.get("name")) if isinstance(value, dict) else (None, None)
        if not (is_int(category_id) and 0 <= category_id <= MAX_ID and is_text(name)):
            problem = f"categories[{entry.place}] is {shown(value)}."
        elif category_id in categories:
            problem = f"category id {category_id} is given to both {categories[category_id]!r} and {name!r}."
        else:
            categories[category_id] = name
            return
        raise DataError(f"{self.path}: {problem}", expected='distinct entries like {"id": 1, "name": "person"}')

    def _add_image(self, entry: Entry) -> None:
        try:
            image_id = parse_id(entry.value, "id")
            if image_id in self.images or same_as_text(image_id) in self.images:
                self._repeated[str(image_id)] = None
            self.images[image_id] = None
            self.images[image_id] = parse_image(entry.value, image_id)
        except BadRecord as bad:
            name = name_entry(entry.value, f"images[{entry.place}]")
            self.bad_images.append(Quarantined("image", name, bad.reason, bad.detail))

    def _add_plain(self, value: Any) -> bool:
        """Adds an annotation without fault, in a fraction of the time that it takes to find out what a fault is.

        Whatever it does not add, `_add_annotation` judges.
        """
        try:
            image_id, category_id, area = value["image_id"], value["category_id"], value["area"]
            x, y, width, height = value["bbox"]
            is_crowd = value["iscrowd"]
            image: Any = self.images[image_id]  # None has no width
            types = {type(x), type(y), type(width), type(height), type(area)}
            is_plain = (
                types <= _NUMBERS
                and type(image_id) is type(category_id) is type(is_crowd) is type(value["id"]) is int
                and 0 <= area <= MAX_AREA
                and 0 < width < math.inf
                and 0 < height < math.inf
                and -width < x < image.width
                and -height < y < image.height
                and 0 <= is_crowd <= 1
                and (self.boxes is None or is_within(x, y, width, height, image))
            )
            if is_plain:
                packed = PACKED.pack(category_id, area, x, y, width, height, True, is_crowd, False)
                self.packed[image_id] += packed
                self._used_categories.add(category_id)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
            return False
        return is_plain

    def _add_annotation(self, entry: Entry, categories: Mapping[int, str] | None) -> None:
        value = entry.value
        if categories is None and self._add_plain(value):
            return
        try:
            image = find_image(value, self.images)
            if image is None:  # it goes with its image
                return
            annotation = parse_annotation(value, image, categories, needs_area=self.boxes is None)
            if self.boxes is not None:
                box, is_clipped = judge_box(value.get("bbox"), image, self.boxes)
                area = annotation.area if "area" in value else box[2] * box[3]
                annotation = annotation._replace(area=area, bbox_xywh_px=box, is_clipped=is_clipped)
        except BadRecord as bad:
            name = name_entry(value, f"annotations[{entry.place}]")
            self.bad_annotations.append(Quarantined("annotation", name, bad.reason, bad.detail))
            return
        self._used_categories.add(annotation.category_id)
        self.packed[image.id] += pack_annotation(annotation)
        if annotation.bbox_xywh_px is None:
            name = name_entry(value, f"annotations[{entry.place}]")
            detail = f"bbox={shown(value.get('bbox'))} in image {image.id} of {image.width}x{image.height}"
            self.bad_annotations.append(Quarantined("annotation", name, QuarantineReason.BAD_BOX, detail))


def find_category(dataset: CocoDataset, name: str) -> int:
    """The id of a category.

    Raises:
      DataError: there is no category of that name; names the nearest ones, or all of them if none is near.
    """
    for category_id, category_name in dataset.categories.items():
        if composed(category_name) == composed(name):
            return category_id
    names = list(dataset.categories.values())
    if not names:
        raise DataError(
            f"{dataset.path}: `categories` is empty, so none has the name {name!r}.",
            expected='entries like {"id": 1, "name": "person"}',
            hint="export the annotations with the categories that they were made with",
        )
    folded = {composed(known).casefold(): known for known in names}
    near = [folded[match] for match in difflib.get_close_matches(composed(name).casefold(), folded, n=3)]
    raise DataError(
        f"{dataset.path}: no category has the name {name!r}.",
        expected=f"one of the {len(names)} categories of that file" + ("" if near else f": {', '.join(sorted(names))}"),
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "set data.category",
    )


def _open_entries(path: str) -> tuple[Iterator[Entry], EntryReader]:
    """The file's entries and their reader; every problem of the file rises as a DataError while they are taken."""
    files = FileReader()
    problem = None
    try:
        file = files.open(path)
    except FileNotFoundError:
        problem = "no such file."
    except IsADirectoryError:
        problem = "this is a folder, not a file."
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}."
    if problem is not None:
        raise DataError(f"{path}: {problem}", expected=_EXPECTED_FILE, hint=_HINT)
    reader = EntryReader(file)

    def entries() -> Iterator[Entry]:
        with file:
            try:
                yield from reader.entries()
            except NotAnObjectError as error:
                raise _not_coco(path, f"the JSON holds {type_name(error.value)}.") from None
            except OSError as error:
                raise _not_coco(path, f"cannot be read: {error}.") from error
            except (ValueError, RecursionError) as error:  # not text, a number of thousands of digits, too deep
                raise _diagnose(path, error) from error

    return entries(), reader


def _diagnose(path: str, found: Exception) -> DataError:
    """What is wrong with the JSON, with its place in the file as it is."""
    data = FileReader().read(path)
    if not data or data.isspace():
        return DataError(f"{path}: the file is empty.", expected=_EXPECTED_FILE, hint=_HINT)
    archive = data.startswith((b"\x1f\x8b", b"PK"))
    hint = "unpack it first: this is a compressed archive" if archive else _HINT
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return _not_coco(path, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", hint)
    except (ValueError, RecursionError) as error:
        return _not_coco(path, f"not JSON: {error}.", hint)
    return _not_coco(path, f"not JSON: {found}.", hint)


def _not_coco(path: str, problem: str, hint: str = _HINT) -> DataError:
    return DataError(
        f"{path}: {problem}", expected="a JSON object with `images`, `annotations` and `categories`", hint=hint
    )
