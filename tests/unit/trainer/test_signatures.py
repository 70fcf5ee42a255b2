"""Exports of a tiny trained-like model; the processes that are compared import TensorFlow each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import features
from components.trainer.job import Architecture
from components.trainer.models.build import build_architecture
from components.trainer.signatures import export_pixels

ROOT = Path(__file__).parents[3]
# Exports a model of drawn weights, converts it, and names what came out by its digest.
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from components import features
from components.quantization.convert import convert_full_integer
from components.quantization.representative_dataset import pin_input_range
from components.trainer.footprint import _draw
from components.trainer.job import Architecture
from components.trainer.models.build import build_architecture
from components.trainer.signatures import export_pixels

job = Architecture.from_json(sys.argv[1])
random = np.random.default_rng(1)
model = build_architecture(job, dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.9)
for layer in model.layers:
    layer.set_weights([_draw(layer, variable, random) for variable in layer.weights])
folder = Path(sys.argv[2])
export_pixels(model, str(folder))
images = pin_input_range(random.uniform(-1, 1, (8, job.side, job.side, job.channels)).astype(np.float32))
flatbuffer = convert_full_integer(folder, features.PIXELS_SIGNATURE, images)
files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
digests = {name: hashlib.sha256(data).hexdigest() for name, data in (files | {"tflite": flatbuffer}).items()}
print(json.dumps(digests))
"""


def _job(backbone):
    return Architecture(
        backbone=backbone, alpha=0.35, side=32, activation="relu6", border="gray", channels=1, label_count=2
    )


def test_export_and_conversion_in_two_processes_of_other_threads_and_hashes_give_equal_bytes(tmp_path):
    job = _job("mobilenet_v2")
    others = (
        {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_ENABLE_ONEDNN_OPTS": "0"},
        {"PYTHONHASHSEED": "2", "RUY_PATHS": "0x10"},
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, job.to_json(), str(tmp_path / str(number))],
            env={**os.environ, **other},
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for number, other in enumerate(others)
    ]
    first, second = (json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in processes)
    assert first == second
    assert {"saved_model.pb", "fingerprint.pb", "tflite"} < set(first)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
def test_pixels_signature_gives_the_models_own_probabilities(tmp_path, backbone):
    model = build_architecture(_job(backbone), dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.0)
    images = np.random.default_rng(2).uniform(-1, 1, (4, 32, 32, 1)).astype(np.float32)
    model(images, training=True)  # statistics of these images, not the initial 0 and 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.linspace(0.5, 1.5, layer.gamma.shape[0]))
            layer.beta.assign(np.linspace(-0.2, 0.2, layer.beta.shape[0]))
    export_pixels(model, str(tmp_path))
    signature = tf.saved_model.load(str(tmp_path)).signatures[features.PIXELS_SIGNATURE]
    answers = [signature(image=tf.constant(image[np.newaxis]))[features.PROBABILITIES] for image in images]
    expected = tf.nn.softmax(model(images, training=False)).numpy()
    np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-4)
    assert np.ptp(expected[:, 0]) > 1e-5
