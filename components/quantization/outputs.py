"""Which output of a model is which: by name in a signature, by order in a flatbuffer, whose names may be gone.

A classifier has one output. A detector has `boxes` and `scores`, or for each of its feature maps `boxes_0`, `scores_0`,
`boxes_1`, ..., and its flatbuffers hold them in that very order.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from components import features
from components.errors import ModelError
from components.quantization.flatbuffer import read_graph


class Shaped(Protocol):
    """An array, or the contract of a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""


Output = TypeVar("Output", bound=Shaped)


def output_order(names: Collection[str]) -> tuple[str, ...]:
    """The names of a signature's outputs in the order of the contract.

    Raises:
      ModelError: when there are several, and they are not those of a detector.
    """
    if len(names) == 1:
        return tuple(names)
    pair = (features.ENCODED_BOXES, features.SCORE_LOGITS)
    by_map = tuple(f"{name}_{number}" for number in range(len(names) // 2) for name in pair)
    for expected in (pair, by_map):
        if names and set(names) == set(expected):
            return expected
    raise ModelError(
        f"the signature's outputs are neither one nor a detector's: received {', '.join(sorted(names)) or 'none'}.",
        expected=f"one output, or {', '.join(pair)}, or {', '.join(f'{name}_0' for name in pair)} and so on",
        hint="name the outputs of the signature as components/features.py does",
    )


def boxes_and_scores(outputs: Sequence[Output]) -> tuple[tuple[Output, ...], tuple[Output, ...]]:
    """A detector's outputs by kind, each in the order of the feature maps.

    Args:
      outputs: contracts or arrays [n, anchors, 4], [n, anchors, labels - 1], by turns, as a flatbuffer has them.

    Raises:
      ModelError: when they are not.
    """
    boxes, scores = tuple(outputs[0::2]), tuple(outputs[1::2])
    if len(boxes) == len(scores) > 0 and len({score.shape[2:] for score in scores}) == 1:
        pairs = [(box.shape, score.shape) for box, score in zip(boxes, scores, strict=True)]
        if all(len(score) == 3 and box == (*score[:2], 4) for box, score in pairs):
            return boxes, scores
    raise ModelError(
        f"the outputs are not a detector's: received shapes {', '.join(str(output.shape) for output in outputs)}.",
        expected="boxes [n, anchors, 4] and scores [n, anchors, labels - 1] by turns, for one feature map or for each",
        hint="a classifier has one output, of probabilities",
    )


def order_outputs(flatbuffer: bytes) -> bytes:
    """The same file with its outputs in the order of the contract, whatever the converter made of it.

    Args:
      flatbuffer: as converted from one signature, which it still names.

    Raises:
      ModelError: when several outputs are not a detector's, or when two of them are one tensor.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(read_graph(flatbuffer).outputs) == 1:
        return flatbuffer
    ordered = bytearray(flatbuffer)
    model = schema.Model.GetRootAs(ordered)
    places: dict[str, int] = {}
    for signature in map(model.SignatureDefs, range(model.SignatureDefsLength())):
        rows = map(signature.Outputs, range(signature.OutputsLength()))
        places |= {row.Name().decode(): row.TensorIndex() for row in rows}
    tensors = [places[name] for name in output_order(places)]
    found: Any = model.Subgraphs(0).OutputsAsNumpy()
    if len(set(tensors)) < len(tensors) or set(tensors) != set(found.tolist()):
        raise ModelError(
            f"the outputs share tensors: {', '.join(f'{name} is tensor {place}' for name, place in places.items())}.",
            expected="a tensor of its own, with a scale of its own, for every output",
            hint="let boxes and scores come out of heads of their own",
        )
    found[:] = np.asarray(tensors, found.dtype)  # a view of the bytes
    return bytes(ordered)
