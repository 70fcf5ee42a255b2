"""The program that `components.quantization.tflm` starts: one model under TFLite Micro, in a process of its own.

    python -m components.quantization.tflm_child MODEL_FD INPUTS_FD OUTPUTS_FD PROGRESS_FD OUTPUTS [TENSOR ...]

The first arguments are open file descriptors: the flatbuffer, images as .npy (empty: only load the model), where the
outputs go, each as .npy behind the one before, and one byte for every finished image; then how many outputs the model
has. Arena use and errors go to stderr in the interpreter's own words.
With tensors of the main subgraph, by index, every tensor keeps a place of its own in the arena, and their bytes, one
after another, are the one output that is written; no arena is reported then.
"""

import os
import resource
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.child_process import die_with_parent

REFUSED = 3  # exit code: the interpreter said no, in words; an abort() ends the process before it can choose one
NO_ROOM = 4  # exit code: a file, not the model, failed
NO_MEMORY = 5  # exit code: of this process, not of the arena

# Only touched pages cost memory. The interpreter reports what it used, not what it was given.
_HOST_ARENA_BYTES = 1 << 28


def main() -> int:
    """Loads the model, reports its arena, feeds it the images."""
    _leave_nothing_behind()
    model_fd, inputs_fd, outputs_fd, progress_fd, outputs, *tensors = (int(argument) for argument in sys.argv[1:])

    from tflite_micro import runtime

    try:
        kinds = runtime.InterpreterConfig
        interpreter = runtime.Interpreter.from_bytes(
            _read(model_fd),
            arena_size=_HOST_ARENA_BYTES,
            intrepreter_config=kinds.kPreserveAllTensors if tensors else kinds.kAllocationRecording,
        )
        if not tensors:
            interpreter.print_allocations()
        if os.fstat(inputs_fd).st_size > 0:
            _feed(interpreter, inputs_fd, outputs_fd, progress_fd, lambda: _answers(interpreter, outputs, tensors))
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except (OSError, MemoryError) as error:
        sys.stderr.write(f"{str(error) or 'out of memory'}\n")
        return NO_ROOM if isinstance(error, OSError) else NO_MEMORY
    return 0


def _feed(
    interpreter: Any, inputs_fd: int, outputs_fd: int, progress_fd: int, answers: Callable[[], list[npt.NDArray[Any]]]
) -> None:
    with open(inputs_fd, "rb") as file:
        images = np.load(file)
    outputs = [np.empty((len(images), *blank.shape), blank.dtype) for blank in answers()]
    with open(progress_fd, "wb", buffering=0) as progress:
        for place, image in enumerate(images):
            interpreter.set_input(image[np.newaxis], 0)
            interpreter.invoke()
            for output, answer in zip(outputs, answers(), strict=True):
                output[place] = answer
            progress.write(b".")
    with open(outputs_fd, "wb") as file:
        for output in outputs:
            np.save(file, output)


def _answers(interpreter: Any, outputs: int, tensors: list[int]) -> list[npt.NDArray[Any]]:
    """The outputs of the image that was fed last, or the bytes of these tensors."""
    if not tensors:
        return [np.asarray(interpreter.get_output(number)[0]) for number in range(outputs)]
    contents = (interpreter.GetTensor(index, 0)["tensor_data"].tobytes() for index in tensors)
    return [np.frombuffer(b"".join(contents), np.uint8)]


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def _leave_nothing_behind() -> None:
    """No core file after an abort(), and no process once the parent is gone, however it went."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die_with_parent()


if __name__ == "__main__":
    sys.exit(main())
