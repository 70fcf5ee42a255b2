"""The bundle under both compilers and every standard that it promises, and as an application would use it."""

import re
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

STANDARDS = ("-std=c++11", "-std=c++17")
PEDANTIC = ("-Wpedantic", "-Wconversion", "-Wshadow")
PURE_C = ("person_detect_model_data.h", "person_detect_preprocess.h")


@pytest.fixture
def embedded(tflite_micro):
    """How TFLite Micro and what includes it are compiled."""
    return ("-fno-rtti", "-fno-exceptions", "-I", tflite_micro)


@pytest.mark.parametrize("standard", STANDARDS)
def test_sources_compile_without_warnings(bundle, toolchain, embedded, standard):
    sources = sorted(bundle.glob("*.cc"))
    assert len(sources) == 4
    for source in sources:
        toolchain.compile(source, standard, *embedded)


@pytest.mark.parametrize("standard", STANDARDS)
def test_headers_alone_and_twice_compile_without_warnings(bundle, toolchain, embedded, standard):
    headers = sorted(bundle.glob("*.h"))
    assert len(headers) == 6
    for header in headers:
        source = bundle / f"{header.stem}_twice.cc"
        source.write_text(f'#include "{header.name}"\n#include "{header.name}"\n')
        strict = () if header.stem.endswith("op_resolver") else PEDANTIC  # that one includes TFLite Micro's own
        toolchain.compile(source, standard, *strict, *embedded)


@pytest.mark.parametrize("header", PURE_C)
def test_pure_c_headers_compile_as_c99(bundle, toolchain, header):
    source = bundle / "pure.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\n')
    toolchain.compile(source, "-std=c99", *PEDANTIC)


def test_bundle_of_three_labels_in_colour_compiles_too(of_labels, write_bundle, toolchain, embedded):
    folder = write_bundle(of_labels(("background", "cat", "traffic light"), None, channels=3))
    for source in folder.glob("*.cc"):
        toolchain.compile(source, "-std=c++11", *embedded)


def test_model_data_object_file_holds_the_flatbuffer_aligned_and_read_only(bundle, spec, toolchain):
    compiled = toolchain.compile(bundle / "person_detect_model_data.cc", "-std=c++17")
    copy = [f"{toolchain.prefix}objcopy", "-O", "binary", "-j", ".rodata", compiled, bundle / "rodata"]
    subprocess.run(copy, check=True)
    symbols = subprocess.run(
        [f"{toolchain.prefix}nm", "-S", compiled], check=True, capture_output=True, text=True
    ).stdout
    # "0000000000000020 0000000000049618 R g_person_detect_model_data"; R is the read-only section.
    found = {name: (int(at, 16), int(size, 16)) for at, size, _, name in map(str.split, symbols.splitlines())}
    assert " R g_person_detect_model_data\n" in symbols

    rodata = (bundle / "rodata").read_bytes()
    at, size = found["g_person_detect_model_data"]
    assert rodata[at : at + size] == spec.flatbuffer
    assert at % 16 == 0
    at, size = found["g_person_detect_model_data_size"]
    assert struct.unpack("<I", rodata[at : at + size]) == (len(spec.flatbuffer),)


def test_model_data_linked_program_sees_alignment_and_size(bundle, spec, compile_and_run):
    program = """
        #include <cstdint>
        #include <cstdio>
        #include "person_detect_model_data.h"
        int main() {
          std::printf("%u %u", static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(g_person_detect_model_data) % 16),
                      g_person_detect_model_data_size);
        }
    """
    printed = compile_and_run(program, bundle / "person_detect_model_data.cc").decode()
    assert printed == f"0 {len(spec.flatbuffer)}"


def test_no_source_has_static_constructors_or_writable_tables(bundle, toolchain, embedded):
    for name in ("model_settings", "person_detect_golden", "person_detect_model_data"):
        compiled = toolchain.compile(bundle / f"{name}.cc", "-std=c++17", "-fno-pie", *embedded)
        symbols = subprocess.run([f"{toolchain.prefix}nm", compiled], check=True, capture_output=True, text=True).stdout
        assert re.search(r" [tT] .*_GLOBAL_|_init_array| [dDbB] ", symbols) is None, symbols


@pytest.mark.parametrize(("flags", "has_arena"), [((), True), (("-DVWW_SELF_TEST_NO_MAIN",), False)])
def test_self_test_has_an_arena_of_its_own_only_as_a_program(bundle, spec, toolchain, embedded, flags, has_arena):
    compiled = toolchain.compile(bundle / "person_detect_self_test.cc", "-std=c++11", *flags, *embedded)
    symbols = subprocess.run(
        [f"{toolchain.prefix}nm", "-S", compiled], check=True, capture_output=True, text=True
    ).stdout
    # "0000000000000000 0000000000001b60 b _ZN12_GLOBAL__N_112tensor_arenaE"; b is memory without a value.
    sizes = [int(size, 16) for size in re.findall(r"^\w+ (\w+) [bB] ", symbols, re.MULTILINE)]
    assert sizes == ([spec.tensor_arena_size] if has_arena else [])
    assert (" T main\n" in symbols) == has_arena


