"""One entry of a COCO instances file: judged, and turned into a record."""

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeGuard

from components.example_gen.image_records import Annotation, BoxXywhPx, ImageRecord, RecordId
from components.example_gen.quarantine import BadRecord, QuarantineReason

# 2^31 - 1, the largest side that PNG can express; beyond it no format of an image has anything to say.
MAX_SIDE = 2_147_483_647
MAX_AREA = float(MAX_SIDE**2)
MAX_ID = 2**63 - 1  # examples carry category ids as int64


def parse_image(entry: dict[str, Any], image_id: RecordId) -> ImageRecord:
    """One image, without its annotations; raises BadRecord."""
    file_name, width, height = (_field(entry, key) for key in ("file_name", "width", "height"))
    if not is_text(file_name):
        raise BadRecord(QuarantineReason.BAD_FILE_NAME, f"file_name={shown(file_name)}")
    if not all(is_int(side) and 0 < side <= MAX_SIDE for side in (width, height)):
        raise BadRecord(QuarantineReason.BAD_SIZE, f"width={shown(width)}, height={shown(height)}")
    return ImageRecord(image_id, file_name, width, height)


def find_image(entry: object, images: Mapping[RecordId, ImageRecord | None]) -> ImageRecord | None:
    """The image that an annotation names: None for a quarantined one; raises BadRecord where there is none."""
    image_id = parse_id(entry, "image_id")
    if image_id in images:
        return images[image_id]
    other = same_as_text(image_id)
    if other is not None and other in images:  # VIA writes "0" for 0
        return images[other]
    raise BadRecord(QuarantineReason.UNKNOWN_IMAGE, f"image_id={shown(image_id)}")


def same_as_text(image_id: RecordId) -> RecordId | None:
    """The id of the other type that reads the same, as 7 and "7" do; ids are unique as text. None if there is none."""
    if isinstance(image_id, int):
        return str(image_id)
    is_number = image_id.isascii() and image_id.removeprefix("-").isdecimal() and len(image_id) < 20
    return int(image_id) if is_number and str(int(image_id)) == image_id else None


def parse_annotation(
    entry: dict[str, Any], image: ImageRecord, categories: Mapping[int, str] | None, *, needs_area: bool = True
) -> Annotation:
    """One annotation; raises BadRecord.

    Args:
      entry: as the file has it.
      image: that it names.
      categories: in which its category is looked up; None where they are not known yet.
      needs_area: whether it is bad without an area, which is 0 otherwise.
    """
    parse_id(entry, "id")
    category_id = _field(entry, "category_id")
    if not is_int(category_id) or not -MAX_ID <= category_id <= MAX_ID:
        raise BadRecord(QuarantineReason.UNKNOWN_CATEGORY, f"category_id={shown(category_id)}")
    if categories is not None and category_id not in categories:
        raise BadRecord(QuarantineReason.UNKNOWN_CATEGORY, f"category_id={category_id}")
    stated = _field(entry, "area") if needs_area else entry.get("area", 0)
    area = finite(stated)
    if area is None or not 0 <= area <= MAX_AREA:
        raise BadRecord(QuarantineReason.BAD_AREA, f"area={shown(stated)}")
    is_crowd = entry.get("iscrowd", 0)  # left out by many COCO-format exports
    if is_crowd not in (0, 1):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"iscrowd={shown(is_crowd)}")
    return Annotation(category_id, area, _parse_box(entry.get("bbox"), image), bool(is_crowd))


def _parse_box(value: object, image: ImageRecord) -> BoxXywhPx | None:
    """The box if it has a positive size and touches the image."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = (finite(number) for number in value)
    if x is None or y is None or width is None or height is None or width <= 0 or height <= 0:
        return None
    assert image.width is not None
    assert image.height is not None
    is_inside = x < image.width and y < image.height and x + width > 0 and y + height > 0
    return (x, y, width, height) if is_inside else None


def name_entry(entry: object, place: str) -> str:
    """What a quarantined entry is listed as: its id, or its place in the file where it has none."""
    entry_id = entry.get("id") if isinstance(entry, dict) else None
    return str(entry_id) if _is_id(entry_id) else place


def parse_id(entry: object, key: str) -> RecordId:
    """The id in a field of an entry; raises BadRecord."""
    if not isinstance(entry, dict):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"the entry is {type_name(entry)}")
    value = _field(entry, key)
    if not _is_id(value):
        raise BadRecord(QuarantineReason.BAD_FIELD, f"{key}={shown(value)}")
    return value


def _field(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise BadRecord(QuarantineReason.MISSING_FIELD, f"there is no `{key}`")
    return entry[key]


def is_int(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, and written as one."""
    return type(value) is int  # True and 1.0 would pass for 1 otherwise


def _is_id(value: object) -> TypeGuard[RecordId]:
    return is_int(value) or is_text(value)


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be a file's name: JSON can also spell NUL and half a surrogate pair."""
    return (
        isinstance(value, str) and value != "" and "\0" not in value and value.encode(errors="ignore").decode() == value
    )


def composed(name: str) -> str:
    """A name as it is compared: "é" may be one code point or two (macOS writes two), and looks the same."""
    return unicodedata.normalize("NFC", name)


def finite(value: object) -> float | None:
    """A number of the file as a float; None where it is none, or beyond all floats."""
    if not (type(value) is float or is_int(value)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def shown(value: object) -> str:
    """A value of the file as an error shows it."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def type_name(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
