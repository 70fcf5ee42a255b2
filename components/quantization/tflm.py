"""Runs a flatbuffer under TFLite Micro in a child process, because it calls abort() on models it does not like.

A model that the interpreter refuses, aborts on or does not finish is a finding (`TflmRun.failure`), not an
exception: the gates turn it into a verdict.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError, PipelineError, StorageError
from components.options import Options
from components.quantization import tflm_child
from components.quantization.feeding import check_feed, check_input
from components.quantization.flatbuffer import read_graph
from components.quantization.records import ArenaShare

_ALLOCATION = re.compile(r"\[RecordingMicroAllocator\] Arena allocation (total|head|tail) (\d+) bytes")
_REPORT_PREFIX = "[RecordingMicroAllocator]"
_SHARE = re.compile(r"\[RecordingMicroAllocator\] '(.+)' used (\d+) bytes .*\(requested (\d+) bytes for (\d+) ")
_POLL_S = 0.2
_IMAGES_THAT_PAY_A_CHILD = 100  # a second of them: as long as a child takes to start
_LINES_OF_FAILURE = 5


class ArenaUse(Options):
    """Tensor arena that a model needs, by the report of the 64-bit host interpreter.

    Attributes:
      total_bytes: head and tail; on a 32-bit microcontroller the tail is smaller, its pointers being half as long.
      head_bytes: activations and scratch buffers, which share their space over time.
      tail_bytes: what stays: tensor structures and the kernels' own data.
      shares: of the tail, by kind of allocation; the interpreter's own objects are the rest.
    """

    total_bytes: int
    head_bytes: int
    tail_bytes: int
    shares: tuple[ArenaShare, ...]


@dataclass(frozen=True)
class TflmRun:
    """What became of a model under TFLite Micro.

    Attributes:
      outputs: of each output, in the model's order, [n, ...] in its own dtype; None without images or after a failure.
      arena: None when the model did not even load.
      failure: the interpreter's words, the signal or the time limit that ended it; None when all went well.
    """

    outputs: tuple[npt.NDArray[Any], ...] | None
    arena: ArenaUse | None
    failure: str | None


@dataclass(frozen=True)
class OperatorsRun:
    """What the operators of a model gave under TFLite Micro.

    Attributes:
      outputs: by operator of the main subgraph and number of its output, those of a type that NumPy has:
        [n, *shape] in its own dtype. Empty after a failure.
      failure: as in `TflmRun`.
    """

    outputs: dict[tuple[int, int], npt.NDArray[Any]]
    failure: str | None


@dataclass(frozen=True)
class _Child:
    """One started child: where it writes, and how many images it was given."""

    process: subprocess.Popen[bytes]
    outputs: IO[bytes]
    progress: IO[bytes]
    log: IO[bytes]
    images: int

    @property
    def done(self) -> int:
        """The number of images that it has finished."""
        return os.fstat(self.progress.fileno()).st_size

    def words(self) -> str:
        """What it said."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", errors="replace")

    def answers(self) -> list[npt.NDArray[Any]]:
        """What it wrote, output by output."""
        self.outputs.seek(0)
        size = os.fstat(self.outputs.fileno()).st_size
        found = []
        while self.outputs.tell() < size:
            found.append(np.load(self.outputs))
        return found


