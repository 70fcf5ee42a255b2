"""Runs a flatbuffer under LiteRT, the interpreter that TFLite Micro is held against.

Against TFLite Micro on 512 photographs, and milliseconds an image on one thread (TFLite Micro: 10 to 14; 2026-11):

    kernels                 MLPerf vww_96_int8          MobileNet 0.25, 4 epochs    ms
    REFERENCE               1 image differs, by 1       none                        6.3
    OPTIMIZED               1 image differs, by 1       114 images, up to 5         0.8
    LiteRT's default        255 images, up to 11        480 images, up to 111       0.2

The default (XNNPACK) rounds otherwise in every layer. It decided 56 of the 512 images of the second model
differently, so it is not offered.
"""

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.quantization.feeding import check_feed
from components.quantization.flatbuffer import read_graph


class Kernels(StrEnum):
    """Which of LiteRT's implementations of the operators run."""

    REFERENCE = "BUILTIN_REF"
    OPTIMIZED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"  # for a first look; never to judge parity


def run_reference(
    flatbuffer: bytes, images: npt.NDArray[Any], *, kernels: Kernels = Kernels.REFERENCE
) -> tuple[npt.NDArray[Any], ...]:
    """Feeds a model one image after another.

    Args:
      flatbuffer: a `.tflite` file with one input [1, ...] and outputs [1, ...].
      images: [n, ...] in the input's own dtype, so codes for a quantized model.
      kernels: REFERENCE is what TFLite Micro can be compared with.

    Returns:
      Of each output, in the model's order, [n, ...] in its own dtype.

    Raises:
      ModelError: when the flatbuffer is damaged, refused by LiteRT, or not made for these images.
    """
    _, answers = check_feed(read_graph(flatbuffer), images)

    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    outputs = tuple(np.empty((len(images), *answer.shape[1:]), answer.dtype) for answer in answers)
    try:
        # One thread, so that sums are added up in one order and two runs give the same bytes.
        interpreter = Interpreter(
            model_content=flatbuffer, experimental_op_resolver_type=OpResolverType[kernels.value], num_threads=1
        )
        interpreter.allocate_tensors()
        source_index = interpreter.get_input_details()[0]["index"]
        answer_indices = [detail["index"] for detail in interpreter.get_output_details()]
        for place, image in enumerate(images):
            interpreter.set_tensor(source_index, image[np.newaxis])
            interpreter.invoke()
            for output, index in zip(outputs, answer_indices, strict=True):
                output[place] = interpreter.get_tensor(index)[0]
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"LiteRT refuses the flatbuffer: {error}",
            expected="a model that the reference interpreter runs",
            hint="files with one zero point for many scales run under TFLite Micro only",
        ) from error
    return outputs
