"""Whatever holds a float classifier, as a float32 flatbuffer of batch 1."""

from pathlib import Path
from typing import Any

from components import features
from components.errors import ModelError
from components.quantization.convert import convert_float, convert_float_keras
from components.quantization.flatbuffer import read_graph
from pipeline.evaluation.models import load_keras


def float_flatbuffer(what: Path) -> bytes:
    """Converts a float model.

    Imports TensorFlow unless it is a `.tflite` file already.

    Args:
      what: a SavedModel's folder, a .keras or .h5 file of a whole model, or a float .tflite file.

    Raises:
      ModelError: if it is none of these, cannot be converted, or is quantized.
    """
    if (what / "saved_model.pb").exists():
        return convert_float(what, _signature(what))
    if what.suffix in {".keras", ".h5"} and what.is_file():
        return convert_float_keras(load_keras(what))
    if what.suffix == ".tflite" and what.is_file():
        data = what.read_bytes()
        if any(not tensor.dtype.startswith("float") for tensor in read_graph(data).inputs):
            raise ModelError(f"{what} is no float model", expected="float32 input", hint="pass the model before int8")
        return data
    raise ModelError(
        f"{what}: {'not a float model' if what.exists() else 'nothing is there'}",
        expected="a SavedModel's folder, a .keras, .h5 or float .tflite file",
    )


def _signature(folder: Path) -> str:
    from tensorflow.core.protobuf import saved_model_pb2

    graph: Any = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    own = features.PIXELS_SIGNATURE in graph.signature_def
    return features.PIXELS_SIGNATURE if own else features.SERVING_SIGNATURE
