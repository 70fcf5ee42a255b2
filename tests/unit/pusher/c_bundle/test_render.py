import dataclasses
import hashlib
import random
import shutil
import struct
import subprocess
import time

import numpy as np
import pytest

from components import pixels
from components.errors import ReleaseError
from components.pusher.c_bundle.render import BundleSpec, render_bundle
from components.quantization.contracts import TensorContract

SPEC = BundleSpec(
    name="person_detect",
    flatbuffer=random.Random(0).randbytes(300_568),  # the size of TFLite Micro's person_detect.tflite
    labels=("not-person", "person"),
    positive="person",
    input=TensorContract(name="image", shape=(1, 96, 80, 1), dtype="int8", scale=0.007843137718737125, zero_point=-1),
    output=TensorContract(name="scores", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128),
    arena_bytes=83_001,
    arena_margin_bytes=4096,
    model="vww_mobilenet_v1_025_96_gray",
    vww_version="0.1.0",
)


@pytest.fixture
def bundle(tmp_path):
    for name, content in render_bundle(SPEC).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_render_bundle_same_spec_gives_same_bytes_and_no_clock():
    first = render_bundle(SPEC)
    assert set(first) == {
        "person_detect_model_data.h",
        "person_detect_model_data.cc",
        "person_detect_arena.h",
        "model_settings.h",
    }
    assert render_bundle(dataclasses.replace(SPEC)) == first


def test_render_bundle_of_300_kb_is_fast():
    start = time.perf_counter()
    render_bundle(SPEC)
    assert time.perf_counter() - start < 1.0


def test_render_bundle_every_file_says_where_it_came_from():
    for content in render_bundle(SPEC).values():
        text = content.decode("ascii")
        assert 'vww "0.1.0"' in text
        assert '"vww_mobilenet_v1_025_96_gray"' in text
        assert hashlib.sha256(SPEC.flatbuffer).hexdigest() in text
        assert text.endswith("\n")
        assert all(len(line) <= 80 and line == line.rstrip() for line in text.splitlines())


def test_model_data_object_file_holds_the_flatbuffer_aligned(bundle, compile_object):
    if shutil.which("objcopy") is None or shutil.which("nm") is None:
        pytest.skip("binutils are not installed")
    compiled = compile_object(bundle / "person_detect_model_data.cc")
    subprocess.run(["objcopy", "-O", "binary", "-j", ".rodata", compiled, bundle / "rodata"], check=True)
    symbols = subprocess.run(["nm", "-S", compiled], check=True, capture_output=True, text=True).stdout
    # "0000000000000020 0000000000049618 R g_person_detect_model_data"; R is the read-only section.
    found = {name: (int(at, 16), int(size, 16)) for at, size, kind, name in map(str.split, symbols.splitlines())}
    assert " R g_person_detect_model_data\n" in symbols

    rodata = (bundle / "rodata").read_bytes()
    at, size = found["g_person_detect_model_data"]
    assert rodata[at : at + size] == SPEC.flatbuffer
    assert at % 16 == 0
    at, size = found["g_person_detect_model_data_size"]
    assert struct.unpack("<I", rodata[at : at + size]) == (len(SPEC.flatbuffer),)


def test_model_data_linked_program_sees_alignment_and_size(bundle, compile_and_run):
    program = """
        #include <cstdint>
        #include <cstdio>
        #include "person_detect_model_data.h"
        int main() {
          std::printf("%u %u", static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(g_person_detect_model_data) % 16),
                      g_person_detect_model_data_size);
        }
    """
    assert compile_and_run(program, bundle / "person_detect_model_data.cc") == b"0 300568"


def test_quantize_pixel_all_256_pixels_match_the_pixel_contract(bundle, compile_and_run):
    program = """
        #include <cstdio>
        #include "model_settings.h"
        int main() {
          for (int pixel = 0; pixel < 256; ++pixel) {
            const std::int8_t code = QuantizePixel(static_cast<std::uint8_t>(pixel));
            std::fwrite(&code, 1, 1, stdout);
          }
        }
    """
    codes = np.frombuffer(compile_and_run(program), np.int8)
    np.testing.assert_array_equal(codes, pixels.quantize(np.arange(256, dtype=np.uint8)))


