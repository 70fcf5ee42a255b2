"""A detector's bundle as a whole: every file, both compilers, and its self test under the real interpreter."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.errors import ReleaseError
from components.pusher.c_bundle.render import render_bundle

ARRAY = re.compile(r"(\n +(0x|-?\d+,)[^\n]*)+")
SHORT = "\n        ... codes ..."


@pytest.fixture
def embedded(tflite_micro):
    return ("-fno-rtti", "-fno-exceptions", "-I", tflite_micro)


def test_files_are_those_of_a_classifier_and_the_search(detector_spec, spec):
    search = {"person_detect_detect.h", "person_detect_detect.c"}
    assert set(render_bundle(detector_spec)) == set(render_bundle(spec)) | search
    assert render_bundle(replace(detector_spec)) == render_bundle(detector_spec)


@pytest.mark.parametrize("name", ["detect.h", "detect.c", "settings.h", "self_test.cc", "README.md"])
def test_file_of_a_small_detector_reads_as_it_did(golden, detector_spec, name):
    kind = "detector" if len(detector_spec.outputs) == 2 else "detector_per_map"
    file = {"settings.h": "model_settings.h", "README.md": "README.md"}.get(name, f"person_detect_{name}")
    golden(f"c_bundle/{kind}_{name}", ARRAY.sub(SHORT, render_bundle(detector_spec)[file].decode()))


@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++17"])
def test_sources_and_headers_compile_without_warnings(detector_spec, write_bundle, toolchain, embedded, standard):
    bundle = write_bundle(detector_spec)
    sources, headers = sorted(bundle.glob("*.cc")), sorted(bundle.glob("*.h"))
    assert (len(sources), len(headers)) == (4, 7)
    twice = bundle / "headers_twice.cc"
    twice.write_text("".join(f'#include "{header.name}"\n' for header in headers * 2))
    for source in (*sources, twice):
        toolchain.compile(source, standard, *embedded)


@pytest.mark.parametrize("name", ["a", "person_detect", "sign_u0041", "zoo_camera_at_front_door"])
@pytest.mark.parametrize("threshold", [None, 0.45])
def test_sources_are_as_clang_format_would_write_them(detector_spec, write_bundle, name, threshold):
    tool = Path(sys.executable).with_name("clang-format")
    detector = replace(detector_spec.detector, threshold=threshold)
    folder = write_bundle(replace(detector_spec, name=name, detector=detector))
    files = [path for path in folder.iterdir() if path.suffix in (".h", ".c", ".cc")]
    command = [tool, "--style=Google", "--dry-run", "--Werror", *files]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("threshold", [None, 0.45])
def test_three_calls_of_the_readme_compile(detector_spec, write_bundle, toolchain, embedded, threshold):
    detector = replace(detector_spec.detector, threshold=threshold)
    folder = write_bundle(replace(detector_spec, detector=detector))
    (code,) = re.findall(r"```cpp\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert ("kPersonDetectThreshold" in code) == (threshold is not None)
    (folder / "application.cc").write_text(code)
    toolchain.compile(folder / "application.cc", "-std=c++11", *embedded)


def test_library_json_names_the_detector_and_its_c_source(detector_spec):
    library = json.loads(render_bundle(detector_spec)["library.json"])
    assert library["description"].startswith("The image detector ")
    assert library["build"]["srcFilter"][:2] == ["+<*.c>", "+<*.cc>"]


def test_settings_name_the_labels_without_the_background(detector_spec, write_bundle, compile_and_run):
    folder = write_bundle(detector_spec)
    program = """
        #include <cstdio>
        #include "model_settings.h"
        int main() { std::printf("%d %s %s", kLabelCount, kLabelNames[kCatIndex], kLabelNames[kTrafficLightIndex]); }
    """
    assert compile_and_run(program, folder / "model_settings.cc") == b"2 cat traffic light"


def test_self_test_under_the_real_interpreter_passes(detector_spec, write_bundle, run_self_test):
    code, said = run_self_test(write_bundle(detector_spec))
    lines = said.splitlines()
    assert (code, lines[-1]) == (0, "PASS")
    assert lines[1:-9] == ["input contract: ok"] + ["boxes contract: ok", "scores contract: ok"] * (
        len(detector_spec.outputs) // 2
    )
    golden = zip(*detector_spec.golden.outputs, strict=True)
    found = [len(detector_spec.decoder.decode(each[::2], each[1::2]).labels) for each in golden]
    assert max(found) > 3
    assert lines[-9:-1] == [
        f"vector {index}: codes ok, differ by 0; {count} detections ok" for index, count in enumerate(found)
    ]


@pytest.mark.parametrize(("tolerance", "exit_code", "verdict"), [(0, 1, "FAIL"), (1, 0, "PASS")])
def test_self_test_code_that_is_off_by_one_fails_unless_tolerated(
    detector_spec, write_bundle, run_self_test, tolerance, exit_code, verdict
):
    outputs = [codes.copy() for codes in detector_spec.golden.outputs]
    outputs[-1][5, -1, -1] += 1 if outputs[-1][5, -1, -1] < 127 else -1
    golden = replace(detector_spec.golden, outputs=tuple(outputs))
    code, said = run_self_test(
        write_bundle(replace(detector_spec, golden=golden)), f"-DVWW_SELF_TEST_TOLERANCE={tolerance}"
    )
    assert (code, said.splitlines()[-1]) == (exit_code, verdict)
    assert f"vector 5: codes {'ok' if tolerance else 'WRONG'}, differ by 1; " in said


def test_self_test_search_that_finds_others_fails_by_vector(detector_spec, write_bundle, run_self_test):
    bundle = write_bundle(detector_spec)
    source = bundle / "person_detect_detect.c"
    source.write_text(source.read_text().replace("kMaxIou = 16384", "kMaxIou = 32768"))
    code, said = run_self_test(bundle)
    assert (code, said.splitlines()[-1]) == (1, "FAIL")
    assert re.search(r"vector \d: codes ok, differ by 0; \d+ detections WRONG", said)


@pytest.mark.parametrize("number", [0, 1])
def test_self_test_output_of_another_contract_fails_by_name(detector_spec, write_bundle, run_self_test, number):
    outputs = list(detector_spec.outputs)
    outputs[number] = outputs[number].model_copy(update={"scale": outputs[number].scale * 1.001})
    code, said = run_self_test(write_bundle(replace(detector_spec, outputs=tuple(outputs))))
    assert (code, said.splitlines()[-2:]) == (1, [f"{('boxes', 'scores')[number]} contract: DIFFERS", "FAIL"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("background", "cat")}, "scores for 2 labels"),
        ({"labels": ("cat",)}, "holds a detector: received labels="),
        ({"positive": "cat"}, "positive='cat'"),
        ({"labels": ("background", "cat", "🐶")}, "received label='🐶'"),
    ],
)
def test_labels_that_do_not_fit_a_detector_are_refused(detector_spec, changes, words):
    with pytest.raises(ReleaseError, match=words):
        render_bundle(replace(detector_spec, **changes))


def test_outputs_that_do_not_fit_the_anchors_are_refused(detector_spec):
    detector = replace(detector_spec.detector, maps=detector_spec.detector.maps[:1])
    with pytest.raises(ReleaseError, match="outputs are not those of its 12 anchors"):
        render_bundle(replace(detector_spec, detector=detector))


def test_golden_vectors_of_another_detector_are_refused(detector_spec):
    golden = replace(detector_spec.golden, outputs=(np.zeros((8, 3, 4), np.int8), *detector_spec.golden.outputs[1:]))
    with pytest.raises(ReleaseError, match="golden vectors are not those of this model"):
        render_bundle(replace(detector_spec, golden=golden))
