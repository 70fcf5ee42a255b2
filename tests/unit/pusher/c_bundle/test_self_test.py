"""Runs the generated self test: with the interpreter of the tflite-micro wheel, and with a checkout where there is one.

The wheel's library exports the interpreter. The self test is compiled against the declarations in `tflite_micro/`,
which are laid out as that library is, and loaded beside it; nothing of the interpreter is imitated.
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.pusher.c_bundle.conftest import SELF_TEST_FLAGS

MICROLITE = "gen/*/lib/libtensorflow-microlite.a"
DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"


def test_self_test_under_the_real_interpreter_passes(bundle, spec, run_self_test):
    code, said = run_self_test(bundle)
    lines = said.splitlines()
    assert (code, lines[-1]) == (0, "PASS")
    assert lines[1:3] == ["input contract: ok", "output contract: ok"]
    assert lines[3:-1] == [
        f"vector {index}, {('not-person', 'person')[index % 2]}: ok, differs by 0" for index in range(8)
    ]
    used, given = (int(word) for word in lines[0].split() if word.isdigit())
    assert given == spec.tensor_arena_size
    assert 0 < used <= spec.arena_bytes


@pytest.mark.parametrize(("tolerance", "exit_code", "verdict"), [(0, 1, "FAIL"), (1, 0, "PASS")])
def test_self_test_code_that_is_off_by_one_fails_unless_tolerated(
    write_bundle, spec, run_self_test, tolerance, exit_code, verdict
):
    outputs = spec.golden.outputs[0].copy()
    outputs[5, 1] += 1 if outputs[5, 1] < 127 else -1
    bundle = write_bundle(replace(spec, golden=replace(spec.golden, outputs=(outputs,))))
    code, said = run_self_test(bundle, f"-DVWW_SELF_TEST_TOLERANCE={tolerance}")
    lines = said.splitlines()
    assert (code, lines[-1]) == (exit_code, verdict)
    assert f"vector 5, person: {'ok' if tolerance else 'WRONG'}, differs by 1" in lines
    assert sum(": ok, " in line for line in lines) == 7 + tolerance


def test_self_test_lent_arena_that_is_too_small_fails_in_words(bundle, run_self_test):
    code, said = run_self_test(bundle, arena_size=512)
    assert code == 1
    assert said.splitlines()[-2:] == ["arena: AllocateTensors() fails with 512 bytes", "FAIL"]


@pytest.mark.parametrize("what", ["input", "output"])
def test_self_test_array_of_another_contract_fails_by_name(write_bundle, spec, run_self_test, what):
    contract = spec.input if what == "input" else spec.outputs[0]
    changed = contract.model_copy(update={"scale": contract.scale * 1.001})
    changes = {"input": changed} if what == "input" else {"outputs": (changed,)}
    code, said = run_self_test(write_bundle(replace(spec, **changes)))
    assert (code, said.splitlines()[-2:]) == (1, [f"{what} contract: DIFFERS", "FAIL"])


def test_self_test_missing_operator_fails_in_words(write_bundle, spec, run_self_test):
    bundle = write_bundle(replace(spec, ops=spec.ops[:1]))
    code, said = run_self_test(bundle)
    assert (code, said.splitlines()[-1]) == (1, "FAIL")
    assert "SOFTMAX" in said


def test_self_test_built_with_a_checkout_passes(bundle, compiler):
    checkout = Path(os.environ.get("TFLITE_MICRO_DIR", ""))
    if "TFLITE_MICRO_DIR" not in os.environ:
        pytest.skip(
            "the environment variable TFLITE_MICRO_DIR is not set: expected the folder of a tflite-micro checkout in"
            " which `make -f tensorflow/lite/micro/tools/make/Makefile microlite` was run"
        )
    library = next(iter(sorted(checkout.glob(MICROLITE))), None)
    assert library is not None, "run `make -f tensorflow/lite/micro/tools/make/Makefile microlite` there first"
    downloads = [checkout / DOWNLOADS / part for part in ("flatbuffers/include", "gemmlowp", "ruy")]
    # Its headers have parameters that they do not use.
    includes = ["-I", bundle, *(f"-isystem{folder}" for folder in (checkout, *downloads))]
    options = [*SELF_TEST_FLAGS, "-DTF_LITE_STATIC_MEMORY", *includes]
    program = bundle / "self_test"
    subprocess.run([compiler, *options, *sorted(bundle.glob("*.cc")), library, "-lm", "-o", program], check=True)
    ran = subprocess.run([program], check=False, capture_output=True, text=True)
    assert (ran.returncode, (ran.stdout + ran.stderr).splitlines()[-1]) == (0, "PASS")


def test_golden_arrays_hold_the_pixels_and_codes(bundle, spec, compile_and_run):
    program = """
        #include <cstdio>
        #include "person_detect_golden.h"
        int main() {
          using namespace person_detect_model;
          std::fwrite(kGoldenPixels, 1, sizeof(kGoldenPixels), stdout);
          std::fwrite(kGoldenOutputs, 1, sizeof(kGoldenOutputs), stdout);
          for (int label : kGoldenLabels) std::fputc(label, stdout);
        }
    """
    printed = compile_and_run(program, bundle / "person_detect_golden.cc")
    pixels = (spec.golden.inputs.astype(np.int16) + 128).astype(np.uint8)
    assert printed == pixels.tobytes() + spec.golden.outputs[0].tobytes() + bytes(spec.golden.labels)
