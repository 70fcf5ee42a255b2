"""One tiny training job, from files to a SavedModel."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tfx.components.trainer.fn_args_utils import FnArgs

from components import features, pixels, progress
from components.trainer.options import Adam, AugmentationOptions, CosineSchedule, TrainerOptions
from components.trainer.run_fn import TrainingJob, build_model, run_fn, train
from components.transform.image_ops import rasterize

SIDE = 32
COUNT = 64
EPOCHS = 4


def make_job(**changes):
    settings = {
        "optimizer": Adam(name="adam"),
        "learning_rate": 0.01,
        "schedule": CosineSchedule(name="cosine"),
        "batch_size": 16,
        "epochs": 2,
        "weight_decay": 4e-5,
        "label_smoothing": 0.1,
        "augmentation": AugmentationOptions(max_shift_fraction=0.1, max_brightness_delta=0.05),
        **changes,
    }
    return TrainingJob(trainer=TrainerOptions(**settings), side=SIDE, channels=1, label_count=2, seed=3)


@pytest.fixture(scope="module")
def data(write_transformed, bright_and_dark, tmp_path_factory):
    """Folders of transformed examples; of the eval split, most labels are wrong, so that learning makes it worse."""
    root = tmp_path_factory.mktemp("transformed_examples")
    train_rasters, train_labels = bright_and_dark(COUNT, seed=1)
    eval_rasters, eval_labels = bright_and_dark(32, seed=2)
    eval_labels[:24] = 1 - eval_labels[:24]
    write_transformed(root / "Split-train", train_rasters, train_labels, counts=[40, 24])
    write_transformed(root / "Split-eval", eval_rasters, eval_labels)
    return root


def split_files(root, split):
    return sorted(str(path) for path in (root / f"Split-{split}").iterdir())


class Trained:
    def __init__(self, data, run_dir, job):
        self.run_dir = run_dir
        self.reports = []
        listener = lambda *report: self.reports.append(report)  # noqa: E731
        progress.listen(listener)
        self.model = train(job, split_files(data, "train"), split_files(data, "eval"), str(run_dir))
        progress._listeners.remove(listener)

    def scalars(self, part, tag):
        """The values of one of TensorBoard's curves."""
        events = EventAccumulator(str(self.run_dir / part)).Reload()
        return [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return Trained(data, tmp_path_factory.mktemp("run"), make_job(epochs=EPOCHS))


@pytest.fixture(scope="module")
def trainer_output(data, transform_graph, tmp_path_factory):
    """What TFX's entry point leaves behind for the same job."""
    root = tmp_path_factory.mktemp("trainer")
    run_fn(
        FnArgs(
            train_files=[str(data / "Split-train/*")],
            eval_files=[str(data / "Split-eval/*")],
            transform_graph_path=transform_graph.uri,
            serving_model_dir=str(root / "serving"),
            model_run_dir=str(root / "run"),
            custom_config={"job": make_job(epochs=EPOCHS).to_json(), "code_digest": "ignored"},
        )
    )
    return root


@pytest.fixture(scope="module")
def exported(trainer_output):
    return tf.saved_model.load(str(trainer_output / "serving"))


def weights_in(path):
    """Every array of an `.h5` file by its place."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return arrays


def test_train_writes_tensorboard_curves_of_both_splits(trained):
    for part in ("train", "validation"):
        assert len(trained.scalars(part, "epoch_accuracy")) == EPOCHS
        assert len(trained.scalars(part, "epoch_loss")) == EPOCHS
    rates = trained.scalars("train", "epoch_learning_rate")
    assert rates[0] < 0.01
    assert rates[-1] == pytest.approx(0.0, abs=1e-8)


def test_train_learns(trained):
    accuracies = trained.scalars("train", "epoch_accuracy")
    assert accuracies[-1] > max(0.75, accuracies[0])


def test_train_returns_the_best_epochs_weights(trained, data, write_transformed, bright_and_dark):
    accuracies = trained.scalars("validation", "epoch_accuracy")
    assert accuracies[-1] < max(accuracies)  # the last epoch is not the best one here
    rasters, _ = bright_and_dark(32, seed=2)
    labels = [
        tf.train.Example.FromString(record).features.feature[features.TRANSFORMED_LABEL].int64_list.value[0]
        for record in tf.data.TFRecordDataset(split_files(data, "eval"), "GZIP").as_numpy_iterator()
    ]
    logits = trained.model(pixels.normalize(rasters.astype(np.float32)), training=False)
    assert np.mean(np.argmax(logits, axis=1) == labels) == pytest.approx(max(accuracies))


def test_train_leaves_the_best_weights_in_a_file(trained):
    fresh = build_model(make_job(), 1)
    fresh.load_weights(trained.run_dir / "best.weights.h5")
    for found, expected in zip(fresh.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_train_reports_every_step(trained):
    steps = EPOCHS * COUNT // 16
    assert trained.reports == [(step, steps, "steps") for step in range(1, steps + 1)]


def test_train_same_seed_gives_the_same_weights(trained, trainer_output):
    first = weights_in(trained.run_dir / "best.weights.h5")
    second = weights_in(trainer_output / "run/best.weights.h5")
    assert first.keys() == second.keys()
    assert len(first) > 100
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_build_model_follows_its_job():
    job = make_job(alpha=0.5, dropout=0.3, max_batch_norm_momentum=0.9)
    model = build_model(job.model_copy(update={"channels": 3, "label_count": 4}), total_steps=1_000_000)
    assert (model.input_shape, model.output_shape) == ((None, SIDE, SIDE, 3), (None, 4))
    assert model.get_layer("conv1").filters == 16
    assert model.get_layer("dropout").rate == 0.3
    assert model.get_layer("conv1_bn").momentum == 0.9
    assert build_model(job, total_steps=40).get_layer("conv1_bn").momentum == 0.75


def test_export_has_both_signatures_with_their_contracts(exported):
    assert set(exported.signatures) == {features.SERVING_SIGNATURE, features.PIXELS_SIGNATURE}
    for name, key, shape, dtype in (
        (features.SERVING_SIGNATURE, "examples", [None], tf.string),
        (features.PIXELS_SIGNATURE, features.IMAGE, [1, SIDE, SIDE, 1], tf.float32),
    ):
        signature = exported.signatures[name]
        (spec,) = signature.structured_input_signature[1].values()
        assert (spec.name, spec.shape.as_list(), spec.dtype) == (key, shape, dtype)
        assert list(signature.structured_outputs) == [features.PROBABILITIES]


def test_export_both_signatures_agree_on_the_same_images(exported, raw_examples, encoded_images):
    serving = exported.signatures[features.SERVING_SIGNATURE]
    by_examples = serving(examples=tf.constant(raw_examples))[features.PROBABILITIES].numpy()
    assert by_examples.shape == (len(raw_examples), 2)
    np.testing.assert_allclose(by_examples.sum(axis=1), 1, atol=1e-6)
    for row, image in zip(by_examples, encoded_images, strict=True):
        raster = rasterize(tf.constant(image.data), SIDE, 1)
        normalized = pixels.normalize(tf.cast(raster, tf.float32))[tf.newaxis]
        by_pixels = exported.signatures[features.PIXELS_SIGNATURE](image=normalized)[features.PROBABILITIES]
        np.testing.assert_allclose(row, by_pixels[0], atol=1e-5, err_msg=image.name)


def test_export_serving_signature_needs_only_the_encoded_image(exported, raw_examples, encoded_images):
    serving = exported.signatures[features.SERVING_SIGNATURE]
    bare = [
        tf.train.Example(
            features=tf.train.Features(
                feature={features.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.data]))}
            )
        ).SerializeToString()
        for image in encoded_images
    ]
    np.testing.assert_array_equal(
        serving(examples=tf.constant(bare))[features.PROBABILITIES],
        serving(examples=tf.constant(raw_examples))[features.PROBABILITIES],
    )


def test_export_probabilities_are_the_softmax_of_the_best_epochs_logits(exported, trained):
    image = np.random.default_rng(1).uniform(-1, 1, (1, SIDE, SIDE, 1)).astype(np.float32)
    found = exported.signatures[features.PIXELS_SIGNATURE](image=tf.constant(image))[features.PROBABILITIES]
    np.testing.assert_allclose(found, keras.ops.softmax(trained.model(image, training=False)), atol=1e-6)


def test_training_job_json_reads_back_equal():
    job = make_job()
    assert TrainingJob.from_json(job.to_json()) == job


def test_run_dir_holds_no_half_written_checkpoint(trained):
    names = {path.name for path in Path(trained.run_dir).iterdir()}
    assert names == {"best.weights.h5", "train", "validation"}
