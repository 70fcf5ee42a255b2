"""Whether a rewritten flatbuffer is the same model as the one it was made from, under TFLite Micro."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from components.options import Options
from components.quantization.flatbuffer import Graph, read_graph
from components.quantization.tflm import ArenaUse, TflmRun, operators_under_tflm, run_under_tflm

_BYTES_AT_ONCE = 1 << 26  # of all operators' outputs; for MobileNet v1 0.25 at 96x96 those of about 250 images

Differing = npt.NDArray[np.bool_]


class Equality(Options):
    """How two files of one model compare, bit by bit.

    Attributes:
      images: how many both were fed.
      differing_images: for how many of them an answer or the output of an operator differs.
      operators: how many operators' outputs were compared, on all images.
      differing_operators: the places in the order of execution of those whose outputs differ.
      arena_before: of the original; None where it did not load.
      arena_after: of the other file.
      failure: why one of them could not be run, in the interpreter's words; None when both ran.
    """

    images: int
    differing_images: int
    operators: int
    differing_operators: tuple[int, ...]
    arena_before: ArenaUse | None
    arena_after: ArenaUse | None
    failure: str | None

    @property
    def is_equal(self) -> bool:
        """Whether both ran, gave the same, and the other file asks for no more arena than the original."""
        if self.failure is not None or self.arena_before is None or self.arena_after is None:
            return False
        fits = self.arena_after.total_bytes <= self.arena_before.total_bytes
        return fits and self.images > 0 and self.differing_images == 0

    def difference(self) -> str:
        """What keeps them from being equal, in words."""
        if self.failure is not None:
            return self.failure
        if self.differing_images:
            first = f", first operator {self.differing_operators[0]}" if self.differing_operators else ""
            return f"{self.differing_images} of {self.images} images differ{first}"
        return f"its arena is {self.arena_after} and was {self.arena_before}"


def compare_flatbuffers(
    before: bytes,
    after: bytes,
    images: npt.NDArray[Any],
    *,
    time_limit_s: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> Equality:
    """Feeds two files the same images and compares their answers and those of every operator.

    Args:
      before: the original, of one input [1, ...] and outputs [1, ...].
      after: what was made of it, with the same operators in the same order.
      images: [n, ...] in the input's own dtype.
      time_limit_s: seconds after which a run of one file is given up; there are two of each, and more of many images.
      on_progress: called with the number of images done and of all images, which each file is fed twice.

    Raises:
      ModelError: when a file is damaged or not made for these images, or when the interpreter is not there.
      StorageError: when the temporary folder has no room.
    """
    graph, count = read_graph(before), len(images)
    differing = np.zeros(count, np.bool_)
    operators: dict[int, bool] = {}

    def follow(done: int) -> None:
        if on_progress is not None:
            on_progress(done, 4 * count)

    def run(flatbuffer: bytes, done: int) -> TflmRun:
        return run_under_tflm(
            flatbuffer, images, time_limit_s=time_limit_s, on_progress=lambda now, _: follow(done + now)
        )

    first, second = run(before, 0), run(after, count)
    failure = _first_failure(first.failure, second.failure)
    if first.outputs is not None and second.outputs is not None:
        if len(first.outputs) != len(second.outputs):
            differing[:] = True
        for ours, theirs in zip(first.outputs, second.outputs, strict=False):
            differing |= _differ(ours, theirs)
    for start, end in _shares(graph, count):
        if failure is not None:
            break
        kept, other = (
            operators_under_tflm(file, images[start:end], time_limit_s=time_limit_s) for file in (before, after)
        )
        failure = _first_failure(kept.failure, other.failure)
        for (index, number), values in kept.outputs.items():
            found = _differ(values, other.outputs.get((index, number)))
            differing[start:end] |= found
            operators[index] = operators.get(index, False) or bool(found.any())
        follow(2 * count + 2 * end)
    return Equality(
        images=count,
        differing_images=int(np.count_nonzero(differing)),
        operators=len(operators),
        differing_operators=tuple(index for index, differs in sorted(operators.items()) if differs),
        arena_before=first.arena,
        arena_after=second.arena,
        failure=failure,
    )


def _first_failure(original: str | None, slim: str | None) -> str | None:
    if original is not None:
        return f"TFLite Micro does not run the original: {original}"
    return None if slim is None else f"TFLite Micro does not run the slim file: {slim}"


def _shares(graph: Graph, count: int) -> Iterator[tuple[int, int]]:
    """Ranges of images whose outputs of all operators fit into memory together."""
    tensors = [tensor for operator in graph.operators for tensor in operator.outputs if tensor is not None]
    share = max(1, _BYTES_AT_ONCE // max(sum(tensor.value_bytes or 0 for tensor in tensors), 1))
    return ((start, min(start + share, count)) for start in range(0, count, share))


def _differ(first: npt.NDArray[Any], second: npt.NDArray[Any] | None) -> Differing:
    """Which images differ in any bit: bool [n]. Bits and not values, since a float may be no number."""
    if second is None or first.shape != second.shape or first.dtype != second.dtype:
        return np.ones(len(first), np.bool_)
    ours, theirs = (np.ascontiguousarray(part).reshape(len(first), -1).view(np.uint8) for part in (first, second))
    return np.asarray((ours != theirs).any(axis=1))
