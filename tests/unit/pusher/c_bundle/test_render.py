import hashlib
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.errors import ReleaseError
from components.pusher.c_bundle.render import render_bundle
from components.quantization.records import OpUse


def test_render_bundle_same_spec_gives_same_bytes_and_no_clock(spec):
    first = render_bundle(spec)
    assert set(first) == {
        "person_detect_model_data.h",
        "person_detect_model_data.cc",
        "model_settings.h",
        "model_settings.cc",
        "person_detect_op_resolver.h",
        "person_detect_arena.h",
        "person_detect_preprocess.h",
        "person_detect_golden.h",
        "person_detect_golden.cc",
        "person_detect_self_test.cc",
        "CMakeLists.txt",
        "library.json",
        "README.md",
    }
    assert render_bundle(replace(spec)) == first


def test_render_bundle_of_300_kb_is_fast(spec):
    start = time.perf_counter()
    render_bundle(replace(spec, flatbuffer=bytes(300_568)))
    assert time.perf_counter() - start < 1.0


def test_render_bundle_every_source_says_where_it_came_from(spec):
    for name, content in render_bundle(spec).items():
        text = content.decode("ascii")
        assert text.endswith("\n")
        assert all(line == line.rstrip() for line in text.splitlines())
        if name.endswith((".h", ".cc")):
            assert 'vww "0.1.0"' in text
            assert '"vww_mobilenet_v1_025_96_gray"' in text
            assert hashlib.sha256(spec.flatbuffer).hexdigest() in text
            assert all(len(line) <= 80 for line in text.splitlines())


def test_model_settings_constants_are_those_of_the_flatbuffer(bundle, spec, compile_and_run):
    program = """
        #include <cstdio>
        #include "model_settings.h"
        #include "person_detect_arena.h"
        int main() {
          std::printf("%d %d %d %d %d %d %d %s %s %.9g %d %.9g %d %.9g %d %d", kNumCols, kNumRows, kNumChannels,
                      kMaxImageSize, kCategoryCount, kPersonIndex, kNotAPersonIndex, kCategoryLabels[0],
                      kCategoryLabels[1], double{kInputScale}, kInputZeroPoint, double{kOutputScale}, kOutputZeroPoint,
                      double{kPersonThreshold}, kPersonThresholdCode, kTensorArenaSize);
        }
    """
    assert spec.tensor_arena_size % 16 == 0
    assert 0 <= spec.tensor_arena_size - spec.arena_bytes - spec.arena_margin_bytes < 16
    assert compile_and_run(program, bundle / "model_settings.cc").decode() == (
        f"6 8 1 48 2 1 0 not-person person 0.00784313772 -1 0.00390625 -128 0.546875 12 {spec.tensor_arena_size}"
    )


def test_model_settings_without_an_operating_point_have_no_threshold(spec):
    files = render_bundle(replace(spec, operating_point=None))
    assert b"Threshold" not in files["model_settings.h"]
    assert b"Threshold" not in files["README.md"]
    assert b"int Classify()" in files["README.md"]


def test_library_json_leaves_golden_vectors_and_self_test_out(spec):
    library = json.loads(render_bundle(spec)["library.json"])
    assert library["name"] == "person_detect"
    assert library["version"] == f"0.1.0+{hashlib.sha256(spec.flatbuffer).hexdigest()[:12]}"
    assert library["build"]["srcFilter"] == ["+<*.cc>", "-<person_detect_golden.cc>", "-<person_detect_self_test.cc>"]