def test_model_settings_constants_are_those_of_the_flatbuffer(bundle, compile_and_run):
    program = """
        #include <cstdio>
        #include "model_settings.h"
        #include "person_detect_arena.h"
        static_assert(QuantizePixel(0) == -128 && QuantizePixel(255) == 127, "usable in constant expressions");
        int main() {
          std::printf("%d %d %d %d %d %d %d %s %s %.9g %d %.9g %d %d", kNumCols, kNumRows, kNumChannels, kMaxImageSize,
                      kCategoryCount, kPersonIndex, kNotAPersonIndex, kCategoryLabels[0], kCategoryLabels[1],
                      static_cast<double>(kInputScale), kInputZeroPoint, static_cast<double>(kOutputScale),
                      kOutputZeroPoint, kTensorArenaSize);
        }
    """
    assert compile_and_run(program) == (
        b"80 96 1 7680 2 1 0 not-person person 0.00784313772 -1 0.00390625 -128 87104"  # 87,097 rounded up
    )


@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++17", "-std=c++20"])
def test_headers_alone_compile_without_warnings(bundle, compile_object, standard):
    for header in bundle.glob("*.h"):
        source = header.with_suffix(".cc.tmp.cc")
        source.write_text(f'#include "{header.name}"\n#include "{header.name}"\n')
        compile_object(source, standard, "-Wpedantic", "-Wconversion", "-Wshadow")


def test_headers_drop_into_an_application_like_the_person_detection_example(bundle, compile_object):
    """The application defines its own arena constant in an unnamed namespace and uses it outside, as TFLM's does."""
    application = bundle / "main_functions.cc"
    application.write_text("""
        #include <cstddef>
        #include <cstdint>
        #include "model_settings.h"
        #include "person_detect_model_data.h"

        namespace tflite {
        struct Model {};
        inline const Model* GetModel(const void* buffer) { return static_cast<const Model*>(buffer); }
        struct Interpreter {
          Interpreter(const Model*, std::uint8_t*, std::size_t) {}
          std::int8_t input[kMaxImageSize];
          std::int8_t output[kCategoryCount];
        };
        }  // namespace tflite

        namespace {
        const tflite::Model* model = nullptr;
        tflite::Interpreter* interpreter = nullptr;
        constexpr int kTensorArenaSize = 136 * 1024;
        alignas(16) std::uint8_t tensor_arena[kTensorArenaSize];
        }  // namespace

        bool GetImage(int width, int height, int channels, std::int8_t* image) {
          static std::uint8_t camera[kNumRows][kNumCols * kNumChannels];
          for (int i = 0; i < width * height * channels; ++i) image[i] = QuantizePixel(camera[i / width][i % width]);
          return true;
        }

        void setup() {
          model = tflite::GetModel(g_person_detect_model_data);
          static tflite::Interpreter static_interpreter(model, tensor_arena, kTensorArenaSize);
          interpreter = &static_interpreter;
        }

        int loop(const char** name) {
          if (!GetImage(kNumCols, kNumRows, kNumChannels, interpreter->input)) return 0;
          const std::int8_t person_score = interpreter->output[kPersonIndex];
          const std::int8_t no_person_score = interpreter->output[kNotAPersonIndex];
          *name = kCategoryLabels[person_score > no_person_score ? kPersonIndex : kNotAPersonIndex];
          return person_score;
        }
    """)
    compile_object(application)


def test_labels_of_any_text_compile_and_print(tmp_path, compile_and_run):
    labels = ('kein "Fußgänger"\\', "fußgänger\u202e??/")
    spec = dataclasses.replace(SPEC, flatbuffer=b"TFL3", labels=labels, positive=labels[1], model="ends in a \\")
    for name, content in render_bundle(spec).items():
        (tmp_path / name).write_bytes(content)
    program = """
        #include <cstdio>
        #include "model_settings.h"
        #include "person_detect_arena.h"
        int main() { for (const char* label : kCategoryLabels) std::fputs(label, stdout); }
    """
    output = compile_and_run(program, tmp_path / "person_detect_model_data.cc")
    assert output == "".join(labels).encode()


