"""Golden vectors: real inputs with the very codes that TFLite Micro answered, by which any copy of a model is known.

Beside the flatbuffer in a release:

    golden_inputs.npy     int8 [n, rows, columns, channels], as the device feeds them
    golden_outputs.npy    int8 [n, labels], as TFLite Micro's reference kernels answered

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
from components.quantization.tflm import run_under_tflm

INPUTS_FILE = "golden_inputs.npy"
OUTPUTS_FILE = "golden_outputs.npy"

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Golden:
    """Golden vectors of one flatbuffer.

    Attributes:
      source_ids: image ids.
      labels: label ids of these images.
      inputs: int8 [n, ...].
      outputs: int8 [n, ...].
    """

    source_ids: tuple[str, ...]
    labels: tuple[int, ...]
    inputs: Codes
    outputs: Codes

    def files(self) -> dict[str, bytes]:
        """File name to content, the same bytes for the same vectors."""
        return {INPUTS_FILE: _npy(self.inputs), OUTPUTS_FILE: _npy(self.outputs)}

    @classmethod
    def from_files(
        cls, source_ids: tuple[str, ...], labels: tuple[int, ...], read_file: Callable[[str], bytes]
    ) -> "Golden":
        """The inverse of `files`, which `read_file` reads by name.

        Raises:
          ModelError: if they hold no arrays, or not one vector for each id.
        """
        try:
            inputs, outputs = (
                np.load(io.BytesIO(read_file(name)), allow_pickle=False) for name in (INPUTS_FILE, OUTPUTS_FILE)
            )
        except (ValueError, EOFError) as error:
            raise ModelError(f"{INPUTS_FILE} and {OUTPUTS_FILE} cannot be read: {error}") from error
        counts = {"ids": len(source_ids), "labels": len(labels), "inputs": len(inputs), "outputs": len(outputs)}
        if len(set(counts.values())) > 1:
            raise ModelError(f"the golden vectors do not belong together: received {counts}")
        return cls(source_ids, labels, inputs, outputs)


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
      One sentence for every vector that is answered otherwise, or one that says why there are no answers; empty
      where all is well.

    Raises:
      ModelError: if the flatbuffer is damaged, or not made for these vectors.
    """
    run = run_under_tflm(flatbuffer, golden.inputs, time_limit_s=time_limit_s)
    if run.outputs is None:
        return [f"the golden vectors cannot be run: TFLite Micro: {run.failure}"]
    return [
        f"golden vector {index} (image {source_id}): answered {found.tolist()} instead of {expected.tolist()}"
        for index, (source_id, found, expected) in enumerate(
            zip(golden.source_ids, run.outputs, golden.outputs, strict=True)
        )
        if not np.array_equal(found, expected)
    ]


def _digest(source_id: str) -> str:
    return hashlib.sha256(source_id.encode()).hexdigest()


def _npy(codes: Codes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, codes, allow_pickle=False)
    return buffer.getvalue()
