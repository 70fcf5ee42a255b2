"""One tiny detector, from files to its best epoch."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components import features, progress
from components.rasters import encode_raster
from components.trainer.box_split import read_box_split
from components.trainer.checkpoints import CheckpointFolder
from components.trainer.job import TrainingJob
from components.trainer.options import TrainerOptions
from components.trainer.run_fn import train
from components.trainer.tuner_options import TunerOptions
from components.trainer.tuning import build_oracle

SIDE = 48
MAX_BOXES = 6
OPTIONS = {
    "optimizer": {"name": "adam"},
    "schedule": {"name": "cosine"},
    "learning_rate": 0.01,
    "batch_size": 8,
    "epochs": 2,
    "ema_decay": 0.9,
    "checkpoint_interval_steps": 2,
    "augmentation": ({"name": "horizontal_flip"}, {"name": "expand"}, {"name": "erasing"}),
    "detector": {},
}


def make_job(**changes):
    options = TrainerOptions.model_validate({**OPTIONS, **changes})
    return TrainingJob(trainer=options, side=SIDE, channels=1, label_count=2, seed=3)


def write_examples(path, count, seed):
    """Bright squares on noise; every fourth image is empty, and has a crowd."""
    random = np.random.default_rng(seed)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for image in range(count):
            raster = random.integers(40, 90, (SIDE, SIDE, 1)).astype(np.uint8)
            boxes, labels, crowds = np.zeros((MAX_BOXES, 4)), np.zeros(MAX_BOXES, int), np.zeros(MAX_BOXES, int)
            size = random.integers(12, 30)
            top, left = random.integers(0, SIDE - size, 2)
            if image % 4:
                raster[top : top + size, left : left + size] = 220
            boxes[0] = np.array([top, left, top + size, left + size]) / SIDE
            labels[0], crowds[0] = 1, int(image % 4 == 0)
            feature = {
                features.RASTER: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[encode_raster(tf.constant(raster)).numpy()])
                ),
                features.TRANSFORMED_SOURCE_ID: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[str(image).encode()])
                ),
                features.TRANSFORMED_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
                features.BOXES: tf.train.Feature(float_list=tf.train.FloatList(value=boxes.ravel())),
                features.BOX_LABELS: tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
                features.BOX_CROWDS: tf.train.Feature(int64_list=tf.train.Int64List(value=crowds)),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return [str(path)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("examples")
    return write_examples(root / "train.gz", 24, 1), write_examples(root / "eval.gz", 10, 2)


class Killed(BaseException):
    """Stands for the end of the process."""


def train_into(folder, files, job, kill_at=None):
    """The model, and the checkpoint of its last epoch."""
    run_dir, checkpoints = folder / "run", CheckpointFolder(folder / "checkpoints", job.to_json(), "", files[0])

    def kill(done, _total, _unit, _detail):
        if done == kill_at:
            raise Killed

    if kill_at is not None:
        run_dir.mkdir(parents=True)
        progress.listen(kill)
        with pytest.raises(Killed):
            train(job, *files, str(run_dir), checkpoints)
        progress._on_report.remove(kill)
        shutil.rmtree(run_dir)
    run_dir.mkdir(parents=True)
    return train(job, *files, str(run_dir), checkpoints), checkpoints.read()


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    return (folder / "run", *train_into(folder, files, make_job()))


def test_read_box_split_holds_what_was_written_without_needless_padding(files, tmp_path):
    split = read_box_split(files[1], (SIDE, SIDE, 1), tmp_path / "rasters")
    assert (split.count, split.boxes_yxyx.shape) == (10, (10, 1, 4))
    assert split.crowds[:, 0].tolist() == [image % 4 == 0 for image in range(10)]
    for raster, truth in zip(split.rasters[1:4], split.truths[1:4], strict=True):
        ymin, xmin, ymax, xmax = np.rint(truth.boxes_yxyx[0] * SIDE).astype(int)
        assert (raster[ymin:ymax, xmin:xmax] == 220).all()
        assert truth.areas_px[0] == pytest.approx((ymax - ymin) * (xmax - xmin), rel=1e-4)


def test_train_of_a_detector_keeps_the_epoch_with_the_highest_ap(trained):
    _, model, checkpoint = trained
    history = checkpoint.position.history
    assert len(history) == 2
    assert all({"loss", "ap", "ap50"} == set(epoch.eval) for epoch in history)
    assert history[1].train["loss"] < history[0].train["loss"]
    for found, kept in zip(model.get_weights(), checkpoint.best, strict=True):
        np.testing.assert_array_equal(found, kept)


def test_train_of_a_detector_killed_and_started_again_reaches_the_same_bits(trained, files, tmp_path):
    _, model, checkpoint = trained
    resumed, last = train_into(tmp_path, files, make_job(), kill_at=3)
    assert last.position == checkpoint.position
    for found, expected in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_train_of_a_detector_writes_its_curves_and_pictures(trained):
    run_dir, _, _ = trained
    tags = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(run_dir / part)).Reload()
        tags[part] = {kind: set(events.PluginTagToContent(kind)) for kind in ("scalars", "images")}
        if part == "validation":
            assert set(events.PluginTagToContent("pr_curves")) == {"pr_curve/label_1"}
            width, _, *pictures = tf.make_ndarray(events.Tensors("detections")[-1].tensor_proto)
            assert (int(width), len(pictures)) == (288, 10)
    assert {"epoch_loss", "epoch_score_loss", "epoch_box_loss", "epoch_learning_rate"} <= tags["train"]["scalars"]
    assert tags["train"]["images"] == {"train_images"}
    assert tags["validation"]["scalars"] == {"epoch_loss", "epoch_ap", "epoch_ap50"}


def test_tuner_of_a_detector_looks_for_a_high_ap():
    options = TunerOptions.model_validate(
        {"space": {"trainer.learning_rate": {"min": 0.001, "max": 0.1}}, "epochs": 1, "max_trials": 1}
    )
    objective = build_oracle(make_job(), options).objective
    assert (objective.name, objective.direction) == ("ap", "max")
