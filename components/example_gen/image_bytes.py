"""Image bytes as they come off the internet, made safe for TensorFlow.

TensorFlow decodes the examples long after CocoExampleGen wrote them, in Transform and in the Evaluator, where one
bad image ends the run. So every image is judged here, by its bytes and never by its name:

- A JPEG of one or three 8-bit components, Huffman-coded and baseline, is not decoded: its markers are walked, its
  header is given to libjpeg with an image of one pixel, and its scan is searched for stray markers. Whatever else
  may be wrong between them is a warning to libjpeg, not an error.
- The same in several scans, progressive mostly, is decoded once.
- An 8-bit gray or RGB PNG without transparency has its checksums verified and its pixels inflated.
- All else that Pillow reads becomes a PNG of 8-bit gray or RGB: CMYK, arithmetic coding, 16 bits (the upper 8 are
  kept), palettes, WebP, BMP, TIFF, the first frame of a GIF. Transparency is dropped, not composited, as
  TensorFlow and OpenCV do.
- Where annotations state the size, EXIF orientation is ignored, as in COCO, whose boxes are given in stored pixels.
  Such images are told apart, since who drew the boxes may have seen them turned. Where nothing states the size, an
  image that EXIF turns becomes a PNG that stands upright.

Damage inside a baseline scan, which decodes to visible garbage, is not noticed.
"""

import dataclasses
import io
import itertools
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from components.example_gen.quarantine import BadRecord, QuarantineReason

if TYPE_CHECKING:
    from PIL import Image

# Pillow's limit, Image.MAX_IMAGE_PIXELS, against small files that fill the memory; within TensorFlow's 2^29 bytes.
MAX_PIXELS = 89_478_485
# libjpeg's JPEG_MAX_DIMENSION, which is also what a JPEG can express.
MAX_SIDE = 65_500

# What Pillow may open: raster formats only, since its EPS plugin would start Ghostscript.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")

_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedImage:
    """Bytes that `tf.io.decode_image(data, channels=1 or 3, expand_animations=False)` decodes.

    Attributes:
      data: the file as it was, or a PNG in its place.
      format: of `data`.
      width: pixels.
      height: pixels.
      reencoded: whether `data` is a PNG in its place.
      ignores_exif: whether EXIF turns the image on screens, and `data` has its pixels as they are stored.
    """

    data: bytes
    format: Literal["jpeg", "png"]
    width: int
    height: int
    reencoded: bool
    ignores_exif: bool = False


class BadImage(BadRecord):
    """The bytes of an image that must be quarantined."""


def check_image(data: bytes, *, width: int | None, height: int | None) -> CheckedImage:
    """Makes sure that TensorFlow can decode an image, at a small part of the cost of decoding it.

    Args:
      data: the file.
      width: pixels, as the annotations state them; None where nothing states them.
      height: likewise.

    Raises:
      BadImage: not an image, cut short, damaged, too large, or of another size than stated.
    """
    stated = None if width is None or height is None else (width, height)
    is_turned = is_turned_by_exif(data)
    if stated is None and is_turned and (upright := _turn_upright(data)) is not None:
        return CheckedImage(upright[0], "png", *upright[1], reencoded=True)
    if data.startswith(_JPEG_MAGIC) and (size := _safe_jpeg_size(data, stated)) is not None:
        return CheckedImage(data, "jpeg", *size, reencoded=False, ignores_exif=is_turned)
    if data.startswith(_PNG_MAGIC) and (size := _safe_png_size(data, stated)) is not None:
        return CheckedImage(data, "png", *size, reencoded=False, ignores_exif=is_turned)
    encoded, size = _encode_as_png(data, stated)
    return CheckedImage(encoded, "png", *size, reencoded=True, ignores_exif=is_turned)


_Size = tuple[int, int]  # width, height


def _check_size(found: _Size, stated: _Size | None) -> None:
    for width, height in (found, stated or found):
        if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
            raise BadImage(
                QuarantineReason.TOO_LARGE,
                f"{width}x{height} exceeds {MAX_PIXELS} pixels or {MAX_SIDE} pixels a side",
            )
    if stated is not None and found != stated:
        raise BadImage(
            QuarantineReason.SIZE_MISMATCH,
            f"the file is {found[0]}x{found[1]}, the annotations say {stated[0]}x{stated[1]}"
            + (", as if drawn on it turned by EXIF: turn its pixels" if stated == found[::-1] else ""),
        )