@pytest.mark.parametrize("name", ["a", "person_detect", "zoo_camera_at_front_door"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sources_are_as_clang_format_would_write_them(of_labels, write_bundle, name, channels):
    tool = Path(sys.executable).with_name("clang-format")
    folder = write_bundle(replace(of_labels(("not-person", "person"), "person", channels), name=name))
    files = [*folder.glob("*.h"), *folder.glob("*.cc")]
    command = [tool, "--style=Google", "--dry-run", "--Werror", *files]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("has_operating_point", [True, False])
def test_three_calls_of_the_readme_compile(write_bundle, spec, toolchain, embedded, has_operating_point):
    folder = write_bundle(spec if has_operating_point else replace(spec, operating_point=None))
    (code,) = re.findall(r"```cpp\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert code.count("#include") == 9
    (folder / "application.cc").write_text(code)
    toolchain.compile(folder / "application.cc", "-std=c++11", *embedded)


def test_application_like_the_person_detection_example_compiles_unchanged(bundle, toolchain, embedded):
    """It defines an arena constant of its own in an unnamed namespace, and finds the headers where TFLM has them."""
    lite = bundle / "tree" / "tensorflow" / "lite" / "micro"
    for name, folder in (
        ("model_settings.h", lite / "examples" / "person_detection"),
        ("person_detect_model_data.h", lite / "models"),
    ):
        folder.mkdir(parents=True)
        shutil.copy(bundle / name, folder)
    application = bundle / "main_functions.cc"
    application.write_text("""
        #include "tensorflow/lite/micro/examples/person_detection/model_settings.h"
        #include "tensorflow/lite/micro/micro_interpreter.h"
        #include "tensorflow/lite/micro/micro_log.h"
        #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
        #include "tensorflow/lite/micro/models/person_detect_model_data.h"
        #include "tensorflow/lite/micro/system_setup.h"
        #include "tensorflow/lite/schema/schema_generated.h"

        namespace {
        tflite::MicroInterpreter* interpreter = nullptr;
        constexpr int kTensorArenaSize = 136 * 1024;
        alignas(16) uint8_t tensor_arena[kTensorArenaSize];
        }  // namespace

        TfLiteStatus GetImage(int width, int height, int channels, int8_t* image);
        void RespondToDetection(int8_t person_score, int8_t no_person_score);

        void setup() {
          tflite::InitializeTarget();
          const tflite::Model* model = tflite::GetModel(g_person_detect_model_data);
          if (model->version() != TFLITE_SCHEMA_VERSION) return;
          static tflite::MicroMutableOpResolver<2> resolver;
          resolver.AddFullyConnected();
          resolver.AddSoftmax();
          static tflite::MicroInterpreter static_interpreter(model, resolver, tensor_arena, kTensorArenaSize);
          interpreter = &static_interpreter;
          if (interpreter->AllocateTensors() != kTfLiteOk) MicroPrintf("AllocateTensors() failed");
        }

        void loop() {
          static int8_t copy[kMaxImageSize];
          if (GetImage(kNumCols, kNumRows, kNumChannels, copy) != kTfLiteOk) return;
          if (interpreter->Invoke() != kTfLiteOk) MicroPrintf("Invoke failed.");
          TfLiteTensor* output = interpreter->output(0);
          const int8_t person_score = output->data.int8[kPersonIndex];
          const int8_t no_person_score = output->data.int8[kNotAPersonIndex];
          RespondToDetection(person_score, no_person_score);
          MicroPrintf("%s", kCategoryLabels[person_score > no_person_score ? kPersonIndex : kNotAPersonIndex]);
        }
    """)
    toolchain.compile(application, "-std=c++17", "-I", bundle / "tree", *embedded)


@pytest.mark.parametrize("with_self_test", [False, True])
def test_cmake_builds_the_library_and_on_request_the_self_test(
    bundle, require_tool, tflite_micro, tmp_path, with_self_test
):
    cmake, _ = require_tool("cmake", "cmake"), require_tool("g++", "g++")
    application = tmp_path / "application"
    application.mkdir()
    (application / "main.cc").write_text(
        '#include "model_settings.h"\n#include "person_detect_model_data.h"\n'
        "int main() { return g_person_detect_model_data[0] == 0 || kCategoryLabels[kPersonIndex][0] != 'p'; }\n"
    )
    (application / "CMakeLists.txt").write_text(f"""
        cmake_minimum_required(VERSION 3.16)
        project(application LANGUAGES CXX)
        enable_testing()
        # Objects only: the interpreter's library is not linked here.
        add_library(micro INTERFACE)
        target_include_directories(micro INTERFACE "{tflite_micro}")
        target_link_options(micro INTERFACE -Wl,--unresolved-symbols=ignore-all)
        add_subdirectory({bundle} person_detect)
        add_executable(application main.cc)
        target_link_libraries(application PRIVATE person_detect_model)
        add_test(NAME application COMMAND application)
    """)
    build = tmp_path / "build"
    target = ["-DVWW_TFLITE_MICRO_TARGET=micro"] if with_self_test else []
    for command in (["-S", application, "-B", build, *target], ["--build", build]):
        subprocess.run([cmake, *command], check=True, capture_output=True)
    subprocess.run([build / "application"], check=True)
    assert (build / "person_detect" / "person_detect_self_test").is_file() == with_self_test
