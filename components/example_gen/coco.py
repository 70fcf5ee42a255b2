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
import json
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from components.errors import DataError
from components.example_gen.json_stream import Entry, EntryReader, NotAnObjectError
from components.example_gen.quarantine import BadRecord, Quarantined, QuarantineReason
from components.example_gen.storage import FileReader

# 2^31 - 1, the largest side that PNG can express; beyond it no format of an image has anything to say.
MAX_SIDE = 2_147_483_647
MAX_AREA = float(MAX_SIDE**2)
MAX_ID = 2**63 - 1  # examples carry category ids as int64

_EXPECTED_FILE = "a COCO instances file (JSON)"
_HINT = "set data.annotations to a COCO instances file, such as instances_train2014.json"
_LISTS = ("images", "annotations", "categories")

RecordId = int | str
BoxXywhPx = tuple[float, float, float, float]


class Annotation(NamedTuple):
    """One object in an image.

    Attributes:
      category_id: a key of `CocoDataset.categories`.
      area: mask area in square pixels, 0...MAX_AREA.
      bbox_xywh_px: left, top, width, height in pixels; finite, of positive size and touching the image, though
        possibly reaching beyond it. None where the file has no such box.
      is_crowd: one outline around many objects.
    """

    category_id: int
    area: float
    bbox_xywh_px: BoxXywhPx | None
    is_crowd: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as its source describes it.

    Attributes:
      id: unique in a dataset.
      file_name: path below the images folder.
      width, height: pixels, 1...MAX_SIDE; None where the source does not state them.
      packed: the annotations, packed, since a large set has a million of them: see `pack_annotations`.
    """

    id: RecordId
    file_name: str
    width: int | None
    height: int | None
    packed: bytes = b""

    @property
    def source_id(self) -> str:
        """The id as text; unique in a dataset."""
        return str(self.id)

    @property
    def annotations(self) -> Iterator[Annotation]:
        """The image's objects, in an order that depends on what they are and not on where the file has them."""
        for category_id, area, x, y, width, height, has_box, is_crowd in _PACKED.iter_unpack(self.packed):
            yield Annotation(category_id, area, (x, y, width, height) if has_box else None, is_crowd)

    @property
    def area_px(self) -> int:
        """Square pixels of the image; only where its size is stated."""
        if self.width is None or self.height is None:
            raise ValueError(f"image {self.id}: no size was stated")
        return self.width * self.height


_PACKED = struct.Struct(">qd4d??")
_NUMBERS = {int, float}


def pack_annotations(annotations: Iterable[Annotation]) -> bytes:
    """Annotations as `ImageRecord.packed`: 50 bytes each, sorted."""
    return b"".join(sorted(_pack(annotation) for annotation in annotations))


def _pack(annotation: Annotation) -> bytes:
    category_id, area, box, is_crowd = annotation
    return _PACKED.pack(category_id, area, *(box or (0.0, 0.0, 0.0, 0.0)), box is not None, is_crowd)


