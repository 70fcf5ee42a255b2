"""Golden vectors: real inputs with the very codes that TFLite Micro answered, by which any copy of a model is known.

Beside the flatbuffer in a release:

    golden_inputs.npy     int8 [n, rows, columns, channels], as the device feeds them
    golden_outputs.npy    int8 [n, labels], as TFLite Micro's reference kernels answered; of a model of several outputs
                          golden_outputs_0.npy and so on, in their order

and in its manifest the ids and labels of the images. The C bundle holds the same arrays, for the self test on the
target.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.quantization.flatbuffer import read_graph
from components.quantization.tflm import run_under_tflm

INPUTS_FILE = "golden_inputs.npy"

_FEW_CODES = 16  # of one output, that are written out

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Golden:
    """Golden vectors of one flatbuffer.

    Attributes:
      source_ids: image ids.
      labels: label ids of these images.
      inputs: int8 [n, ...].
      outputs: int8 [n, ...] for each output of the flatbuffer, in its order.
    """

    source_ids: tuple[str, ...]
    labels: tuple[int, ...]
    inputs: Codes
    outputs: tuple[Codes, ...]

    def files(self) -> dict[str, bytes]:
        """File name to content, the same bytes for the same vectors."""
        codes = zip(output_files(len(self.outputs)), self.outputs, strict=True)
        return {INPUTS_FILE: _npy(self.inputs), **{name: _npy(output) for name, output in codes}}

    @classmethod
    def from_files(
        cls, source_ids: tuple[str, ...], labels: tuple[int, ...], outputs: int, read_file: Callable[[str], bytes]
    ) -> "Golden":
        """The inverse of `files` of a model of so many outputs, which `read_file` reads by name.

        Raises:
          ModelError: if they hold no arrays, or not one vector for each id.
        """
        names = (INPUTS_FILE, *output_files(outputs))
        try:
            arrays = {name: np.load(io.BytesIO(read_file(name)), allow_pickle=False) for name in names}
        except (ValueError, EOFError) as error:
            raise ModelError(f"{', '.join(names)} cannot be read: {error}") from error
        counts = {"ids": len(source_ids), "labels": len(labels), **{name: len(codes) for name, codes in arrays.items()}}
        if len(set(counts.values())) > 1:
            raise ModelError(f"the golden vectors do not belong together: received {counts}")
        inputs, *found = arrays.values()
        return cls(source_ids, labels, inputs, tuple(found))


def output_files(outputs: int) -> tuple[str, ...]:
    """The names of the files that hold the answers of a model of so many outputs."""
    if outputs == 1:
        return ("golden_outputs.npy",)
    return tuple(f"golden_outputs_{number}.npy" for number in range(outputs))


def select_golden(source_ids: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
    """Chooses images for the golden vectors: every label in turn, within a label by the digest of the image's id.

    The choice does not depend on the order of the images.

    Args:
      source_ids: image ids.
      labels: label id of each.
      count: how many are wanted; one for each label at least.

    Returns:
      Indices into `source_ids`, at most `count`, or the number of labels if that is larger.
    """
    by_label: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(source_ids)), key=lambda index: _digest(source_ids[index])):
        by_label[labels[index]].append(index)
    in_turn = chain.from_iterable(zip_longest(*(by_label[label] for label in sorted(by_label))))
    return [index for index in in_turn if index is not None][: max(count, len(by_label))]


def rerun_golden(flatbuffer: bytes, golden: Golden, *, time_limit_s: float) -> list[str]:
    """Runs a flatbuffer under TFLite Micro on its golden vectors.

    Returns:
      One sentence for every output of a vector that is answered otherwise, or one that says why there are no answers;
      empty where all is well.

    Raises:
      ModelError: if the flatbuffer is damaged, or not made for these vectors.
    """
    outputs = len(read_graph(flatbuffer).outputs)
    if outputs != len(golden.outputs):
        raise ModelError(f"the golden vectors have {len(golden.outputs)} outputs, the model has {outputs}")
    run = run_under_tflm(flatbuffer, golden.inputs, time_limit_s=time_limit_s)
    if run.outputs is None:
        return [f"the golden vectors cannot be run: TFLite Micro: {run.failure}"]
    return [
        f"golden vector {index} (image {source_id}){f', output {number}' if outputs > 1 else ''}: {difference}"
        for index, source_id in enumerate(golden.source_ids)
        for number, (found, expected) in enumerate(zip(run.outputs, golden.outputs, strict=True))
        if (difference := _difference(found[index], expected[index]))
    ]


def _difference(found: Codes, expected: Codes) -> str | None:
    if found.shape != expected.shape:
        return f"answered codes of shape {found.shape} instead of {expected.shape}"
    if np.array_equal(found, expected):
        return None
    if found.size <= _FEW_CODES:
        return f"answered {found.tolist()} instead of {expected.tolist()}"
    return f"{np.count_nonzero(found != expected)} of {found.size} codes are others"


def _digest(source_id: str) -> str:
    return hashlib.sha256(source_id.encode()).hexdigest()


def _npy(codes: Codes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, codes, allow_pickle=False)
    return buffer.getvalue()
