import hashlib
from dataclasses import replace

import numpy as np
import pytest

from components import pixels
from components.errors import ModelError
from components.quantization.golden import INPUTS_FILE, Golden, rerun_golden, select_golden
from components.quantization.tflm import run_under_tflm

LIMIT_S = 60
INPUTS = np.arange(12, dtype=np.int8).reshape(3, 4)
GOLDEN = Golden(source_ids=("7", "139", "x"), labels=(0, 1, 0), inputs=INPUTS, outputs=(INPUTS,))


def test_select_golden_order_of_the_images_does_not_matter():
    ids, labels = [str(number) for number in range(40)], [number % 3 for number in range(40)]
    chosen = [ids[index] for index in select_golden(ids, labels, 8)]
    assert chosen == [ids[::-1][index] for index in select_golden(ids[::-1], labels[::-1], 8)]
    assert len(set(chosen)) == 8


def test_select_golden_labels_take_turns_and_digests_decide_within_one():
    ids, labels = [str(number) for number in range(40)], [int(number > 2) for number in range(40)]
    chosen = select_golden(ids, labels, 8)
    assert [labels[index] for index in chosen] == [0, 1, 0, 1, 0, 1, 1, 1]
    ones = [hashlib.sha256(ids[index].encode()).hexdigest() for index in chosen if labels[index] == 1]
    assert ones == sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(3, 40))[:5]


def test_select_golden_more_labels_than_wanted_gives_one_of_each():
    assert sorted(select_golden([str(label) for label in range(20)], list(range(20)), 8)) == list(range(20))


def test_select_golden_fewer_images_than_wanted_gives_all():
    assert sorted(select_golden(["a", "b", "c"], [0, 1, 0], 8)) == [0, 1, 2]


def test_golden_files_are_the_same_bytes_and_read_back():
    files = GOLDEN.files()
    assert files == GOLDEN.files()
    read = Golden.from_files(GOLDEN.source_ids, GOLDEN.labels, 1, files.__getitem__)
    np.testing.assert_array_equal(read.inputs, INPUTS)
    np.testing.assert_array_equal(read.outputs, (INPUTS,))
    assert (read.inputs.dtype, read.source_ids) == (np.int8, GOLDEN.source_ids)


def test_golden_files_of_one_vector_too_few_are_refused():
    with pytest.raises(ModelError, match=r"'golden_inputs\.npy': 3, 'golden_outputs\.npy': 3"):
        Golden.from_files(("7", "139"), (0, 1), 1, GOLDEN.files().__getitem__)


@pytest.mark.parametrize("content", [b"", b"\x80\x04junk that numpy would unpickle"])
def test_golden_files_that_hold_no_arrays_are_refused(content):
    files = {**GOLDEN.files(), INPUTS_FILE: content}
    with pytest.raises(ModelError, match=f"{INPUTS_FILE}, .* cannot be read"):
        Golden.from_files(GOLDEN.source_ids, GOLDEN.labels, 1, files.__getitem__)


def test_rerun_golden_same_answers_is_no_problem(reshape_model):
    assert rerun_golden(reshape_model().build(), GOLDEN, time_limit_s=LIMIT_S) == []


def test_rerun_golden_another_answer_is_named(reshape_model):
    outputs = INPUTS.copy()
    outputs[1, 2] += 1
    changed = Golden(GOLDEN.source_ids, GOLDEN.labels, INPUTS, (outputs,))
    (problem,) = rerun_golden(reshape_model().build(), changed, time_limit_s=LIMIT_S)
    assert problem == "golden vector 1 (image 139): answered [4, 5, 6, 7] instead of [4, 5, 7, 7]"


def test_rerun_golden_several_outputs_name_the_one_that_differs(detector, detector_rasters):
    codes = pixels.quantize(detector_rasters[:2])
    boxes, scores = run_under_tflm(detector("pixels"), codes, time_limit_s=LIMIT_S).outputs
    golden = Golden(("7", "139"), (1, 1), codes, (boxes, scores))
    files = golden.files()
    assert [*files] == [INPUTS_FILE, "golden_outputs_0.npy", "golden_outputs_1.npy"]
    read = Golden.from_files(golden.source_ids, golden.labels, 2, files.__getitem__)
    assert rerun_golden(detector("pixels"), read, time_limit_s=LIMIT_S) == []
    scores[1, 5:8] += 1
    (problem,) = rerun_golden(detector("pixels"), golden, time_limit_s=LIMIT_S)
    assert problem == "golden vector 1 (image 139), output 1: 6 of 120 codes are others"


def test_rerun_golden_model_of_more_outputs_is_refused(detector):
    with pytest.raises(ModelError, match="the golden vectors have 1 outputs, the model has 2"):
        rerun_golden(detector("pixels"), GOLDEN, time_limit_s=LIMIT_S)


def test_rerun_golden_model_that_micro_refuses_is_a_problem(reshape_model):
    spec = reshape_model()
    spec.operators[0].name = "HASHTABLE_SIZE"
    (problem,) = rerun_golden(spec.build(), GOLDEN, time_limit_s=LIMIT_S)
    assert problem.startswith("the golden vectors cannot be run: TFLite Micro: Didn't find op")


def test_rerun_golden_model_of_another_shape_is_refused(reshape_model):
    with pytest.raises(ModelError, match="the images do not fit"):
        rerun_golden(reshape_model().build(), replace(GOLDEN, inputs=INPUTS[:, :3]), time_limit_s=LIMIT_S)