def run_under_tflm(
    flatbuffer: bytes,
    images: npt.NDArray[Any] | None,
    *,
    time_limit_s: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> TflmRun:
    """Loads a model under TFLite Micro's host interpreter and feeds it one image after another.

    About a second to start, then 10 ms an image for MobileNet v1 0.25 at 96x96; many images are shared by a child for
    each core, which gives the same answers.

    Args:
      flatbuffer: a `.tflite` file; with images, one of one input [1, ...] and outputs [1, ...].
      images: [n, ...] in the input's own dtype, so codes for a quantized model; None only loads the model.
      time_limit_s: seconds without one more finished image, or end, after which the children are killed.
      on_progress: called about five times a second with the number of images done and of all images.

    Raises:
      ModelError: when the flatbuffer is damaged or not made for these images, or when the interpreter is not there.
      StorageError: when the temporary folder has no room for the images or the answers.
      PipelineError: when the machine has no memory for a child.
    """
    graph = read_graph(flatbuffer)
    if images is not None:
        check_feed(graph, images)
    return _run(flatbuffer, images, (len(graph.outputs),), time_limit_s, on_progress)


def operators_under_tflm(flatbuffer: bytes, images: npt.NDArray[Any], *, time_limit_s: float) -> OperatorsRun:
    """What every operator gives, in an arena in which no tensor takes the place of another.

    Args:
      flatbuffer: a `.tflite` file of one input [1, ...].
      images: [n, ...] in the input's own dtype.
      time_limit_s: as in `run_under_tflm`.

    Raises:
      ModelError: when the flatbuffer is damaged or not made for these images, or when the interpreter is not there.
      StorageError: when the temporary folder has no room for the images or for all outputs.
      PipelineError: when the machine has no memory for a child.
    """
    graph = read_graph(flatbuffer)
    check_input(graph, images)
    given = {
        (index, number): tensor
        for index, operator in enumerate(graph.operators)
        for number, tensor in enumerate(operator.outputs)
        if tensor is not None and tensor.value_bytes
    }
    if not given:
        return OperatorsRun(outputs={}, failure=None)
    # By identity: tensors without names may be equal.
    places = {id(tensor): place for place, tensor in enumerate(graph.tensors)}
    wanted = (places[id(tensor)] for tensor in given.values())
    run = _run(flatbuffer, images, (len(graph.outputs), *wanted), time_limit_s, None)
    if run.outputs is None:
        return OperatorsRun(outputs={}, failure=run.failure)
    (contents,), outputs, start = run.outputs, {}, 0
    for key, tensor in given.items():
        end = start + (tensor.value_bytes or 0)
        values = np.ascontiguousarray(contents[:, start:end]).view(tensor.dtype)
        outputs[key], start = values.reshape(len(images), *tensor.shape), end
    return OperatorsRun(outputs=outputs, failure=None)


def _run(
    flatbuffer: bytes,
    images: npt.NDArray[Any] | None,
    wanted: Sequence[int],
    time_limit_s: float,
    on_progress: Callable[[int, int], None] | None,
) -> TflmRun:
    """Runs a model; `wanted` is how many outputs it has, and the tensors that are read in their place."""
    parts = [None] if images is None else np.array_split(images, _children_for(len(images)))
    with contextlib.ExitStack() as stack:
        children = [_start(stack, flatbuffer, part, wanted) for part in parts]
        in_time = _await(children, time_limit_s, on_progress)
        arena = _arena(children[0].words())
        # One that was killed because another failed has nothing to say.
        ended = [child for child in children if child.process.returncode is not None]
        failures = [failure for child in ended if (failure := _failure(child.process.returncode, child.words()))]
        if not in_time:
            failures.append(f"no answer within {time_limit_s:g} s")
        if failures or images is None:
            return TflmRun(outputs=None, arena=arena, failure=failures[0] if failures else None)
        parts_of_outputs = zip(*(child.answers() for child in children), strict=True)
        return TflmRun(outputs=tuple(map(np.concatenate, parts_of_outputs)), arena=arena, failure=None)


def _children_for(images: int) -> int:
    return max(1, min(len(os.sched_getaffinity(0)), images // _IMAGES_THAT_PAY_A_CHILD))


def _start(
    stack: contextlib.ExitStack, flatbuffer: bytes, images: npt.NDArray[Any] | None, wanted: Sequence[int]
) -> _Child:
    with _storage_errors():
        # Files without a name: whatever becomes of either process, nothing stays in the folder.
        files = [tempfile.TemporaryFile() for _ in range(5)]  # noqa: SIM115  # the stack closes them
        model, inputs, outputs, progress, log = map(stack.enter_context, files)
        model.write(flatbuffer)
        model.seek(0)
        if images is not None:
            np.save(inputs, images)
            inputs.seek(0)
    descriptors = [file.fileno() for file in (model, inputs, outputs, progress)]
    process = stack.enter_context(_process([*descriptors, *wanted], descriptors, log))
    return _Child(process, outputs, progress, log, 0 if images is None else len(images))


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _no_room(error) from error


def _no_room(said: OSError | str) -> StorageError:
    return StorageError(
        f"images and answers cannot be handed to and from TFLite Micro: {said}.",
        expected="room for them in the folder for temporary files",
        hint="make room there, or let TMPDIR name another folder",
    )


@contextlib.contextmanager
def _process(arguments: list[int], descriptors: list[int], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The child in a process group of its own, which is gone when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", tflm_child.__name__, *map(str, arguments)],
        # The folder that holds `components`: the child runs this very code, installed or not.
        cwd=Path(__file__).parents[2],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(children: list[_Child], time_limit_s: float, on_progress: Callable[[int, int], None] | None) -> bool:
    """Waits until all have ended or one has failed, and reports how far they are; False when nothing moved in time."""
    total = sum(child.images for child in children)
    # An image that is done, or a child that has ended, is news.
    news, since = (-1, -1), time.monotonic()
    while True:
        running = [child for child in children if child.process.poll() is None]
        done = sum(child.done for child in children)
        if on_progress is not None and total > 0:
            on_progress(done, total)
        if not running or any(child.process.returncode for child in children):
            return True
        if (done, len(running)) != news:
            news, since = (done, len(running)), time.monotonic()
        left = since + time_limit_s - time.monotonic()
        if left <= 0:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            running[0].process.wait(timeout=min(_POLL_S, left))


def _arena(words: str) -> ArenaUse | None:
    found = {f"{part}_bytes": int(size) for part, size in _ALLOCATION.findall(words)}
    if found.keys() != {"total_bytes", "head_bytes", "tail_bytes"}:
        return None
    shares = (
        ArenaShare(name=name, used_bytes=int(used), requested_bytes=int(requested), count=int(count))
        for name, used, requested, count in _SHARE.findall(words)
    )
    return ArenaUse(**found, shares=tuple(shares))


def _failure(exit_code: int, words: str) -> str | None:
    """Why the child ended, in the interpreter's words where there are any.

    Raises:
      ModelError: when the child failed before the interpreter could have an opinion.
      StorageError: when it could not read or write its files.
      PipelineError: when it had no memory, or was killed, which nothing here does before it is waited for.
    """
    if exit_code == 0:
        return None
    said = [line for line in words.splitlines() if line.strip() and not line.startswith(_REPORT_PREFIX)]
    reason = "; ".join(said[-_LINES_OF_FAILURE:])
    if exit_code == tflm_child.NO_ROOM:
        raise _no_room(said[-1])
    if exit_code in {tflm_child.NO_MEMORY, -signal.SIGKILL}:
        raise PipelineError(
            "TFLite Micro's process "
            + ("was killed (SIGKILL)" if exit_code < 0 else f"has no memory: {said[-1]}")
            + ", which says nothing about the model",
            expected="memory for the images and their answers, once for each process",
            hint="is the machine out of memory? `dmesg` says whom the kernel killed; finished nodes are not run again",
        )
    if exit_code == tflm_child.REFUSED:
        return reason
    if exit_code < 0:
        return f"{_signal_name(-exit_code)}: {reason or 'the interpreter gave no reason'}"
    raise ModelError(
        f"TFLite Micro could not be run: {said[-1] if said else f'exit code {exit_code}'}.",
        expected="the tflite-micro package in this environment, and a flatbuffer it can parse",
        hint="run `make setup`; then try `vww inspect` on the file",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
