import numpy as np
import pytest

from components.errors import ModelError
from components.quantization.contracts import TensorContract
from components.quantization.outputs import boxes_and_scores, output_order


@pytest.mark.parametrize(
    "names",
    [
        ("probabilities",),
        ("boxes", "scores"),
        ("boxes_0", "scores_0"),
        tuple(f"{name}_{number}" for number in range(12) for name in ("boxes", "scores")),
    ],
    ids=["classifier", "concatenated", "one map", "twelve maps"],
)
def test_output_order_is_that_of_the_contract_whatever_order_is_received(names):
    assert output_order(sorted(names)) == names
    assert output_order(names[::-1]) == names


@pytest.mark.parametrize(
    "names",
    [(), ("boxes", "logits"), ("boxes_0", "scores_0", "boxes_1"), ("boxes_0", "scores_0", "boxes_2", "scores_2")],
    ids=["none", "another name", "a pair incomplete", "a map left out"],
)
def test_output_order_names_that_are_no_detectors_are_refused(names):
    with pytest.raises(ModelError, match="neither one nor a detector's") as caught:
        output_order(names)
    assert "boxes_0, scores_0" in caught.value.expected


def test_boxes_and_scores_takes_arrays_and_contracts():
    arrays = [np.zeros((7, anchors, columns)) for anchors in (48, 12) for columns in (4, 2)]
    boxes, scores = boxes_and_scores(arrays)
    assert [box.shape for box in boxes] == [(7, 48, 4), (7, 12, 4)]
    assert [score.shape for score in scores] == [(7, 48, 2), (7, 12, 2)]
    contracts = [TensorContract(name="", shape=array.shape, dtype="int8") for array in arrays]
    assert boxes_and_scores(contracts) == ((contracts[0], contracts[2]), (contracts[1], contracts[3]))


@pytest.mark.parametrize(
    "shapes",
    [
        [],
        [(1, 2)],
        [(1, 48, 2), (1, 48, 4)],
        [(1, 48, 4), (1, 12, 2)],
        [(1, 48, 4), (1, 48, 2), (1, 12, 4)],
        [(1, 48, 4), (1, 48, 2), (1, 12, 4), (1, 12, 3)],
        [(1, 4), (1, 2)],
    ],
    ids=["none", "classifier", "swapped", "other anchors", "incomplete", "other labels", "rank"],
)
def test_boxes_and_scores_other_shapes_are_refused(shapes):
    with pytest.raises(ModelError, match="not a detector's"):
        boxes_and_scores([np.zeros(shape) for shape in shapes])
