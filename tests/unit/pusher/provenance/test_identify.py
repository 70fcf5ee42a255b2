"""Flatbuffers found again in what build systems make of them."""

import hashlib
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pusher.provenance.identify import find_contents, read_c_arrays

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 3


def places(content, flatbuffer=FLATBUFFER):
    wanted = hashlib.sha256(flatbuffer).hexdigest()
    return [found.where for found in find_contents(content, {len(flatbuffer), 12, 10_000}) if found.sha256 == wanted]


def as_c(data, write="0x{:02x}".format, per_line=12):
    lines = [", ".join(map(write, data[at : at + per_line])) for at in range(0, len(data), per_line)]
    return "alignas(16) const unsigned char g_model_data[] = {\n    " + ",\n    ".join(lines) + ",\n};\n"


def octal(number):
    return f"0{number:o}"


def signed(number):
    return str(number - 256 if number > 127 else number)


def test_find_contents_the_flatbuffer_itself_is_the_whole_file():
    assert places(FLATBUFFER) == ["the whole file"]


@pytest.mark.parametrize(
    "write", ["0x{:02x}".format, "0X{:X}u".format, "{}".format, "{}UL".format, octal, signed, "{:#x} /* 7, */".format],
    ids=["hex", "upper", "decimal", "suffix", "octal", "signed", "comment"],
)  # fmt: skip
@pytest.mark.parametrize("per_line", [1, 12, 10_000])
def test_find_contents_c_array_in_any_layout_is_read_back(write, per_line):
    assert places(as_c(FLATBUFFER, write, per_line).encode()) == ["the bytes of C array 1"]


def test_read_c_arrays_other_initializers_are_passed_over():
    source = """
      // const char a[] = {1, 2};
      /* int b[] = {3}; */
      const char* labels[] = {"a", "b"};
      const int sizes[] = {300, 4};
      const float scales[] = {0.5f};
      const signed char codes[] = {-128, 127};
      struct S s = {x, 1};
    """
    assert list(read_c_arrays(source.encode())) == [b"\x80\x7f"]


def test_read_c_arrays_a_million_comments_that_never_end_are_one():
    assert list(read_c_arrays(b"int a[] = {1};" + b"/*" * 1_000_000)) == [b"\x01"]


@given(st.binary(max_size=300))
def test_find_contents_any_bytes_are_searched_without_an_error(content):
    assert next(find_contents(content, {8})).where == "the whole file"


def test_find_contents_image_that_holds_two_models_gives_both_places():
    assert places(b"\xff" * 100 + FLATBUFFER + b"\0" * 20 + FLATBUFFER + b"\xff") == ["at byte 100", "at byte 896"]


def test_find_contents_flatbuffer_that_is_cut_off_is_not_found():
    assert places(b"\xff" * 100 + FLATBUFFER[:-1]) == []


def hex_record(address, kind, data):
    body = bytes([len(data)]) + address.to_bytes(2) + bytes([kind]) + data
    return f":{(body + bytes([-sum(body) % 256])).hex().upper()}\n"


def intel_hex(data, start):
    lines, base = [], None
    for at in range(0, len(data), 16):
        address = start + at
        if address >> 16 != base:
            base = address >> 16
            lines.append(hex_record(0, 4, base.to_bytes(2)))
        lines.append(hex_record(address & 0xFFFF, 0, data[at : at + 16]))
    return ("".join(lines) + hex_record(0, 1, b"")).encode()


def uf2(data, start):
    blocks = [data[at : at + 256] for at in range(0, len(data), 256)]
    return b"".join(
        struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0, start + 256 * number, len(block), number, len(blocks), 0)
        + block.ljust(476, b"\0")
        + struct.pack("<I", 0x0AB16F30)
        for number, block in enumerate(blocks)
    )


FLASH = b"\xff" * 24 + FLATBUFFER + b"\xff" * 32


def test_find_contents_intel_hex_over_a_64_kib_border_is_read():
    assert places(intel_hex(FLASH, 0x0800_FF00)) == ["at byte 24"]


def test_find_contents_intel_hex_with_a_wrong_checksum_is_not_taken_for_one():
    content = intel_hex(FLASH, 0x0800_0000)
    assert places(content.replace(b":10", b":11", 1)) == []


def test_find_contents_uf2_in_any_order_of_blocks_is_read():
    content = uf2(FLASH, 0x1000_0000)
    blocks = [content[at : at + 512] for at in range(0, len(content), 512)]
    assert places(content) == places(b"".join(reversed(blocks))) == ["at byte 24"]


@pytest.mark.parametrize(("compiler", "package"), [("gcc", "gcc"), ("arm-none-eabi-gcc", "gcc-arm-none-eabi")])
def test_find_contents_compiled_array_is_found_in_the_object_file(tmp_path, require_tool, compiler, package):
    require_tool(compiler, package)
    source = tmp_path / "model.c"
    source.write_text("__attribute__((aligned(16))) " + as_c(FLATBUFFER).removeprefix("alignas(16) "))
    subprocess.run([compiler, "-c", source, "-o", tmp_path / "model.o"], check=True)
    assert len(places((tmp_path / "model.o").read_bytes())) == 1
