"""Artifacts that hold a model, the Trainer's and the ReleasedModel's: a SavedModel, and what lies beside it.

<model artifact>/
Format-Serving/         the SavedModel; the ReleasedModel has none while nothing is released
initial_weights.json    where its weights came from, layer by layer; missing where they were random
released_model.txt      the ReleasedModel's: which version it is, in words if none
"""

import json
from pathlib import Path

from components.errors import ModelError

WEIGHTS_REPORT = "initial_weights.json"
RELEASE_NOTE = "released_model.txt"


def read_weights_sha256(model_uri: str) -> str | None:
    """SHA-256 of the weights that a model's training started from; None where they were random.

    Args:
      model_uri: of the artifact.
    """
    from tensorflow.io import gfile

    path = f"{model_uri}/{WEIGHTS_REPORT}"
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        return str(json.loads(file.read())["sha256"])


def check_saved_model(folder: Path) -> None:
    """Checks that a SavedModel's graph and variables can be read; imports TensorFlow.

    Raises:
      ModelError: naming the folder.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        variables = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        for name in variables.get_variable_to_shape_map():
            variables.get_tensor(name)
    except Exception as error:  # TensorFlow, protobuf and its pybind layer raise what they like
        raise ModelError(
            f"{folder} cannot be read as a SavedModel: {error}",
            expected="saved_model.pb and variables/, as the Trainer exported them",
            hint="make the model again",
        ) from error
