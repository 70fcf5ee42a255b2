"""Contact sheets: many images at a glance, each under its caption."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.example_gen.image_bytes import PILLOW_FORMATS
from components.example_gen.quarantine import BadRecord
from components.example_gen.storage import FileReader

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL_PX = 144
_LINE_PX = 15
_MARGIN_PX = 4
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_NO_IMAGE = (208, 208, 208)


@dataclass(frozen=True, slots=True)
class Tile:
    """One image on a sheet, of THUMBNAIL_PX or as a file, local or `gs://`, and lines of text."""

    image: "str | Image.Image"
    caption: str


def make_thumbnail(path: str, side: int = THUMBNAIL_PX) -> "Image.Image":
    """An image scaled into a square of `side` pixels, as RGB; a gray field if it cannot be read."""
    from PIL import Image

    small = read_small(path, side)
    square = Image.new("RGB", (side, side), _NO_IMAGE if small is None else _PAPER)
    if small is not None:
        square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def read_small(path: str, side: int = THUMBNAIL_PX, *, upright: bool = False) -> "Image.Image | None":
    """An image scaled to fit into a square of `side` pixels, as RGB; None if it cannot be read.

    Args:
      path: local or `gs://`.
      side: pixels.
      upright: whether to turn it as EXIF says; `check_image` does so where no annotations state a size.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(FileReader().read_image(path)), formats=PILLOW_FORMATS) as image:
            image.draft("RGB", (side, side))
            small = (ImageOps.exif_transpose(image) if upright else image).convert("RGB")
    except (BadRecord, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((side, side))
    return small


def render_contact_sheet(tiles: Sequence[Tile], *, columns: int = 6) -> "Image.Image":
    """The tiles row by row, as an RGB image.

    Args:
      tiles: at least one.
      columns: tiles in a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    lines = max(tile.caption.count("\n") + 1 for tile in tiles)
    width, height = THUMBNAIL_PX + _MARGIN_PX, THUMBNAIL_PX + lines * _LINE_PX + 2 * _MARGIN_PX
    sheet = Image.new("RGB", (columns * width + _MARGIN_PX, rows * height + _MARGIN_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for place, tile in enumerate(tiles):
        left = _MARGIN_PX + place % columns * width
        top = _MARGIN_PX + place // columns * height
        sheet.paste(make_thumbnail(tile.image) if isinstance(tile.image, str) else tile.image, (left, top))
        for number, line in enumerate(tile.caption.splitlines()):
            fitting = line
            while draw.textlength(fitting, font) > THUMBNAIL_PX:
                fitting = fitting[:-1]
            draw.text((left, top + THUMBNAIL_PX + number * _LINE_PX), fitting, fill=_INK, font=font)
    return sheet
