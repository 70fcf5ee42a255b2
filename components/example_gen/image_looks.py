"""What an image looks like, from a small decode: size, brightness, contrast, and a perceptual hash."""

import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from components.example_gen.image_bytes import PILLOW_FORMATS, is_turned_by_exif
from components.example_gen.quarantine import BadRecord
from components.example_gen.storage import FileReader

HASH_SIDE = 8
_DRAFT_SIDE = 64  # pixels; a JPEG is decoded at the smallest scale that is not below this


@dataclasses.dataclass(frozen=True, slots=True)
class ImageLook:
    """One image, looked at.

    Attributes:
      width, height: pixels, as stored.
      brightness: mean luma, 0...1.
      contrast: standard deviation of the luma, 0...0.5.
      is_turned: whether EXIF turns it on screens.
      hash: 64 bits that hardly change when an image is scaled, compressed or brightened (ImageHash's phash).
    """

    width: int
    height: int
    brightness: float
    contrast: float
    is_turned: bool
    hash: int


def look_at_images(
    paths: Sequence[str], on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[ImageLook | None]:
    """Looks at every image, on all cores; None stands for one that cannot be decoded.

    Args:
      paths: files, local or `gs://`.
      on_progress: told how many of how many images are done.

    Returns:
      One entry for each path, in their order.
    """
    reader = FileReader()

    def look(path: str) -> ImageLook | None:
        try:
            return look_at(reader.read_image(path))
        except BadRecord:
            return None

    # Threads: nearly all of the time is spent in decoders that let others run.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(look, paths, chunksize=16), start=1):
            on_progress(done, len(paths))
            yield found


def look_at(data: bytes) -> ImageLook | None:
    """Looks at one image; None if it cannot be decoded."""
    import imagehash
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            width, height = image.size
            image.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
            gray = image.convert("L")
    except Exception:  # noqa: BLE001  # Pillow's plugins raise whatever the damaged bytes lead them to
        return None
    gray.thumbnail((4 * _DRAFT_SIDE, 4 * _DRAFT_SIDE))
    luma = np.asarray(gray, np.float32) / 255
    bits = imagehash.phash(gray, hash_size=HASH_SIDE).hash
    return ImageLook(
        width=width,
        height=height,
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        is_turned=is_turned_by_exif(data),
        hash=int.from_bytes(np.packbits(bits).tobytes(), "big"),
    )