def test_model_settings_other_positive_label_names_its_own_indices():
    spec = dataclasses.replace(SPEC, labels=("dining table", "not-dining table"), positive="dining table")
    text = render_bundle(spec)["model_settings.h"].decode()
    assert "constexpr int kDiningTableIndex = 0;" in text
    assert "constexpr int kNotADiningTableIndex = 1;" in text


@pytest.mark.parametrize(
    ("labels", "positive", "constants"),
    [
        (("background", "cat", "dog"), None, ("kBackgroundIndex", "kCatIndex", "kDogIndex")),
        (("no-pikachu", "pikachu"), None, ("kNoU002DpikachuIndex", "kPikachuIndex")),
        (("not-person", "adult", "child"), "not-person", ("kNotU002DpersonIndex", "kAdultIndex", "kChildIndex")),
    ],
)
def test_model_settings_without_a_positive_label_of_two_has_one_index_for_each(
    tmp_path, compile_and_run, labels, positive, constants
):  # fmt: skip
    output = SPEC.output.model_copy(update={"shape": (1, len(labels))})
    spec = dataclasses.replace(SPEC, flatbuffer=b"TFL3", labels=labels, positive=positive, output=output)
    for name, content in render_bundle(spec).items():
        (tmp_path / name).write_bytes(content)
    prints = "\n".join(f'  std::printf("%d %s\\n", {name}, kCategoryLabels[{name}]);' for name in constants)
    program = f"""
        #include <cstdio>
        #include "model_settings.h"
        #include "person_detect_arena.h"
        #include "person_detect_model_data.h"
        int main() {{
          std::printf("%d\\n", kCategoryCount);
        {prints}
        }}
    """
    printed = compile_and_run(program, tmp_path / "person_detect_model_data.cc").decode().splitlines()
    assert printed == [str(len(labels)), *(f"{index} {label}" for index, label in enumerate(labels))]
    assert (tmp_path / "model_settings.h").read_text().count("Index = ") == len(labels)


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("input", {"shape": (96, 96)}, "no full-integer image"),
        ("input", {"dtype": "float32", "scale": None, "zero_point": None}, "no full-integer image"),
        ("input", {"scale": 1 / 255, "zero_point": -128}, "QuantizePixel"),
        ("input", {"scale": 0.9 * 2 / 255, "zero_point": -1}, "QuantizePixel"),
        ("input", {"zero_point": 3}, "QuantizePixel"),
        ("output", {"shape": (1, 3)}, "output does not fit"),
        ("output", {"dtype": "float32"}, "output does not fit"),
    ],
)
def test_render_bundle_contract_that_does_not_fit_is_refused(field, changes, words):
    contract = getattr(SPEC, field).model_copy(update=changes)
    with pytest.raises(ReleaseError, match=words):
        render_bundle(dataclasses.replace(SPEC, **{field: contract}))


@pytest.mark.parametrize("zero_point", [-1, 0])
def test_render_bundle_both_zero_points_of_a_pinned_range_pass(zero_point):
    render_bundle(dataclasses.replace(SPEC, input=SPEC.input.model_copy(update={"zero_point": zero_point})))


@pytest.mark.parametrize(
    ("labels", "positive"),
    [(("person",), "person"), (("a", "b"), "person"), (("person", "person"), "person"), (("a", "b", "a"), None)],
)
def test_render_bundle_labels_that_are_not_distinct_or_lack_the_positive_one_are_refused(labels, positive):
    output = SPEC.output.model_copy(update={"shape": (1, len(labels))})
    with pytest.raises(ReleaseError, match="received labels="):
        render_bundle(dataclasses.replace(SPEC, labels=labels, positive=positive, output=output))


def test_render_bundle_label_that_is_no_identifier_is_refused_by_name():
    with pytest.raises(ReleaseError, match="received label=' cat'"):
        render_bundle(dataclasses.replace(SPEC, labels=("dog", " cat"), positive=None))
