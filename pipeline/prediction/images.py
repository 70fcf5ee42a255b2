"""Which images are meant by files and folders, and where they are drawn."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import DataError
from components.example_gen.image_folder import IMAGE_SUFFIXES, check_file_name
from components.example_gen.quarantine import BadRecord
from pipeline.prediction.records import BadFile, NamedImage

_DRAWN_SUFFIX = ".jpg"


@dataclass(frozen=True)
class FoundImages:
    """What files and folders hold.

    Attributes:
      images: to be looked at.
      bad: those whose names are no text, which nothing that is printed could hold.
      left_out: how many images below the folder of drawings, which lies in a folder that was searched.
    """

    images: tuple[NamedImage, ...]
    bad: tuple[BadFile, ...]
    left_out: int


def find_images(paths: Sequence[Path], drawings: Path | None) -> FoundImages:
    """The files that are named, and those below the folders that are, in the order of their paths.

    A file that is named is taken for an image whatever it is called; below a folder, what has an image's suffix is,
    unless it lies in the folder of drawings: what was drawn before is no image to look at.

    Args:
      paths: files and folders. One that is not there is for the reader of the images to report.
      drawings: the folder to draw into, or None.

    Raises:
      DataError: if a folder holds no image, or if two drawings, or a drawing and an image, would be one file.
    """
    images: list[NamedImage] = []
    bad: list[BadFile] = []
    left_out = 0
    for path in paths:
        found, drawn = _images_of(path, drawings)
        left_out += drawn
        for file, name in found:
            try:
                check_file_name(str(file))
            except BadRecord:
                bad.append(BadFile(file=_printable(file), reason="its name is not UTF-8"))
            else:
                drawing = None if drawings is None else str(drawings / _drawing_name(name))
                images.append(NamedImage(path=str(file), drawing=drawing))
    if drawings is not None:
        _check_drawings(images)
    return FoundImages(tuple(images), tuple(bad), left_out)


def _images_of(path: Path, drawings: Path | None) -> tuple[list[tuple[Path, Path]], int]:
    """Each image and its name below the folder that was named, and how many were left out as drawings."""
    if not path.is_dir():
        return [(path, Path(path.name))], 0
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    kept = _without_drawings(files, path, drawings)
    if not kept:
        raise DataError(
            f"{_printable(path)}: no image is there" + (f" outside of {drawings}" if files else ""),
            expected=f"a folder with files of {', '.join(sorted(IMAGE_SUFFIXES))}, at any depth",
            hint="name another folder",
        )
    return [(file, file.relative_to(path)) for file in kept], len(files) - len(kept)


def _without_drawings(files: list[Path], folder: Path, drawings: Path | None) -> list[Path]:
    if drawings is None or folder.resolve() not in drawings.resolve().parents:
        return files
    inside = folder / drawings.resolve().relative_to(folder.resolve())
    return [file for file in files if inside not in file.parents]


def _printable(path: Path) -> str:
    r"""Bytes that are no UTF-8 as `\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _drawing_name(name: Path) -> Path:
    """The same name as a JPEG's: `a.jpg` as it is, `a.png` as `a.png.jpg`, which no `a.jpg` beside it takes."""
    return name if name.suffix == _DRAWN_SUFFIX else name.with_name(name.name + _DRAWN_SUFFIX)


def _check_drawings(images: Sequence[NamedImage]) -> None:
    taken: dict[Path, str] = {Path(image.path).resolve(): "the image itself" for image in images}
    for image in images:
        assert image.drawing is not None
        target = Path(image.drawing).resolve()
        if target in taken:
            raise DataError(
                f"{image.path} would be drawn over {image.drawing}, which is {taken[target]}",
                expected="a file of its own for each drawing",
                hint="draw into another folder, or a folder of images at a time",
            )
        taken[target] = f"the drawing of {image.path}"
