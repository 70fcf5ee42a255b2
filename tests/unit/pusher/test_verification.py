import numpy as np
import pytest

from components.pusher.verification import verify_golden
from components.quantization.golden import Golden

VECTORS = np.zeros((2, 96, 96, 1), np.int8)


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        (VECTORS, "the golden vectors cannot be run: not a TensorFlow Lite flatbuffer"),
        (VECTORS[:1], "the golden vectors cannot be run: the golden vectors do not belong together"),
    ],
)
def test_verify_golden_release_whose_files_are_no_vectors_is_a_problem(store, stage, vectors, problem):
    files = Golden(("7", "8"), (0, 1), vectors, (vectors[:, 0, 0, :],)).files()
    staged = stage(payload={**files, "person_detect.tflite": b"no flatbuffer"})
    store.publish(*staged)
    found = verify_golden(store, store.read_manifest(staged.model, staged.version))
    assert [text.startswith(problem) for text in found] == [True]
