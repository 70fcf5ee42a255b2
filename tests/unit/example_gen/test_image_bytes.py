import io
import json
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from components.example_gen import image_bytes
from components.example_gen.image_bytes import BadImage, check_image
from components.example_gen.quarantine import QuarantineReason

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128"
WIDTH, HEIGHT = 67, 45
MUTATIONS = 2_000


def encode(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def check(data, width=WIDTH, height=HEIGHT):
    return check_image(data, width=width, height=height)


def refuse(data, width=WIDTH, height=HEIGHT):
    with pytest.raises(BadImage) as caught:
        check(data, width, height)
    assert caught.value.detail
    return caught.value


def photo():
    """Gradients with noise, so that every Huffman table is used."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x * 3, y * 4, (x * y) % 255], axis=-1)
    noise = np.random.default_rng(0).normal(0, 20, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


RGB = photo()
GRAY = RGB.convert("L")
DEEP = Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 21)
EXIF_TURNED = Image.Exif()
EXIF_TURNED[0x0112] = 6

PLAIN_JPEGS = {
    "444": encode(RGB, "JPEG", subsampling=0),
    "422": encode(RGB, "JPEG", subsampling=1),
    "420": encode(RGB, "JPEG", subsampling=2),
    "fine": encode(RGB, "JPEG", quality=98),
    "optimised": encode(RGB, "JPEG", optimize=True),
    "progressive": encode(RGB, "JPEG", progressive=True),
    "restarts": encode(RGB, "JPEG", restart_marker_blocks=3),
    "progressive_restarts": encode(RGB, "JPEG", progressive=True, restart_marker_blocks=3),
    "gray": encode(GRAY, "JPEG"),
    "gray_progressive": encode(GRAY, "JPEG", progressive=True),
    "rgb": encode(RGB, "JPEG", keep_rgb=True),
    "segments": encode(RGB, "JPEG", exif=EXIF_TURNED, comment=b"hello", icc_profile=b"p" * 300),
}


def png_with_ancillary_chunks():
    info = PngInfo()
    info.add_text("a", "b" * 100)
    info.add_text("z", "q" * 300, zip=True)
    info.add(b"gAMA", struct.pack(">I", 45_455))
    info.add(b"bKGD", bytes(6))
    info.add(b"sPLT", b"nm\0\x08" + b"\1" * 6)
    return encode(RGB, "PNG", pnginfo=info, icc_profile=b"p" * 200)


PLAIN_PNGS = {"rgb": encode(RGB, "PNG"), "gray": encode(GRAY, "PNG"), "ancillary": png_with_ancillary_chunks()}
PLAIN = PLAIN_JPEGS | {f"png_{name}": data for name, data in PLAIN_PNGS.items()}


def png_chunks(data):
    """Kind and content of each chunk."""
    at, chunks = 8, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def build_png(chunks):
    parts = [len(c).to_bytes(4) + kind + c + zlib.crc32(kind + c).to_bytes(4) for kind, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# What passes.


@pytest.mark.parametrize("name", PLAIN)
def test_check_image_plain_file_passes_unchanged(name):
    checked = check(PLAIN[name])
    assert checked.data is PLAIN[name]
    assert (checked.format, checked.reencoded) == ("png" if name.startswith("png_") else "jpeg", False)
    assert (checked.width, checked.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("padding", [bytes(64), b"\xff" * 5, b"\n", PLAIN_JPEGS["gray"]])
def test_check_image_bytes_behind_the_end_of_a_jpeg_are_ignored(padding):
    assert not check(PLAIN_JPEGS["420"] + padding).reencoded


def test_check_image_jpeg_with_bytes_between_segments_passes_as_in_libjpeg():
    data = PLAIN_JPEGS["420"]
    assert not check(data[:20] + b"\0\x12\xff\xff" + data[20:]).reencoded


def test_check_image_jpeg_with_comment_before_its_end_passes():
    data = PLAIN_JPEGS["420"]
    assert not check(data[:-2] + b"\xff\xfe\0\x04hi" + data[-2:]).reencoded


def test_check_image_exif_orientation_is_ignored():
    checked = check(PLAIN_JPEGS["segments"])
    assert (checked.width, checked.height, checked.reencoded) == (WIDTH, HEIGHT, False)


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_check_image_real_coco_passes_unchanged():
    for image in json.loads((COCO128 / "instances.json").read_text())["images"]:
        data = (COCO128 / "images" / image["file_name"]).read_bytes()
        assert check(data, image["width"], image["height"]).data is data


# What is re-encoded.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (encode(RGB, "WEBP", lossless=True), RGB),
        (encode(RGB, "BMP"), RGB),
        (encode(GRAY, "TIFF"), GRAY),
        (encode(RGB, "PPM"), RGB),
        (encode(RGB.quantize(16), "PNG"), RGB.quantize(16).convert("RGB")),
        (encode(RGB.quantize(16), "PNG", transparency=bytes(16)), RGB.quantize(16).convert("RGB")),
        (encode(RGB.quantize(16), "GIF"), RGB.quantize(16).convert("RGB")),
        (encode(RGB.quantize(16), "GIF", save_all=True, append_images=[GRAY]), RGB.quantize(16).convert("RGB")),
        (encode(GRAY.convert("1"), "PNG"), GRAY.convert("1").convert("L")),
        (encode(RGB, "PNG", transparency=(0, 0, 0)), RGB),
        (encode(DEEP, "PNG"), Image.fromarray((np.asarray(DEEP) >> 8).astype(np.uint8))),
    ],
    ids=["webp", "bmp", "tiff", "ppm", "palette", "clear_palette", "gif", "animation", "bits", "colour_key", "16_bits"],
)
def test_check_image_other_format_becomes_a_png_of_the_same_pixels(source, expected):
    checked = check(source)
    assert (checked.format, checked.reencoded) == ("png", True)
    assert np.array_equal(decode(checked.data), np.asarray(expected))
    assert {kind for kind, _ in png_chunks(checked.data)} == {b"IHDR", b"IDAT", b"IEND"}
    assert not check(checked.data).reencoded


@pytest.mark.parametrize(("base", "mode"), [(RGB, "RGBA"), (GRAY, "LA")])
def test_check_image_transparency_is_dropped_not_composited(base, mode):
    clear = base.convert(mode)
    clear.putalpha(0)
    assert np.array_equal(decode(check(encode(clear, "PNG")).data), np.asarray(base))


def test_check_image_cmyk_jpeg_becomes_rgb_of_nearly_the_same_colours():
    pixels = decode(check(encode(RGB.convert("CMYK"), "JPEG", quality=98)).data)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - np.asarray(RGB)).mean() < 10


@pytest.mark.parametrize("name", PLAIN_PNGS)
def test_check_image_png_named_jpg_is_told_by_its_bytes(name):
    assert check(PLAIN_PNGS[name]).format == "png"  # there is no name to be misled by


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: [*chunks[:1], (b"PLTE", bytes(48)), *chunks[1:]],
        lambda chunks: [*chunks[:1], (b"aBcD", b"reserved bit is fine"), (b"abcd", b"is not"), *chunks[1:]],
        lambda chunks: [*chunks[:1], (b"teSt", bytes(8_000_001)), *chunks[1:]],
    ],
    ids=["palette", "reserved", "long"],
)
def test_check_image_png_with_doubtful_chunks_is_reencoded(change):
    checked = check(build_png(change(png_chunks(PLAIN_PNGS["rgb"]))))
    assert checked.reencoded
    assert np.array_equal(decode(checked.data), np.asarray(RGB))


# What is refused.


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><title>404</title>", b"version https://git-lfs.github.com/spec/v1\n", bytes(4096)]
)
def test_check_image_what_is_no_image_is_named_so(data):
    bad = refuse(data)
    assert bad.reason is QuarantineReason.NOT_AN_IMAGE
    assert str(bad) == f"not_an_image: {bad.detail}"


def test_check_image_postscript_is_not_opened():
    assert refuse(encode(RGB, "EPS")).reason is QuarantineReason.NOT_AN_IMAGE


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_check_image_truncated_file_is_named_so(name, share):
    data = PLAIN[name]
    assert refuse(data[: max(9, int(len(data) * share))]).reason is QuarantineReason.TRUNCATED


@pytest.mark.parametrize("source", [encode(RGB, "BMP"), encode(RGB.convert("CMYK"), "JPEG")], ids=["bmp", "cmyk"])
def test_check_image_truncated_other_format_is_named_so(source):
    assert refuse(source[: len(source) * 2 // 3]).reason is QuarantineReason.TRUNCATED


@pytest.mark.parametrize("data", [*PLAIN.values(), encode(RGB, "WEBP"), encode(RGB.convert("CMYK"), "JPEG")])
def test_check_image_other_size_is_refused_with_both_sizes(data):
    bad = refuse(data, WIDTH, HEIGHT + 1)
    assert bad.reason is QuarantineReason.SIZE_MISMATCH
    assert bad.detail == "the file is 67x45, the annotations say 67x46"


def test_check_image_swapped_size_is_refused_with_its_likely_cause():
    bad = refuse(PLAIN_JPEGS["segments"], HEIGHT, WIDTH)
    assert bad.reason is QuarantineReason.SIZE_MISMATCH
    assert bad.detail.endswith("the annotations say 45x67, as if drawn on it turned by EXIF: turn its pixels")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (65_501, 1), (1, 65_501)])
def test_check_image_bomb_is_refused_by_its_stated_size(width, height):
    assert refuse(PLAIN_JPEGS["420"], width, height).reason is QuarantineReason.TOO_LARGE


def test_check_image_bomb_is_refused_by_its_own_size():
    bomb = build_png([(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 16, 2, 0, 0, 0)), (b"IEND", b"")])
    assert refuse(bomb).reason is QuarantineReason.TOO_LARGE
    bmp = encode(RGB, "BMP")
    assert refuse(bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:]).reason is QuarantineReason.TOO_LARGE


def test_check_image_pixels_without_8_bit_reading_are_refused():
    floats = Image.fromarray(np.zeros((HEIGHT, WIDTH), dtype=np.float32))
    bad = refuse(encode(floats, "TIFF"))
    assert bad.reason is QuarantineReason.UNREADABLE
    assert "mode F" in bad.detail


def jpeg_with(marker, offset, value, name="420"):
    """A JPEG with one byte of the first segment of a kind replaced."""
    data = bytearray(PLAIN_JPEGS[name])
    data[data.index(bytes([0xFF, marker])) + offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg_with(0xC4, 6, 250),
        jpeg_with(0xC4, 4, 0x09),
        jpeg_with(0xDB, 4, 0x0F),
        jpeg_with(0xC0, 11, 0x00),
        jpeg_with(0xC0, 12, 0x03),
        jpeg_with(0xC0, 1, 0xC8),
        jpeg_with(0xDA, 5, 0x77),
        jpeg_with(0xDA, 6, 0x33),
        jpeg_with(0xDB, 1, 0xC0),
        jpeg_with(0xC4, 3, 0x00),
        jpeg_with(0xC2, 12, 0x03, name="progressive"),
    ],
    ids=[
        "huffman_counts",
        "huffman_index",
        "quantization_index",
        "sampling",
        "quantization_missing",
        "frame_kind",
        "scan_component",
        "huffman_missing",
        "two_frames",
        "segment_length",
        "progressive",
    ],
)
def test_check_image_damaged_jpeg_header_is_unreadable(data):
    assert refuse(data).reason is QuarantineReason.UNREADABLE


def test_check_image_marker_inside_a_scan_is_refused():
    data = bytearray(PLAIN_JPEGS["fine"])
    at = len(data) // 2
    data[at : at + 2] = b"\xff\xc0"
    assert refuse(bytes(data)).reason in (QuarantineReason.UNREADABLE, QuarantineReason.TRUNCATED)


def test_check_image_twelve_bit_jpeg_is_unreadable():
    assert refuse(jpeg_with(0xC0, 4, 12)).reason is QuarantineReason.UNREADABLE


def test_check_image_png_with_wrong_checksum_is_unreadable():
    data = bytearray(PLAIN_PNGS["rgb"])
    data[len(data) // 2] ^= 1
    bad = refuse(bytes(data))
    assert bad.reason is QuarantineReason.UNREADABLE
    assert "IDAT" in bad.detail


def png_with_pixels(change):
    """A PNG whose raw rows went through `change`, with good checksums."""
    pixels = change(bytearray(zlib.decompress(dict(png_chunks(PLAIN_PNGS["rgb"]))[b"IDAT"])))
    return build_png(
        [(k, zlib.compress(bytes(pixels)) if k == b"IDAT" else c) for k, c in png_chunks(PLAIN_PNGS["rgb"])]
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png_with_pixels(lambda rows: rows[:-1]), QuarantineReason.TRUNCATED),
        (png_with_pixels(lambda rows: b"\x09" + rows[1:]), QuarantineReason.UNREADABLE),
        (build_png([(k, b"junk" if k == b"IDAT" else c) for k, c in png_chunks(PLAIN_PNGS["rgb"])]), None),
        (build_png([c for c in png_chunks(PLAIN_PNGS["rgb"]) if c[0] != b"IDAT"]), None),
        (build_png(png_chunks(PLAIN_PNGS["rgb"])[1:]), QuarantineReason.UNREADABLE),
        (build_png([(b"IHDR", b"short"), (b"IEND", b"")]), QuarantineReason.UNREADABLE),
    ],
    ids=["short", "filter", "junk", "no_pixels", "no_header", "short_header"],
)
def test_check_image_damaged_png_is_refused(data, reason):
    assert refuse(data).reason in ([reason] if reason else [QuarantineReason.UNREADABLE, QuarantineReason.TRUNCATED])


# The promise.


MARKERS = [0xC0, 0xC2, 0xC4, 0xC9, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xEE, 0xFE, 0x01, 0xFF, 0x00]


def mutate_bytes(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(min(len(data), rng.choice([700, 10**6])))  # headers break more interestingly than pixels
        match rng.randrange(7):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.choice([1, 2, 50])]
            case 2:
                data[at:at] = rng.randbytes(rng.choice([1, 2, 50]))
            case 3:
                data[at : at + 2] = bytes([0xFF, rng.choice(MARKERS)])
            case 4:
                data[at:at] = bytes([0xFF, rng.choice(MARKERS)])
            case 5:
                data[at:] = b"\xff\xd9"
            case 6:
                donor = rng.choice(list(PLAIN.values()))
                data[at : at + 20] = donor[(start := rng.randrange(len(donor))) : start + rng.randrange(400)]
        if len(data) < 4:
            break
    return bytes(data)


def mutate_chunks(data, rng):
    """A PNG with good checksums around something wrong."""
    chunks = png_chunks(data)
    at = rng.randrange(len(chunks))
    kind, content = chunks[at]
    match rng.randrange(5):
        case 0:
            place = rng.randrange(len(content) + 1)
            chunks[at] = kind, content[:place] + rng.randbytes(1) + content[place + 1 :]
        case 1:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
        case 2:
            del chunks[at]
        case 3:
            chunks[at] = kind, content[: rng.randrange(len(content) + 1)]
        case 4:
            chunks[at] = bytes(rng.choice([c, c, c ^ 32]) for c in kind), content
    return build_png(chunks)


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def decodes(tf, checked):
    shapes = [
        tuple(tf.io.decode_image(checked.data, channels=channels, expand_animations=False).shape) for channels in (1, 3)
    ]
    return shapes == [(checked.height, checked.width, channels) for channels in (1, 3)]


def test_check_image_mutated_files_that_pass_decode_in_tensorflow(tf):
    rng = random.Random(0)
    sources = list(PLAIN.values())
    passed = refused = 0
    for _ in range(MUTATIONS):
        source = rng.choice(sources)
        is_png = source.startswith(b"\x89PNG")
        mutated = mutate_chunks(source, rng) if is_png and rng.random() < 0.8 else mutate_bytes(source, rng)
        try:
            checked = check(mutated)
        except BadImage:
            refused += 1
        else:
            passed += 1
            assert decodes(tf, checked), mutated.hex()
    assert min(passed, refused) > MUTATIONS // 10


@pytest.mark.parametrize("name", ["420", "gray", "rgb", "progressive", "restarts", "png_rgb", "png_gray"])
def test_check_image_plain_file_decodes_in_tensorflow_as_in_pillow(tf, name):
    expected = np.asarray(Image.open(io.BytesIO(PLAIN[name])).convert("RGB"))
    decoded = tf.io.decode_image(check(PLAIN[name]).data, channels=3, expand_animations=False).numpy()
    assert np.abs(decoded.astype(int) - expected).mean() < 1.0


def test_check_image_baseline_jpeg_is_not_decoded(monkeypatch):
    sizes = []
    original = image_bytes._decode_jpeg
    monkeypatch.setattr(image_bytes, "_decode_jpeg", lambda *args: (sizes.append(args[2]), original(*args)))
    check(PLAIN_JPEGS["420"])
    check(PLAIN_JPEGS["progressive"])
    assert sizes == [(1, 1), (WIDTH, HEIGHT)]


# EXIF orientation.


def turned(image_format, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(RGB, image_format, exif=exif)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_check_image_without_a_stated_size_stands_as_exif_says(image_format, orientation):
    data = turned(image_format, orientation)
    checked = check_image(data, width=None, height=None)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert (checked.width, checked.height) == expected.size
    assert (checked.format, checked.reencoded) == ("png", True)
    assert Image.open(io.BytesIO(checked.data)).tobytes() == expected.tobytes()
    assert not Image.open(io.BytesIO(checked.data)).getexif()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_check_image_with_a_stated_size_stays_as_it_is_stored_and_says_so(image_format, orientation):
    data = turned(image_format, orientation)
    checked = check_image(data, width=WIDTH, height=HEIGHT)
    assert checked.ignores_exif
    stored = Image.open(io.BytesIO(data)).convert("RGB")
    assert Image.open(io.BytesIO(checked.data)).convert("RGB").tobytes() == stored.tobytes()
    assert checked.data == data or image_format == "WEBP"


@pytest.mark.parametrize("stated", [None, (WIDTH, HEIGHT)])
def test_check_image_that_exif_does_not_turn_stays_as_it_is(stated):
    width, height = stated or (None, None)
    for data in (turned("JPEG", 1), turned("JPEG", 0), encode(RGB, "JPEG", comment="Exif")):
        checked = check_image(data, width=width, height=height)
        assert (checked.data, checked.ignores_exif) == (data, False)


def test_check_image_turned_behind_padding_is_noticed():
    data = turned("JPEG", 3)
    assert check_image(data[:2] + b"\xff\xff" + data[2:], width=WIDTH, height=HEIGHT).ignores_exif


def test_check_image_broken_exif_is_named_by_what_else_is_wrong():
    with pytest.raises(BadImage) as caught:
        check_image(turned("JPEG", 6)[:60] + b"Exif\0\0 and nothing", width=None, height=None)
    assert caught.value.reason is QuarantineReason.TRUNCATED