# JPEG (ITU-T T.81).

_SOF_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended sequential, progressive
_SOF_OTHER = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})  # lossless, arithmetic, ...
_SOF_PROGRESSIVE = 0xC2
_SOS = 0xDA
_PLAIN_SEGMENTS = frozenset({0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})  # tables, applications, comments
_EOI = b"\xff\xd9"
# A marker that ends a scan: 0xFF and a byte that is not a stuffed zero, a restart or a further 0xFF.
_ENDS_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclasses.dataclass(frozen=True, slots=True)
class _JpegFrame:
    """What the frame header says, and the offsets of its size and of the first scan's data."""

    process: int
    precision: int
    width: int
    height: int
    components: int
    scan_components: int
    size_at: int
    scan_at: int


def _safe_jpeg_size(data: bytes, stated: _Size | None) -> _Size | None:
    """The image's size if the file can stay as it is; None if Pillow has to read it."""
    frame = _parse_jpeg(data)
    size = frame.width, frame.height
    _check_size(size, stated)
    if frame.process not in _SOF_HUFFMAN or frame.precision != 8 or frame.components not in (1, 3):
        return None
    has_one_scan = frame.process != _SOF_PROGRESSIVE and frame.scan_components == frame.components
    if _is_last_scan(data, frame.scan_at) and has_one_scan:
        _decode_jpeg(_header_of_one_pixel(data, frame), frame.components, (1, 1))
    else:
        _decode_jpeg(data, frame.components, size)
    return size


def _parse_jpeg(data: bytes) -> _JpegFrame:
    """Walks the segments up to the first scan, skipping between them what libjpeg skips."""
    sof = None
    at = 2
    while (at := _next_marker(data, _skip_plain_segments(data, at))) + 4 <= len(data):
        code = data[at + 1]
        end = _segment_end(data, at)
        if code in _SOF_HUFFMAN or code in _SOF_OTHER:
            if sof is not None or end - at < 10:
                raise BadImage(QuarantineReason.UNREADABLE, f"unexpected JPEG frame header at byte {at}")
            sof = at
        if code == _SOS:
            if sof is None:
                raise BadImage(QuarantineReason.UNREADABLE, f"JPEG scan without a frame header at byte {at}")
            return _JpegFrame(
                process=data[sof + 1],
                precision=data[sof + 4],
                height=int.from_bytes(data[sof + 5 : sof + 7]),
                width=int.from_bytes(data[sof + 7 : sof + 9]),
                components=data[sof + 9],
                scan_components=data[at + 4],
                size_at=sof + 5,
                scan_at=end,
            )
        at = end
    raise BadImage(QuarantineReason.TRUNCATED, f"the JPEG stops at byte {len(data)}, before its first scan")


def _skip_plain_segments(data: bytes, at: int) -> int:
    """The offset behind a run of well-formed segments whose content does not matter here: most of a header's."""
    size = len(data)
    while at + 4 <= size and data[at] == 0xFF and data[at + 1] in _PLAIN_SEGMENTS:
        end = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if end < at + 4 or end > size:
            break
        at = end
    return at


def _next_marker(data: bytes, at: int) -> int:
    """Offset of the next 0xFF that a marker's code follows; the length of the data if there is none."""
    while (at := data.find(0xFF, at)) >= 0:
        if at + 1 < len(data) and data[at + 1] not in (0x00, 0xFF):
            return at
        at += 1
    return len(data)


def _segment_end(data: bytes, at: int) -> int:
    """The offset behind the segment whose marker stands at `at`."""
    code = data[at + 1]
    length_bytes = data[at + 2 : at + 4]
    end = at + 2 + int.from_bytes(length_bytes)
    has_length = 0xC0 <= code <= 0xFE and not 0xD0 <= code <= 0xD9
    if not has_length or (len(length_bytes) == 2 and end < at + 4):
        raise BadImage(QuarantineReason.UNREADABLE, f"unexpected JPEG marker 0xff{code:02x} at byte {at}")
    if len(length_bytes) < 2 or end > len(data):
        raise BadImage(QuarantineReason.TRUNCATED, f"the JPEG stops at byte {len(data)}, inside a segment")
    return end


