"""A folder per class: which image has which label, and in which split where folders state that too.

    images/                     images/
      no-pikachu/                 train/
        a.jpg                       no-pikachu/a.jpg
      pikachu/                      pikachu/b.png
        2024/b.png                eval/
                                    no-pikachu/c.webp
                                    pikachu/d.bmp

A folder below a class belongs to the class. Labels are the class folders' names, sorted. `val`, `valid` and
`validation` are read as `eval`. Without an `eval` folder, the images of `train` are shared out by their ids.
"""

import dataclasses
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from components import features
from components.errors import DataError
from components.example_gen.quarantine import BadRecord, QuarantineReason
from components.example_gen.storage import list_files

SPLIT_FOLDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        features.TRAIN: features.TRAIN,
        features.EVAL: features.EVAL,
        "val": features.EVAL,
        "valid": features.EVAL,
        "validation": features.EVAL,
        features.TEST: features.TEST,
    }
)
IMAGE_SUFFIXES: Final = frozenset(
    {
        *(".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"),
        *(".tif", ".tiff", ".webp"),
    }
)
# Images too, but of formats that nothing here reads.
_UNREAD_SUFFIXES: Final = frozenset({".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".psd", ".svg"})
# With what else splits are commonly called; a class may be called so too, but hardly every class.
_NEAR_SPLITS: Final = frozenset({*SPLIT_FOLDERS, "training", "evaluation", "testing"})
_LAYOUT = "one folder per class, such as pikachu/ and no-pikachu/, or train/ and eval/ that hold such folders"


@dataclasses.dataclass(frozen=True, slots=True)
class FolderImage:
    """One image: its path below the images folder, the class folder, and the split where a folder states one."""

    file_name: str
    label_name: str
    split: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class FolderContent:
    """What an images folder holds.

    Attributes:
      images: sorted by file name.
      label_names: the classes, sorted.
      ignored: files without an image's suffix, or outside of any class, by suffix.
    """

    images: tuple[FolderImage, ...]
    label_names: tuple[str, ...]
    ignored: dict[str, int]


def read_image_folder(folder: str) -> FolderContent:
    """Lists the images of a folder per class; hidden files and folders are passed over.

    Args:
      folder: local, or `gs://bucket/prefix`.

    Raises:
      DataError: the folder cannot be listed, has fewer than two classes or two of one name, holds a class whose
        images are all of formats that nothing here reads, or mixes classes with folders of splits.
    """
    names = [name for name in list_files(folder) if not any(part.startswith(".") for part in name.split("/"))]
    has_splits = _has_split_folders(folder, names)
    ignored: Counter[str] = Counter()
    images: list[FolderImage] = []
    unread: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        split = SPLIT_FOLDERS.get(parts[0]) if has_splits and len(parts) > 1 else None
        parts = parts if split is None else parts[1:]
        suffix = _suffix(name)
        if len(parts) == 1 or suffix not in IMAGE_SUFFIXES or (has_splits and split is None):
            ignored[suffix or "no suffix"] += 1
            if len(parts) > 1 and suffix in _UNREAD_SUFFIXES:
                unread[parts[0]] = suffix
            continue
        images.append(FolderImage(name, parts[0], split))
    label_names = sorted({image.label_name for image in images})
    _check_all_read(folder, unread, label_names)
    _check_classes(folder, label_names)
    if has_splits and not any(image.split == features.EVAL for image in images):
        images = [dataclasses.replace(i, split=None) if i.split == features.TRAIN else i for i in images]
    return FolderContent(tuple(images), tuple(label_names), dict(ignored))


def _suffix(name: str) -> str:
    """`.jpg` of `a/b.JPG`; empty where there is none."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix}".lower() if stem and dot else ""


def check_file_name(name: str) -> None:
    """Refuses a name that is no text, which examples and manifests could not hold.

    Raises:
      BadRecord: the name's bytes are not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadRecord(QuarantineReason.BAD_FILE_NAME, f"{name!a} is not UTF-8") from None


def _has_split_folders(folder: str, names: Iterable[str]) -> bool:
    """Whether the folders at the top are splits and not classes."""
    tops = {name.partition("/")[0] for name in names if "/" in name and _suffix(name) in IMAGE_SUFFIXES}
    splits = sorted(tops & SPLIT_FOLDERS.keys())
    by_split: defaultdict[str, list[str]] = defaultdict(list)
    for top in splits:
        by_split[SPLIT_FOLDERS[top]].append(top)
    if clash := next((tops for tops in by_split.values() if len(tops) > 1), None):
        raise DataError(f"{folder}: {' and '.join(clash)} are the same split.", expected=_LAYOUT, hint="merge them")
    if splits and len(splits) < len(tops):
        others = sorted(tops - SPLIT_FOLDERS.keys())
        raise DataError(
            f"{folder}: holds the split folder {splits[0]!r} beside {others[0]!r}.",
            expected=_LAYOUT,
            hint=f"move {others[0]!r} into the splits, or rename {splits[0]!r} if it is a class",
        )
    if tops and not splits and all(top.casefold() in _NEAR_SPLITS for top in tops):
        raise DataError(
            f"{folder}: {' and '.join(map(repr, sorted(tops)))} look like splits, but are not called as splits are.",
            expected=_LAYOUT,
            hint="rename them to train, eval and test",
        )
    return bool(splits)


def _check_all_read(folder: str, unread: Mapping[str, str], label_names: Iterable[str]) -> None:
    """Refuses to go on without a class."""
    for name in sorted(unread.keys() - set(label_names)):
        raise DataError(
            f"{folder}: the class folder {name!r} holds no image that can be read, but {unread[name]} files.",
            expected=f"images of one of {', '.join(sorted(IMAGE_SUFFIXES))}",
            hint=f"convert them, as to .jpg or .png, or move {name!r} away",
        )


def _check_classes(folder: str, label_names: list[str]) -> None:
    if len(label_names) < 2:
        found = f"one class folder with images, {label_names[0]!r}" if label_names else "no class folder with images"
        raise DataError(
            f"{folder}: holds {found}.",
            expected=_LAYOUT,
            hint="set data.images to the folder above the classes; images without the object need a folder too",
        )
    folded: dict[str, str] = {}
    for name in label_names:
        if not name.isprintable():
            raise DataError(f"{folder}: the class folder {name!a} has no printable name.", hint="rename it")
        other = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise DataError(
                f"{folder}: the class folders {other!r} and {name!r} differ in the case or coding of letters only.",
                expected="every class once",
                hint="merge them, or rename one",
            )
