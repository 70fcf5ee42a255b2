import numpy as np
import pytest

from components.errors import ModelError
from components.quantization.feeding import check_feed
from components.quantization.flatbuffer import read_graph
from components.quantization.reference import Kernels, run_reference


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_run_reference_feeds_images_in_order(reshape_model, dtype):
    images = np.arange(12).reshape(3, 4).astype(dtype)
    (outputs,) = run_reference(reshape_model(dtype.upper()).build(), images)
    assert outputs.dtype == images.dtype
    np.testing.assert_array_equal(outputs, images)


@pytest.mark.parametrize("kernels", list(Kernels))
def test_run_reference_twice_gives_equal_bytes(shared_model, kernels):
    images = np.random.default_rng(0).integers(-128, 128, (3, 96, 96, 3)).astype(np.int8)
    (first,), (second,) = (run_reference(shared_model("vww_96_int8"), images, kernels=kernels) for _ in range(2))
    assert (first.dtype, first.shape) == (np.int8, (3, 2))
    np.testing.assert_array_equal(first, second)


def test_run_reference_without_images_gives_no_outputs(reshape_model):
    (outputs,) = run_reference(reshape_model().build(), np.zeros((0, 4), np.int8))
    assert outputs.shape == (0, 4)


def test_run_reference_model_for_tflm_only_is_a_model_error(shared_model):
    # One zero point for many scales: TFLite Micro reads it, LiteRT does not.
    with pytest.raises(ModelError, match=r"LiteRT refuses the flatbuffer.*quantized_dimension") as caught:
        run_reference(shared_model("person_detect"), np.zeros((1, 96, 96, 1), np.int8))
    assert "TFLite Micro only" in caught.value.hint


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 5), np.int8), np.zeros((2, 4), np.uint8), np.zeros(4, np.int8)],
    ids=["another size", "another dtype", "no batch"],
)
def test_check_feed_images_of_another_kind_are_refused(reshape_model, images):
    with pytest.raises(ModelError, match="do not fit the model") as caught:
        check_feed(read_graph(reshape_model().build()), images)
    assert "int8 [n, 4]" in caught.value.expected


@pytest.mark.parametrize("changes", [{"inputs": [0, 1]}, {"outputs": []}, {"inputs": []}])
def test_check_feed_more_inputs_or_no_tensors_are_refused(reshape_model, changes):
    with pytest.raises(ModelError, match=r"inputs=\d, outputs=\d") as caught:
        check_feed(read_graph(reshape_model(**changes).build()), np.zeros((1, 4), np.int8))
    assert caught.value.expected == "one input, and at least one output"


def test_check_feed_other_batch_is_refused(model_spec):
    with pytest.raises(ModelError, match="one image at a time"):
        check_feed(read_graph(model_spec("RELU", (2, 4), (2, 4))), np.zeros((2, 4), np.int8))