def _is_last_scan(data: bytes, scan_at: int) -> bool:
    """Whether the image ends with the scan that starts at `scan_at`; what follows the end, decoders ignore.

    Raises:
      BadImage: there is no end, neither here nor after further segments and scans.
    """
    if _has_one_marker(data, scan_at) and data.endswith(_EOI):
        return True
    at = scan_at
    while (marker := _ENDS_SCAN.search(data, at)) is not None:
        if marker.group() == _EOI:
            return at == scan_at
        at = _segment_end(data, marker.start())
    raise BadImage(QuarantineReason.TRUNCATED, f"the JPEG stops at byte {len(data)}, inside a scan")


def _has_one_marker(data: bytes, start: int) -> bool:
    """Whether 0xFF is followed by something else than a stuffed zero exactly once, in half the time of a search."""
    rest = np.frombuffer(data, dtype=np.uint8, offset=start)
    return bool(np.count_nonzero((rest[:-1] == 0xFF) & (rest[1:] != 0)) == 1)


def _header_of_one_pixel(data: bytes, frame: _JpegFrame) -> bytes:
    """All up to the scan's data, with the size replaced, so that libjpeg judges the tables and little else."""
    header = bytearray(data[: frame.scan_at])
    header[frame.size_at : frame.size_at + 4] = b"\0\1\0\1"
    return bytes(header) + _EOI


def _decode_jpeg(data: bytes, components: int, size: tuple[int, int]) -> None:
    """Lets libjpeg read a whole file.

    This is Pillow's decoder without its file plugin, which would parse the header again, in Python, at five times
    the cost. The decoder trusts `size`, so it must be the size in the file's only frame header.

    Raises:
      BadImage: libjpeg stopped at an error, or wanted more.
    """
    from PIL import Image

    mode = "L" if components == 1 else "RGB"
    try:
        Image.frombytes(mode, size, data, "jpeg", mode, "")
    except (ValueError, OSError) as error:
        raise BadImage(QuarantineReason.UNREADABLE, f"libjpeg: {error}") from error


# PNG (ISO/IEC 15948).

_GRAY, _RGB = 0, 2
_CHANNELS = {_GRAY: 1, _RGB: 3}
# libpng's PNG_USER_CHUNK_MALLOC_MAX: it refuses a file with a longer chunk.
_MAX_CHUNK_BYTES = 8_000_000
# Ancillary chunks, on whose content libpng only warns. tRNS is one too, but changes the pixels.
_ANCILLARY = re.compile(rb"(?!tRNS)[a-z][A-Za-z][A-Z][A-Za-z]")


