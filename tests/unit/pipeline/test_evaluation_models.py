"""Whatever holds a classifier, opened and asked; the command itself is met in tests/pipeline/test_evaluate.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import pixels
from components.detection.options import DetectorOptions
from components.errors import ModelError, StorageError
from components.quantization.contracts import TensorContract
from components.trainer.checkpoints import Checkpoint, CheckpointFolder, Position
from components.trainer.job import TrainingJob
from components.trainer.models.build import build_model
from components.trainer.options import Adam, CosineSchedule, TrainerOptions
from pipeline.evaluation.feeding import feed
from pipeline.evaluation.models import open_classifier, probabilities

SIDE = 32
RASTERS = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 1), np.uint8)


@pytest.fixture(scope="module")
def job():
    options = TrainerOptions(
        optimizer=Adam(name="adam"),
        schedule=CosineSchedule(name="cosine"),
        learning_rate=0.01,
        batch_size=4,
        epochs=1,
        ema_decay=0.9,
    )
    return TrainingJob(trainer=options, side=SIDE, channels=1, label_count=2, seed=1)


@pytest.fixture(scope="module")
def model(job):
    built = build_model(job, 10)
    built(np.random.default_rng(1).uniform(-1, 1, (16, SIDE, SIDE, 1)), training=True)  # statistics of real activations
    return built


@pytest.fixture(scope="module")
def expected(model):
    """The model's own logits in its own range, [-1, 1]."""
    logits = model(pixels.normalize(RASTERS.astype(np.float32)), training=False).numpy()
    assert logits.std() > 0.01
    return logits


@pytest.fixture(scope="module", params=["model.keras", "model.h5", "saved_model", "model.tflite", "checkpoint.npz"])
def stored(request, model, job, tmp_path_factory):
    """The same model in every form."""
    path = tmp_path_factory.mktemp("models") / request.param
    match path.suffix:
        case ".npz":
            weights = model.get_weights()
            folder = CheckpointFolder(path.parent, job.to_json(), "code", [])
            # The raw weights are others: what would be evaluated are the averages.
            folder.write(Checkpoint(Position(step=7), [w * 0 for w in weights], weights, []))
            return folder.path / path.name
        case ".tflite":
            fixed = keras.Sequential([keras.Input(batch_shape=(1, SIDE, SIDE, 1)), model])
            fixed.export(path.with_suffix(".saved"), verbose=False)
            path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(path.with_suffix(".saved"))).convert())
        case "":
            model.export(path, verbose=False)
        case _:
            model.save(path)
    return path


def test_open_classifier_answers_as_the_model_itself(stored, expected):
    classifier = open_classifier(str(stored), "-1..1")
    assert classifier.shape == (SIDE, SIDE, 1)
    np.testing.assert_allclose(classifier.answer(RASTERS), expected, rtol=1e-3, atol=1e-4)
    if stored.suffix == ".npz":
        assert classifier.description == "checkpoint after step 7, averaged weights"
        np.testing.assert_array_equal(
            open_classifier(str(stored.parent), "-1..1").answer(RASTERS), classifier.answer(RASTERS)
        )


def test_open_classifier_scales_images_as_a_foreign_model_wants_them(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    for input_range, images in (("0..1", RASTERS / 255.0), ("0..255", RASTERS)):
        found = open_classifier(str(path), input_range).answer(RASTERS)
        np.testing.assert_allclose(found, model(images.astype(np.float32), training=False), atol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        ("int8", 2 / 255, -1, [-128, 0, 127]),
        ("int8", 2 / 255, 0, [-128, 0, 127]),
        ("int8", 1 / 255, -128, [-128, 0, 127]),
        ("uint8", 1 / 255, 0, [0, 128, 255]),
        ("int8", 4 / 255, 0, [-64, 0, 64]),  # spans -2...2: not the pixel grid
        ("float32", None, None, [-1.0, 1 / 255, 1.0]),
    ],
)
def test_feed_gives_the_codes_that_a_device_would(dtype, scale, zero_point, expected):
    contract = TensorContract(name="image", shape=(1, 3, 1, 1), dtype=dtype, scale=scale, zero_point=zero_point)
    rasters = np.array([0, 128, 255], np.uint8).reshape(1, 3, 1, 1)
    codes = feed(rasters, contract, "-1..1")
    assert codes.dtype == dtype
    np.testing.assert_allclose(codes.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[0.25, 0.75]], [[0.25, 0.75]]),
        ([[0.0, 0.99609375]], [[0.0, 1.0]]),  # int8 codes
        ([[0.0, np.log(3)]], [[0.25, 0.75]]),
        ([[-1.0, -1.0, -1.0]], [[1 / 3, 1 / 3, 1 / 3]]),
        ([[0.75]], [[0.25, 0.75]]),
        ([[np.log(3)], [-np.log(3)]], [[0.25, 0.75], [0.75, 0.25]]),
    ],
)
def test_probabilities_of_logits_probabilities_and_a_single_column(answers, expected):
    np.testing.assert_allclose(probabilities(np.array(answers)), expected, atol=1e-6)


def test_probabilities_of_answers_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match=r"1 of 2 answers are not finite"):
        probabilities(np.array([[0.5, 0.5], [np.nan, 0.5]]))


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("nothing.tflite", None, ModelError, "nothing is there"),
        ("notes.txt", b"text", ModelError, "not a model"),
        ("broken.keras", b"no zip", ModelError, "no whole Keras model"),
        ("broken.tflite", b"no flatbuffer", ModelError, "flatbuffer"),
        ("checkpoint.npz", b"no zip", StorageError, "no checkpoint, or a damaged one"),
    ],
)
def test_open_classifier_of_something_else_is_refused(tmp_path, name, content, error, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=said):
        open_classifier(str(path), "-1..1")


def test_open_classifier_of_a_model_without_images_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    model.save(tmp_path / "dense.keras")
    with pytest.raises(ModelError, match=r"takes an input of shape \[None, 7\]") as caught:
        open_classifier(str(tmp_path / "dense.keras"), "-1..1")
    assert "[n, side, side, 1 or 3]" in caught.value.expected


def test_open_classifier_of_a_detector_is_refused(detector, detector_saved_model, tmp_path):
    (tmp_path / "detector.tflite").write_bytes(detector("per_map"))
    for path in (tmp_path / "detector.tflite", detector_saved_model):
        with pytest.raises(ModelError, match=r"is no classifier: its outputs are \[") as caught:
            open_classifier(str(path), "-1..1")
        assert "`vww predict` takes the folder of its release" in caught.value.hint


def test_open_classifier_of_a_detectors_checkpoint_is_refused(job, tmp_path):
    trainer = job.trainer.model_copy(update={"detector": DetectorOptions()})
    detecting = job.model_copy(update={"trainer": trainer, "side": 64})
    weights = build_model(detecting, total_steps=1).get_weights()
    folder = CheckpointFolder(tmp_path, detecting.to_json(), "code", [])
    folder.write(Checkpoint(Position(step=7), weights, weights, []))
    with pytest.raises(ModelError, match="is no classifier"):
        open_classifier(str(folder.path), "-1..1")
