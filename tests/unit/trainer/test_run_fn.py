"""One tiny training job, from files to a SavedModel."""

import resource
import shutil
from contextlib import contextmanager, nullcontext
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tfx.components.trainer.fn_args_utils import FnArgs

from components import features, pixels, progress
from components.errors import ConfigError, ModelError, StorageError
from components.rasters import rasterize
from components.trainer.augmentation.options import Brightness, HorizontalFlip, MixUp, Rotation, Shift
from components.trainer.checkpoints import FILE_NAME, CheckpointFolder
from components.trainer.job import TrainingJob
from components.trainer.models.build import build_model
from components.trainer.options import (
    SGD,
    Adam,
    BestBy,
    CosineSchedule,
    EarlyStopping,
    TrainerOptions,
)
from components.trainer.run_fn import run_fn, train

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
        "augmentation": (HorizontalFlip(name="horizontal_flip"), Brightness(name="brightness", max_delta=0.05)),
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


class Killed(BaseException):
    """Stands for the end of the process: nothing of the Trainer's catches it."""


@contextmanager
def listening(listener):
    progress.listen(listener)
    try:
        yield
    finally:
        progress._on_report.remove(listener)


class Trained:
    def __init__(self, data, run_dir, job, kill_at=()):
        self.run_dir = run_dir
        self.reports = []
        files = split_files(data, "train"), split_files(data, "eval")
        self.checkpoints = CheckpointFolder(
            run_dir.parent / f"{run_dir.name}-checkpoints", job.to_json(), "code", files[0]
        )

        def listener(done, total, unit, detail):
            self.reports.append((done, total, unit))
            if done == stop:
                raise Killed

        for stop in (*kill_at, None):
            with listening(listener), nullcontext() if stop is None else pytest.raises(Killed):
                shutil.rmtree(run_dir)  # as TFX does with what an interrupted execution has left
                run_dir.mkdir()
                self.model = train(job, *files, str(run_dir), self.checkpoints)

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
            custom_config={
                "job": make_job(epochs=EPOCHS).to_json(),
                "code_digest": "some code",
                "checkpoint_root": str(root / "checkpoints"),
                "gpus": 0,
            },
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
    last_steps = [(epoch + 1) * COUNT // 16 - 1 for epoch in range(EPOCHS)]
    assert rates == pytest.approx([0.005 * (1 + np.cos(np.pi * step / 16)) for step in last_steps], rel=1e-5)
    assert len(trained.scalars("validation", "epoch_auc")) == EPOCHS


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


# Best epoch, early stopping, divergence.


def test_train_early_stopping_ends_after_its_patience_with_the_epoch_of_the_lowest_loss(data, tmp_path):
    job = make_job(
        epochs=6, best_by=BestBy(metric="loss"), early_stopping=EarlyStopping(patience_epochs=2, min_delta=100.0)
    )
    trained = Trained(data, make_folder(tmp_path / "run"), job)
    losses = trained.scalars("validation", "epoch_loss")
    # The first epoch always counts as a gain; no later one gains 100.
    assert len(losses) == 3
    assert trained.reports[-1] == (3 * COUNT // 16, 6 * COUNT // 16, "steps")
    rasters, labels = eval_data(data)
    logits = trained.model(pixels.normalize(rasters.astype(np.float32)), training=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert float(loss) == pytest.approx(min(losses), rel=1e-5)


def test_train_batch_larger_than_the_split_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.batch_size=65 is more than the 64 images") as caught:
        Trained(data, make_folder(tmp_path / "run"), make_job(batch_size=65))
    assert "--set trainer.batch_size=16" in caught.value.hint


def test_train_diverging_stops_at_once_and_keeps_the_last_good_checkpoint(data, tmp_path):
    job = make_job(optimizer=SGD(name="sgd"), learning_rate=1e30, epochs=3, checkpoint_interval_steps=1, weight_decay=1)
    with pytest.raises(ModelError, match=r"loss=\S+ at step \d+ of 12, epoch 1, learning rate [\d.]+e\+\d+") as caught:
        Trained(data, make_folder(tmp_path / "run"), job)
    assert "--set trainer.learning_rate=3.3e+29" in caught.value.hint
    checkpoints = CheckpointFolder(tmp_path / "run-checkpoints", job.to_json(), "code", split_files(data, "train"))
    kept = checkpoints.read()
    assert kept is None or all(np.isfinite(array).all() for array in kept.variables)


# Going on.


RESUMED = {
    "epochs": 3,
    "dropout": 0.3,
    "ema_decay": 0.9,
    "checkpoint_interval_steps": 3,
    "class_balance": "sampling",
    "augmentation": (
        Shift(name="shift", max_fraction=0.2),
        Rotation(name="rotation", max_degrees=20),
        MixUp(name="mixup", alpha=0.3),
    ),
}


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    return Trained(data, tmp_path_factory.mktemp("uninterrupted"), make_job(**RESUMED))


@pytest.mark.parametrize("kill_at", [(2, 5), (12,)])
def test_train_killed_and_started_again_reaches_the_same_bits(uninterrupted, data, tmp_path, kill_at):
    resumed = Trained(data, make_folder(tmp_path / "run"), make_job(**RESUMED), kill_at)
    for found, expected in zip(resumed.model.get_weights(), uninterrupted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for part, tag in (("train", "epoch_loss"), ("train", "epoch_accuracy"), ("validation", "epoch_loss")):
        assert resumed.scalars(part, tag) == uninterrupted.scalars(part, tag)
    # The checkpoints are those after steps 3, 4 (an epoch's last), 6, 8 and 9; step 12 is reported before its own.
    repeated = {(2, 5): [1, 2, 1, 2, 3, 4, 5, *range(5, 13)], (12,): [*range(1, 13), *range(10, 13)]}
    assert [done for done, _, _ in resumed.reports] == repeated[kill_at]


def test_train_on_a_full_disk_is_a_storage_error_and_keeps_the_earlier_checkpoint(data, tmp_path, request):
    """A limit on the size of files stands for the full disk: the same call fails, with EFBIG for ENOSPC."""
    job = make_job(checkpoint_interval_steps=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))

    def fill_the_disk(done, total, unit, detail):
        if done == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))

    with listening(fill_the_disk), pytest.raises(StorageError, match="run-checkpoints") as caught:
        Trained(data, make_folder(tmp_path / "run"), job)
    assert "step=3" in caught.value.message
    checkpoints = CheckpointFolder(tmp_path / "run-checkpoints", job.to_json(), "code", split_files(data, "train"))
    assert checkpoints.read().position.step == 2
    assert [path.name for path in checkpoints.path.iterdir()] == [FILE_NAME]


def test_run_fn_deletes_the_checkpoints_of_a_finished_job(trainer_output):
    assert not (trainer_output / "checkpoints").exists()


# Averages.


def test_export_holds_the_averages_bit_by_bit(data, transform_graph, tmp_path):
    job = make_job(epochs=1, ema_decay=0.99)
    trained = Trained(data, make_folder(tmp_path / "run"), job)
    run_fn(
        FnArgs(
            train_files=[str(data / "Split-train/*")],
            eval_files=[str(data / "Split-eval/*")],
            transform_graph_path=transform_graph.uri,
            serving_model_dir=str(tmp_path / "serving"),
            model_run_dir=str(tmp_path / "model_run"),
            custom_config={
                "job": job.to_json(),
                "code_digest": "",
                "checkpoint_root": str(tmp_path / "checkpoints"),
                "gpus": 0,
            },
        )
    )
    state = trained.checkpoints.read().variables
    names = [weight.path for weight in trained.model.weights]
    shadows = dict(zip(names, state[-len(names) :], strict=True))
    raw = dict(zip((variable.path for variable in trained.model.variables), state, strict=False))
    exported = {variable.name.removesuffix(":0"): variable for variable in exported_variables(tmp_path / "serving")}
    for name, shadow in shadows.items():
        np.testing.assert_array_equal(exported[name].numpy(), shadow, err_msg=name)
    moving = [name for name in names if "moving_mean" in name]
    assert len(moving) == 27
    assert all(not np.array_equal(raw[name], shadows[name]) for name in moving)
    assert all(not np.array_equal(raw[name], shadows[name]) for name in names if "kernel" in name)


def exported_variables(path):
    return tf.saved_model.load(str(path)).variables


def make_folder(path):
    path.mkdir()
    return path


def eval_data(root):
    """Rasters and labels of the eval split, as they were written."""
    records = [
        tf.train.Example.FromString(record).features.feature
        for record in tf.data.TFRecordDataset(split_files(root, "eval"), "GZIP").as_numpy_iterator()
    ]
    rasters = [tf.io.parse_tensor(r[features.RASTER].bytes_list.value[0], tf.uint8).numpy() for r in records]
    return np.stack(rasters), np.array([r[features.TRANSFORMED_LABEL].int64_list.value[0] for r in records])


def test_run_fn_that_asked_for_gpus_that_are_not_there_stops_before_it_reads_anything():
    with pytest.raises(ConfigError, match="gpus=1 were asked for, and TensorFlow sees 0"):
        run_fn(FnArgs(custom_config={"gpus": 1}))
