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
import tensorflow_transform as tft

from components import features, pixels
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.coding import decode_detections
from components.detection.feature_maps import anchor_maps
from components.detection.options import DecoderOptions, DetectorNetwork, DetectorOptions
from components.trainer.footprint import _draw
from components.trainer.job import Architecture, TrainingJob
from components.trainer.models.build import build_architecture
from components.trainer.options import Adam, CosineSchedule, TrainerOptions
from components.trainer.signatures import export, export_pixels
from components.transformed_examples import decode_raster

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
export_pixels(model, str(folder), job)
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
    export_pixels(model, str(tmp_path), _job(backbone))
    signature = tf.saved_model.load(str(tmp_path)).signatures[features.PIXELS_SIGNATURE]
    answers = [signature(image=tf.constant(image[np.newaxis]))[features.PROBABILITIES] for image in images]
    expected = tf.nn.softmax(model(images, training=False)).numpy()
    np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-4)
    assert np.ptp(expected[:, 0]) > 1e-5


def _detector(outputs):
    network = DetectorNetwork(feature_layers=("block_5", "block_11"), extra_filters=(64,), outputs=outputs)
    return _job("mobilenet_v1").model_copy(update={"detector": network, "label_count": 3, "alpha": 0.25})


@pytest.fixture(scope="module")
def detector():
    """A detector of drawn weights whose statistics are those of what it has seen."""
    random = np.random.default_rng(1)
    model = build_architecture(_detector("concatenated"), dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.0)
    for layer in model.layers:
        layer.set_weights([_draw(layer, variable, random) for variable in layer.weights])
    model(random.uniform(-1, 1, (16, 32, 32, 1)).astype(np.float32), training=True)
    return model


@pytest.mark.parametrize("outputs", ["concatenated", "per_map"])
def test_pixels_signature_of_a_detector_gives_boxes_and_logits_together_or_of_each_map(tmp_path, detector, outputs):
    export_pixels(detector, str(tmp_path), _detector(outputs))
    image = np.random.default_rng(2).uniform(-1, 1, (1, 32, 32, 1)).astype(np.float32)
    found = tf.saved_model.load(str(tmp_path)).signatures[features.PIXELS_SIGNATURE](image=tf.constant(image))
    expected = detector(image, training=False)
    for name in ("boxes", "scores"):
        # 4x4 cells of 3 shapes, then 2x2 and 1 of 6.
        parts = [found[f"{name}_{number}"] for number in range(3)] if outputs == "per_map" else [found[name]]
        assert [part.shape[1] for part in parts] == ([48, 24, 6] if outputs == "per_map" else [78])
        np.testing.assert_allclose(tf.concat(parts, 1), expected[name], rtol=1e-3, atol=1e-3)
    assert len(found) == (6 if outputs == "per_map" else 2)


def test_serving_signature_of_a_detector_decodes_what_it_says_of_each_example(
    tmp_path, detector, transform_graph, raw_examples
):
    decoder = DecoderOptions(min_score=0.3, max_detections=20)
    job = TrainingJob(
        trainer=TrainerOptions(
            detector=DetectorOptions(**dict(_detector("concatenated").detector)),
            optimizer=Adam(name="adam"),
            schedule=CosineSchedule(name="cosine"),
            learning_rate=0.1,
            batch_size=2,
            epochs=1,
        ),
        side=32,
        channels=1,
        label_count=3,
        seed=1,
        decoder=decoder,
    )
    assert job.architecture == _detector("concatenated")
    export(detector, tft.TFTransformOutput(transform_graph.uri).transform_features_layer(), str(tmp_path), job)
    serve = tf.saved_model.load(str(tmp_path)).signatures[features.SERVING_SIGNATURE]
    found = serve(examples=tf.constant(raw_examples))
    rasters = [decode_raster(raster, job.raster_shape) for raster in transform_graph.outputs[features.RASTER]]
    said = detector(pixels.normalize(np.stack(rasters).astype(np.float32)), training=False)
    anchors = anchors_yxhw(anchor_maps("mobilenet_v1", 32, job.architecture.detector))
    for index in range(len(raw_examples)):
        expected = decode_detections(said["boxes"][index].numpy(), said["scores"][index].numpy(), anchors, decoder)
        count = len(expected.scores)
        assert count > 0
        np.testing.assert_allclose(found[features.DETECTION_BOXES][index, :count], expected.boxes_yxyx, atol=1e-3)
        np.testing.assert_allclose(found[features.DETECTION_SCORES][index, :count], expected.scores, atol=1e-3)
        assert found[features.DETECTION_LABELS][index, :count].numpy().tolist() == expected.labels.tolist()
