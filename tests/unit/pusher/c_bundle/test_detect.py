"""The generated search: bit for bit the Python decoder's, without undefined behaviour, under both compilers."""

import itertools
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from components.detection.anchors import AnchorMap, lay_anchors
from components.detection.fixed_decoder import FixedDecoder
from components.detection.fixed_point import to_q15
from components.detection.options import AnchorOptions, DecoderOptions
from components.pusher.c_bundle.spec import DetectorSpec
from components.quantization.contracts import TensorContract
from components.quantization.golden import Golden
from tests.c_detector import WARNINGS, compile_detector

SANITIZED = ("-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
SMALL = lay_anchors(AnchorOptions(), (6, 3, 2, 1))
PUBLISHED = lay_anchors(AnchorOptions(), (19, 10, 5, 3, 2, 1))
OBLONG = (AnchorMap(3, 5, ((0.1, 3.9), (0.02, 0.02))), AnchorMap(1, 1, ((1.0, 1.0),)))


def contracts(maps, labels, quantization, *, is_per_map):
    """Of boxes and scores in turn; scales rise from map to map, so that their codes mean different logits."""
    counts = [each.count for each in maps] if is_per_map else [sum(each.count for each in maps)]
    (box_scale, box_zero), (score_scale, score_zero) = quantization
    return tuple(
        TensorContract(name="", shape=(1, count, width), dtype="int8", scale=scale * (1 + 0.3 * n), zero_point=zero)
        for n, count in enumerate(counts)
        for width, scale, zero in ((4, box_scale, box_zero), (labels, score_scale, score_zero))
    )


@pytest.fixture
def make_spec(spec):
    """A bundle of a detector that nobody trained."""

    def make(maps, labels, quantization, options, *, is_per_map=False):
        outputs = contracts(maps, labels, quantization, is_per_map=is_per_map)
        golden = tuple(np.zeros(each.shape, np.int8) for each in outputs)
        return replace(
            spec,
            labels=("background", *(f"label {n}" for n in range(labels))),
            positive=None,
            operating_point=None,
            outputs=outputs,
            golden=Golden(("139",), (0,), spec.golden.inputs[:1], golden),
            detector=DetectorSpec(tuple(maps), options, threshold=None),
        )

    return make


def draw(outputs, seed, images):
    """Codes of many kinds of images: like a trained model's, uniform, all equal, at the ends, of few values."""
    random = np.random.default_rng(seed)
    drawn = []
    for number, each in enumerate(outputs):
        shape = each.shape[1:]
        kinds = [
            lambda shape=shape, n=number: random.normal(-70 if n % 2 else 0, 30, shape),
            lambda shape=shape: random.integers(-128, 128, shape),
            lambda shape=shape: np.full(shape, random.integers(-128, 128)),
            lambda shape=shape: random.choice([-128, 127], shape),
            lambda shape=shape: np.full(shape, 127),
            lambda shape=shape: random.integers(100, 103, shape),
            lambda shape=shape: np.where(random.random(shape) < 0.02, 120, -128),
        ]
        drawn.append(np.stack([kinds[n % len(kinds)]() for n in range(images)]).clip(-128, 127).astype(np.int8))
    for codes in drawn[::2]:
        random.shuffle(codes)  # boxes of one kind with scores of every kind
    return drawn


def check_same(found, expected):
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.scores.tolist() == expected.scores.tolist()
    assert found.boxes_yxyx.tolist() == expected.boxes_yxyx.tolist()


USUAL = ((0.05, 3), (0.06, 40))
CASES = {
    "one label": (SMALL, 1, USUAL, DecoderOptions(), False, 700),
    "three labels": (SMALL, 3, USUAL, DecoderOptions(max_iou=0.3, max_detections=20), False, 350),
    "a map each": (SMALL, 3, USUAL, DecoderOptions(min_score=0.3, max_candidates=30), True, 350),
    "wild scales": (SMALL, 2, ((40.0, 127), (1e-7, -128)), DecoderOptions(), True, 210),
    "huge scales": (OBLONG, 2, ((1e9, -128), (1e9, 127)), DecoderOptions(max_iou=0.0), False, 350),
    "oblong": (OBLONG, 5, ((0.1, -10), (0.2, 0)), DecoderOptions(max_iou=1.0, max_candidates=7), True, 700),
    "every anchor": (SMALL, 1, USUAL, DecoderOptions(min_score=2**-16, max_candidates=1000), False, 140),
    "one candidate": (SMALL, 2, USUAL, DecoderOptions(max_candidates=1, max_detections=1), False, 350),
    "published": (PUBLISHED, 90, USUAL, DecoderOptions(), False, 14),
}


@pytest.mark.parametrize("case", CASES)
def test_detect_finds_what_python_finds_bit_for_bit(make_spec, write_bundle, require_tool, tmp_path, case):
    require_tool("gcc", "gcc")
    maps, labels, quantization, options, is_per_map, images = CASES[case]
    spec = make_spec(maps, labels, quantization, options, is_per_map=is_per_map)
    codes = draw(spec.outputs, sorted(CASES).index(case), images)
    detector = compile_detector(write_bundle(spec), spec.name, codes, tmp_path / "harness", *SANITIZED)
    found = detector.detect(codes, to_q15(options.min_score), 1000)
    decoder = spec.decoder
    for index, each in enumerate(zip(*codes, strict=True)):
        check_same(found[index], decoder.decode_to_integers(each[::2], each[1::2]))
    assert len(found) == images
    assert sum(len(each.labels) for each in found) > images // 2


def test_detect_capacity_and_score_of_the_call_are_those_of_the_options(
    detector_spec, write_bundle, require_tool, tmp_path
):
    require_tool("gcc", "gcc")
    codes = draw(detector_spec.outputs, 1, 70)
    detector = compile_detector(
        write_bundle(detector_spec), detector_spec.name, codes, tmp_path / "harness", *SANITIZED
    )
    assert [len(each.labels) for each in detector.detect(codes, 0, 0)] == [0] * 70
    for capacity, min_score in itertools.product((1, 7, 28, 5000), (1e-9, 0.3, 0.9, 1.0)):
        found = detector.detect(codes, to_q15(min_score), capacity)
        changed = {"min_score": min_score, "max_detections": min(capacity, 1000)}
        options = detector_spec.detector.options.model_copy(update=changed)
        decoder = FixedDecoder(detector_spec.decoder.outputs, options)
        for index, each in enumerate(zip(*codes, strict=True)):
            check_same(found[index], decoder.decode_to_integers(each[::2], each[1::2]))


def test_detect_compiles_without_warnings_as_c99_and_has_no_heap_floats_or_writable_memory(
    detector_spec, write_bundle, toolchain
):
    source = write_bundle(detector_spec) / "person_detect_detect.c"
    # Without a unit for floating point, each float would be a call.
    soft = ("-mfloat-abi=soft",) if toolchain.prefix else ()
    compiled = toolchain.compile(source, "-Os", "-fno-pie", *WARNINGS, *soft)
    symbols = subprocess.run([f"{toolchain.prefix}nm", compiled], check=True, capture_output=True, text=True).stdout
    names = dict(reversed(line.split()[-2:]) for line in symbols.splitlines())
    assert names.pop("person_detect_detect") == "T"
    called = {name for name, kind in names.items() if kind == "U"}
    assert called <= {"memcpy", "memmove", "__stack_chk_fail"}, called
    assert set(names.values()) <= {"U", "t", "r"}


@pytest.mark.parametrize("language", ["c", "cc"])
def test_detect_header_works_in_c_and_cpp_beside_that_of_another_bundle(
    detector_spec, write_bundle, toolchain, language
):
    write_bundle(replace(detector_spec, name="other"))
    source = write_bundle(detector_spec) / f"both.{language}"
    arguments = "0, 0, kOtherMinScore, found, 8, &workspace"
    source.write_text(f"""
        #include "other_detect.h"
        #include "person_detect_detect.h"
        static OtherWorkspace workspace;
        int Find(VwwDetection* found);
        int Find(VwwDetection* found) {{
          return other_detect({arguments}) + vww_pixels(found[0].box.xmax, 96) + kPersonDetectMaxDetections;
        }}
    """)
    standard = "-std=c99" if language == "c" else "-std=c++17"
    toolchain.compile(source, standard, "-pedantic", "-Wconversion", "-Wshadow")


def test_vww_pixels_rounds_an_edge_to_rows_or_columns(detector_spec, write_bundle, compile_and_run):
    write_bundle(detector_spec)
    program = """
        #include <cstdio>
        #include "person_detect_detect.h"
        int main() {
          const uint16_t shares[] = {0, 170, 171, 16384, 32768};
          for (uint16_t share : shares) {
            const int few = vww_pixels(share, 96), many = vww_pixels(share, 65535);
            std::printf("%d %d ", few, many);
          }
        }
    """
    assert compile_and_run(program).split() == b"0 0 0 340 1 342 48 32768 96 65535".split()
