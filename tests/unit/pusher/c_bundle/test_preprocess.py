import numpy as np
import pytest

from components import pixels

RANDOM = np.random.default_rng(2)


@pytest.fixture
def convert(compile_and_run, tmp_path):
    """Feeds bytes to one of the header's functions, `count` pixels at once, and gives back the codes."""

    def run(function, data, count, codes, element="std::uint8_t"):
        program = f"""
            #include <cstdint>
            #include <cstdio>
            #include <vector>
            #include "person_detect_preprocess.h"
            int main() {{
              std::vector<{element}> pixels({len(data)} / sizeof({element}));
              std::vector<std::int8_t> codes({codes});
              if (std::fread(pixels.data(), 1, {len(data)}, stdin) != {len(data)}) return 1;
              {function}(pixels.data(), {count}, codes.data());
              std::fwrite(codes.data(), 1, codes.size(), stdout);
            }}
        """
        return np.frombuffer(compile_and_run(program, stdin=data), np.int8)

    return run


def luma(rgb):
    """libjpeg's jccolor.c: sixteen-bit fixed point, rounded half up; uint8 [n, 3] to uint8 [n]."""
    return ((rgb.astype(np.int64) @ (19595, 38470, 7471) + 32768) >> 16).astype(np.uint8)


def expand(rgb565):
    """Five and six bits to eight by repeating the upper ones; uint16 [n] to uint8 [n, 3]."""
    parts = ((rgb565 >> 11, 5), (rgb565 >> 5 & 0x3F, 6), (rgb565 & 0x1F, 5))
    return np.stack([(part << (8 - bits)) | (part >> (2 * bits - 8)) for part, bits in parts], -1).astype(np.uint8)


def test_gray_rows_all_256_values_get_the_codes_of_the_pixel_contract(bundle, convert):
    gray = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(convert("vww_gray_codes_from_gray", gray.tobytes(), 256, 256), pixels.quantize(gray))


def test_gray_rows_from_yuyv_take_the_luma(bundle, convert):
    yuyv = RANDOM.integers(0, 256, (500, 2)).astype(np.uint8)
    np.testing.assert_array_equal(
        convert("vww_gray_codes_from_yuyv", yuyv.tobytes(), 500, 500), pixels.quantize(yuyv[:, 0])
    )


def test_gray_rows_from_rgb888_are_luma(bundle, convert):
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).reshape(3, 8).T
    rgb = np.concatenate([corners, RANDOM.integers(0, 256, (5000, 3))]).astype(np.uint8)
    codes = convert("vww_gray_codes_from_rgb888", rgb.tobytes(), len(rgb), len(rgb))
    np.testing.assert_array_equal(codes, pixels.quantize(luma(rgb)))


def test_gray_rows_from_rgb565_every_value_is_luma(bundle, convert):
    rgb565 = np.arange(1 << 16, dtype=np.uint16)
    codes = convert("vww_gray_codes_from_rgb565", rgb565.tobytes(), len(rgb565), len(rgb565), "std::uint16_t")
    np.testing.assert_array_equal(codes, pixels.quantize(luma(expand(rgb565))))


def test_rgb_rows_from_rgb888_keep_the_channels(of_labels, write_bundle, convert):
    write_bundle(of_labels(("a", "b"), None, channels=3))
    rgb = RANDOM.integers(0, 256, (500, 3)).astype(np.uint8)
    codes = convert("vww_rgb_codes_from_rgb888", rgb.tobytes(), 500, 1500)
    np.testing.assert_array_equal(codes, pixels.quantize(rgb).ravel())


def test_rgb_rows_from_rgb565_every_value_is_expanded(of_labels, write_bundle, convert):
    write_bundle(of_labels(("a", "b"), None, channels=3))
    rgb565 = np.arange(1 << 16, dtype=np.uint16)
    codes = convert("vww_rgb_codes_from_rgb565", rgb565.tobytes(), len(rgb565), 3 * len(rgb565), "std::uint16_t")
    np.testing.assert_array_equal(codes, pixels.quantize(expand(rgb565)).ravel())
