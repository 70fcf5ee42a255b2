"""What lies beside the SavedModel in the Trainer's artifact.

<model artifact>/
Format-Serving/         the SavedModel
initial_weights.json    where its weights came from, layer by layer; missing where they were random
"""

import json

from tensorflow.io import gfile

WEIGHTS_REPORT = "initial_weights.json"


def read_weights_sha256(model_uri: str) -> str | None:
    """SHA-256 of the weights that a model's training started from; None where they were random.

    Args:
      model_uri: of the artifact.
    """
    path = f"{model_uri}/{WEIGHTS_REPORT}"
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        return str(json.loads(file.read())["sha256"])