def test_platformio_lines_of_the_readme_add_what_library_json_leaves_out(bundle, tmp_path_factory):
    project = tmp_path_factory.mktemp("project")
    (project / "src").mkdir()
    shutil.copytree(bundle, project / "lib" / "person_detect")
    (ini,) = re.findall(r"```ini\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    # PlatformIO looks from the folder of the application's sources.
    everything, *added = re.findall(r"\+<([^>]+)>", ini)
    found = {Path(pattern).name for pattern in added if (project / "src" / pattern).is_file()}
    filters = json.loads((bundle / "library.json").read_text())["build"]["srcFilter"]
    left_out = re.findall(r"-<([^>]+)>", " ".join(filters))
    assert (everything, found) == ("*", set(left_out))
    assert "build_flags = -DVWW_SELF_TEST_NO_MAIN\n" in ini


def test_labels_of_any_text_compile_and_print(of_labels, write_bundle, compile_and_run):
    labels = ('kein "Fußgänger"\\', "fußgänger\u202e??/")
    spec = replace(of_labels(labels, labels[1]), model="ends in a \\")
    folder = write_bundle(spec)
    program = """
        #include <cstdio>
        #include "model_settings.h"
        #include "person_detect_arena.h"
        int main() { for (const char* label : kCategoryLabels) std::fputs(label, stdout); }
    """
    sources = [folder / "model_settings.cc", folder / "person_detect_golden.cc", folder / "person_detect_model_data.cc"]
    assert compile_and_run(program, *sources) == "".join(labels).encode()


def test_model_settings_other_positive_label_names_its_own_indices(of_labels):
    text = render_bundle(of_labels(("dining table", "not-dining table"), "dining table"))["model_settings.h"].decode()
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
    of_labels, write_bundle, compile_and_run, labels, positive, constants
):
    folder = write_bundle(of_labels(labels, positive))
    prints = "\n".join(f'  std::printf("%d %s\\n", {name}, kCategoryLabels[{name}]);' for name in constants)
    program = f"""
        #include <cstdio>
        #include "model_settings.h"
        int main() {{
          std::printf("%d\\n", kCategoryCount);
        {prints}
        }}
    """
    printed = compile_and_run(program, folder / "model_settings.cc").decode().splitlines()
    assert printed == [str(len(labels)), *(f"{index} {label}" for index, label in enumerate(labels))]
    assert (folder / "model_settings.h").read_text().count("Index = ") == len(labels)


def test_render_bundle_golden_vectors_of_another_model_are_refused(spec):
    golden = replace(spec.golden, inputs=np.zeros((8, 4, 4, 1), np.int8))
    with pytest.raises(ReleaseError, match="golden vectors are not those of this model"):
        render_bundle(replace(spec, golden=golden))


def test_render_bundle_operators_without_a_method_are_refused_by_name(spec):
    ops = (*spec.ops, OpUse(name="ERF", version=1, count=1), OpUse(name="MyOp", version=1, count=1, custom=True))
    with pytest.raises(ReleaseError, match=r"received ERF, MyOp \(custom\)"):
        render_bundle(replace(spec, ops=ops))


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("input", {"shape": (96, 96)}, "no full-integer image"),
        ("input", {"dtype": "float32", "scale": None, "zero_point": None}, "no full-integer image"),
        ("input", {"shape": (1, 8, 6, 4)}, "neither one channel nor three"),
        ("input", {"scale": 1 / 255, "zero_point": -128}, "pixel - 128"),
        ("input", {"scale": 0.9 * 2 / 255, "zero_point": -1}, "pixel - 128"),
        ("input", {"zero_point": 3}, "pixel - 128"),
        ("outputs", {"shape": (1, 3)}, "output does not fit"),
        ("outputs", {"dtype": "float32"}, "output does not fit"),
    ],
)
def test_render_bundle_contract_that_does_not_fit_is_refused(spec, field, changes, words):
    contract = (spec.input if field == "input" else spec.outputs[0]).model_copy(update=changes)
    with pytest.raises(ReleaseError, match=words):
        render_bundle(replace(spec, **{field: contract if field == "input" else (contract,)}))


@pytest.mark.parametrize("zero_point", [-1, 0])
def test_render_bundle_both_zero_points_of_a_pinned_range_pass(spec, zero_point):
    render_bundle(replace(spec, input=spec.input.model_copy(update={"zero_point": zero_point})))


@pytest.mark.parametrize(
    ("labels", "positive"),
    [(("person",), "person"), (("a", "b"), "person"), (("person", "person"), "person"), (("a", "b", "a"), None)],
)
def test_render_bundle_labels_that_are_not_distinct_or_lack_the_positive_one_are_refused(spec, labels, positive):
    output = spec.outputs[0].model_copy(update={"shape": (1, len(labels))})
    with pytest.raises(ReleaseError, match="received labels="):
        render_bundle(replace(spec, labels=labels, positive=positive, outputs=(output,)))


def test_render_bundle_label_that_is_no_identifier_is_refused_by_name(spec):
    with pytest.raises(ReleaseError, match="received label='🐈'"):
        render_bundle(replace(spec, labels=("dog", "🐈"), positive=None))
