"""Which images are meant by files and folders, and where they are drawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from components.errors import DataError
from components.example_gen.image_folder import IMAGE_SUFFIXES
from pipeline.prediction.records import NamedImage

_DRAWN_SUFFIX = ".jpg"


def find_images(paths: Sequence[Path], drawings: Path | None) -> tuple[NamedImage, ...]:
    """The files that are named, and those below the folders that are, in the order of their paths.

    A file that is named is taken for an image whatever it is called; below a folder, what has an image's suffix is.

    Args:
      paths: files and folders. One that is not there is for the reader of the images to report.
      drawings: the folder to draw into, or None.

    Raises:
      DataError: if a folder holds no image, or if two drawings, or a drawing and an image, would be one file.
    """
    found = [
        NamedImage(path=str(file), drawing=None if drawings is None else str(drawings / _drawing_name(name)))
        for path in paths
        for file, name in _images_of(path)
    ]
    if drawings is not None:
        _check_drawings(found)
    return tuple(found)


def _images_of(path: Path) -> Iterator[tuple[Path, Path]]:
    """Each image and its name below the folder that was named."""
    if not path.is_dir():
        yield path, Path(path.name)
        return
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    if not files:
        raise DataError(
            f"{path}: no image is there",
            expected=f"a folder with files of {', '.join(sorted(IMAGE_SUFFIXES))}, at any depth",
            hint="name another folder",
        )
    for file in files:
        yield file, file.relative_to(path)


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