def _sort_packed(packed: bytearray) -> bytes:
    size = _PACKED.size
    if len(packed) <= size:
        return bytes(packed)
    return b"".join(sorted(bytes(packed[at : at + size]) for at in range(0, len(packed), size)))


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
    """Reads and validates a COCO instances file, holding one entry at a time and 50 bytes of every annotation.

    Args:
      path: a local file, or an object as `gs://bucket/name`.

    Raises:
      DataError: the file is missing, is not JSON or not of COCO's shape, names no image, or gives an image id,
        category id or category name twice.
    """
    document = _Document(path)
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

    def __init__(self, path: str) -> None:
        self.path = path
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
                yield dataclasses.replace(image, packed=_sort_packed(self.packed.pop(image_id, bytearray())))

    def _begin(self, entry: Entry) -> None:
        if entry.key not in _LISTS:
            return
        if entry.key in self._seen:
            raise DataError(f"{self.path}: `{entry.key}` stands twice.", expected=_EXPECTED_FILE, hint=_HINT)
        if not isinstance(entry.value, list):
            problem = f"`{entry.key}` is {_type_name(entry.value)}."
            raise DataError(f"{self.path}: {problem}", expected=f"`{entry.key}`: a list", hint=_HINT)
        self.is_annotations_pending |= entry.key == "annotations" and "images" not in self._seen
        self._seen.add(entry.key)

    def _check_names(self) -> None:
        """Of two categories of one name, one must be unused: Roboflow puts an empty one of the project's name first."""
        used: dict[str, int] = {}
        for category_id in sorted(self.categories, key=lambda i: i not in self._used_categories):
            name = self.categories[category_id]
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
        if not (_is_int(category_id) and 0 <= category_id <= MAX_ID and _is_text(name)):
            problem = f"categories[{entry.place}] is {_shown(value)}."
        elif category_id in categories:
            problem = f"category id {category_id} is given to both {categories[category_id]!r} and {name!r}."
        else:
            categories[category_id] = name
            return
        raise DataError(f"{self.path}: {problem}", expected='distinct entries like {"id": 1, "name": "person"}')

    def _add_image(self, entry: Entry) -> None:
        try:
            image_id = _parse_id(entry.value, "id")
            if image_id in self.images or _same_as_text(image_id) in self.images:
                self._repeated[str(image_id)] = None
            self.images[image_id] = None
            self.images[image_id] = _parse_image(entry.value, image_id)
        except BadRecord as bad:
            name = _name(entry.value, f"images[{entry.place}]")
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
            )
            if is_plain:
                packed = _PACKED.pack(category_id, area, x, y, width, height, True, is_crowd)
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
            image = _find_image(value, self.images)
            if image is None:  # it goes with its image
                return
            annotation = _parse_annotation(value, image, categories)
        except BadRecord as bad:
            name = _name(value, f"annotations[{entry.place}]")
            self.bad_annotations.append(Quarantined("annotation", name, bad.reason, bad.detail))
            return
        self._used_categories.add(annotation.category_id)
        self.packed[image.id] += _pack(annotation)
        if annotation.bbox_xywh_px is None:
            name = _name(value, f"annotations[{entry.place}]")
            detail = f"bbox={_shown(value.get('bbox'))} in image {image.id} of {image.width}x{image.height}"
            self.bad_annotations.append(Quarantined("annotation", name, QuarantineReason.BAD_BOX, detail))


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
                raise _not_coco(path, f"the JSON holds {_type_name(error.value)}.") from None
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


# Records.


def _parse_image(entry: dict[str, Any], image_id: RecordId) -> ImageRecord:
    file_name, width, height = (_field(entry, key) for key in ("file_name", "width", "height"))
    if not _is_text(file_name):
        raise BadRecord(QuarantineReason.BAD_FILE_NAME, f"file_name={_shown(file_name)}")
    if not all(_is_int(side) and 0 < side <= MAX_SIDE for side in (width, height)):
        raise BadRecord(QuarantineReason.BAD_SIZE, f"width={_shown(width)}, height={_shown(height)}")
    return ImageRecord(image_id, file_name, width, height)


def _find_image(entry: object, images: Mapping[RecordId, ImageRecord | None]) -> ImageRecord | None:
    image_id = _parse_id(entry, "image_id")
    if image_id in images:
        return images[image_id]
    other = _same_as_text(image_id)
    if other is not None and other in images:  # VIA writes "0" for 0
        return images[other]
    raise BadRecord(QuarantineReason.UNKNOWN_IMAGE, f"image_id={_shown(image_id)}")


def _same_as_text(image_id: RecordId) -> RecordId | None:
    """The id of the other type that reads the same, as 7 and "7" do; ids are unique as text. None if there is none."""
    if isinstance(image_id, int):
        return str(image_id)
    is_number = image_id.isascii() and image_id.removeprefix("-").isdecimal() and len(image_id) < 20
    return int(image_id) if is_number and str(int(image_id)) == image_id else None


def _parse_annotation(entry: dict[str, Any], image: ImageRecord, categories: Mapping[int, str] | None) -> Annotation:
    """One annotation; its category is not looked up where `categories` is None."""
    _parse_id(entry, "id")
    category_id = _field(entry, "category_id")
    if not _is_int(category_id) or not -MAX_ID <= category_id <= MAX_ID:
        raise BadRecord(QuarantineReason.UNKNOWN_CATEGORY, f"category_id={_shown(category_id)}")
    if categories is not None and category_id not in categories:
        raise BadRecord(QuarantineReason.UNKNOWN_CATEGORY, f"category_id={category_id}")
    area = _finite(_field(entry, "area"))
    if area is None or not 0 <= area <= MAX_AREA:
        raise BadRecord(QuarantineReason.BAD_AREA, f"area={_shown(entry['area'])}")
    is_crowd = entry.get("iscrowd", 0)  # left out by many COCO-format exports
    if is_crowd not in (0, 1):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"iscrowd={_shown(is_crowd)}")
    return Annotation(category_id, area, _parse_box(entry.get("bbox"), image), bool(is_crowd))


def _parse_box(value: object, image: ImageRecord) -> BoxXywhPx | None:
    """The box if it has a positive size and touches the image."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = (_finite(number) for number in value)
    if x is None or y is None or width is None or height is None or width <= 0 or height <= 0:
        return None
    assert image.width is not None
    assert image.height is not None
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