def _safe_png_size(data: bytes, stated: _Size | None) -> _Size | None:
    """The image's size if the file can stay as it is; None if Pillow has to read it."""
    chunks = list(_parse_png(data))
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise BadImage(QuarantineReason.UNREADABLE, "the PNG does not start with its header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    _check_size((width, height), stated)
    if (depth, compression, filtering, interlace) != (8, 0, 0, 0) or colour not in _CHANNELS:
        return None
    is_safe = (
        _has_plain_layout(kinds)
        and _has_all_pixels(
            b"".join(content for kind, content in chunks if kind == b"IDAT"), height, width * _CHANNELS[colour]
        )
        and all(len(content) <= _MAX_CHUNK_BYTES for _, content in chunks)
    )
    return (width, height) if is_safe else None


def _parse_png(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk up to IEND, with its checksum verified."""
    at = len(_PNG_MAGIC)
    kind = b""
    while kind != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            raise BadImage(QuarantineReason.TRUNCATED, f"the PNG ends after {len(data)} bytes, inside a chunk")
        kind = data[at + 4 : at + 8]
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise BadImage(QuarantineReason.UNREADABLE, f"wrong checksum of the PNG chunk {kind!r} at byte {at}")
        yield kind, memoryview(data)[at + 8 : end - 4]
        at = end


def _has_plain_layout(kinds: Sequence[bytes]) -> bool:
    """Whether the chunks are a header, pixels in one run, an end, and ancillary ones that cannot harm."""
    runs = [kind for kind, _ in itertools.groupby(kinds)]
    others = [kind for kind in runs if not _ANCILLARY.fullmatch(kind)]
    return others == [b"IHDR", b"IDAT", b"IEND"] and kinds.count(b"IHDR") == 1


def _has_all_pixels(compressed: bytes, height: int, row_bytes: int) -> bool:
    """Whether the rows inflate to exactly what the header promises, each after one of the five filters' numbers."""
    expected = height * (1 + row_bytes)
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(compressed, expected + 1)
    except zlib.error:
        return False
    if len(raw) != expected or not inflater.eof:
        return False
    filters = np.frombuffer(raw, dtype=np.uint8)[:: 1 + row_bytes]
    return bool((filters <= 4).all())


# Everything else.


def _encode_as_png(data: bytes, stated: _Size | None) -> tuple[bytes, _Size]:
    """Any format that Pillow reads, as a PNG of 8-bit gray or RGB with nothing beside its pixels, and its size."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            _check_size(image.size, stated)
            pixels = _to_8_bit(image)
    except UnidentifiedImageError:
        raise _not_an_image(data) from None
    except Image.DecompressionBombError as error:
        raise BadImage(QuarantineReason.TOO_LARGE, str(error)) from error
    except BadImage:
        raise
    except Exception as error:  # Pillow's plugins raise whatever the damaged bytes lead them to
        reason = QuarantineReason.TRUNCATED if "truncated" in str(error) else QuarantineReason.UNREADABLE
        raise BadImage(reason, f"{type(error).__name__}: {error}") from error
    _check_size(pixels.size, stated)  # again: a TIFF may turn while it is loaded
    return _save_png(pixels), pixels.size


def _save_png(pixels: "Image.Image") -> bytes:
    encoded = io.BytesIO()
    pixels.save(encoded, "PNG", compress_level=1)  # six times as fast as the default, for a tenth more bytes
    return encoded.getvalue()


_TURNED = range(2, 9)  # orientations; 1 is upright, and others mean nothing, though some cameras write 0


def is_turned_by_exif(data: bytes) -> bool:
    """Whether viewers show the image turned or mirrored; False where that cannot be read."""
    end = _end_of_exif(data)
    if all(data.find(word, 0, end) < 0 for word in (b"Exif", b"eXIf", b"EXIF")):  # as JPEG, PNG and WebP have it
        return False
    from PIL import ExifTags, Image

    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            return image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    except Exception:  # noqa: BLE001  # whatever is wrong with it, the checks of its format name it
        return False


def _end_of_exif(data: bytes) -> int:
    """The offset ahead of which EXIF stands: a JPEG's frame header, since to search its scans takes longer than all
    other checks; elsewhere the end.
    """
    at = _skip_plain_segments(data, 2) if data.startswith(_JPEG_MAGIC) else len(data)
    is_frame = at + 1 < len(data) and data[at] == 0xFF and data[at + 1] in _SOF_HUFFMAN | _SOF_OTHER
    return at if is_frame else len(data)


def _turn_upright(data: bytes) -> tuple[bytes, _Size] | None:
    """An image that EXIF turns as a PNG that needs no turning, and its size; None if it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            _check_size(image.size, None)
            pixels = _to_8_bit(ImageOps.exif_transpose(image))
    except BadImage:
        raise
    except Exception:  # noqa: BLE001  # whatever is wrong with it, the checks of its format name it
        return None
    return _save_png(pixels), pixels.size


def _to_8_bit(image: "Image.Image") -> "Image.Image":
    """The first frame as mode L or RGB."""
    from PIL import Image

    image.load()
    image.info.clear()  # palettes' and colour keys' transparency, profiles, comments
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise BadImage(QuarantineReason.UNREADABLE, f"pixels of Pillow's mode {image.mode} have no 8-bit reading")
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _not_an_image(data: bytes) -> BadImage:
    if data.startswith((_JPEG_MAGIC, _PNG_MAGIC)):
        return BadImage(QuarantineReason.UNREADABLE, f"{len(data)} bytes that only start like an image")
    what = f"{len(data)} bytes that start with {data[:24]!r}" if data else "the file is empty"
    return BadImage(QuarantineReason.NOT_AN_IMAGE, what)
