"""What the Trainer runs: read, build, train or go on training, keep the best, export."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import progress
from components.trainer.checkpoints import CheckpointFolder, Epoch
from components.trainer.initial_weights import copy_report, start_from
from components.trainer.input_pipeline import read_split, training_batches
from components.trainer.job import TrainingJob
from components.trainer.loop import TrainingLoop, class_weights
from components.trainer.models.build import build_model
from components.trainer.signatures import export

BEST_WEIGHTS = "best.weights.h5"


class _Curves:
    """TensorBoard's curves of both splits, named as Keras names them."""

    def __init__(self, run_dir: str) -> None:
        self._train = tf.summary.create_file_writer(f"{run_dir}/train")
        self._validation = tf.summary.create_file_writer(f"{run_dir}/validation")

    def write(self, number: int, epoch: Epoch) -> None:
        """Adds one epoch, counted from 0."""
        with self._train.as_default(number):
            tf.summary.scalar("epoch_loss", epoch.train_loss)
            tf.summary.scalar("epoch_accuracy", epoch.train_accuracy)
            tf.summary.scalar("epoch_learning_rate", epoch.learning_rate)
        with self._validation.as_default(number):
            tf.summary.scalar("epoch_loss", epoch.eval_loss)
            tf.summary.scalar("epoch_accuracy", epoch.eval_accuracy)
            if epoch.eval_auc is not None:
                tf.summary.scalar("epoch_auc", epoch.eval_auc)
        self._train.flush()
        self._validation.flush()


def _glob(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))


def train(
    job: TrainingJob,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    run_dir: str,
    checkpoints: CheckpointFolder,
) -> keras.Model:
    """Trains a job's model and brings back the weights of its best epoch on the eval split.

    Args:
      job: what to train.
      train_files: TFRecord files of transformed training examples.
      eval_files: the same of the eval split.
      run_dir: where TensorBoard's curves and the best weights go.
      checkpoints: where the training goes on from, and leaves what the next one would need.

    Returns:
      The model with the best epoch's weights: the averaged ones, if there are averages.

    Raises:
      ConfigError: if a batch is larger than the train split.
      ModelError: if the training diverges.
      StorageError: if a checkpoint cannot be written or read.
    """
    options = job.trainer
    keras.utils.set_random_seed(job.seed)
    train_split = read_split(train_files, job.raster_shape, checkpoints.path / "train.rasters")
    eval_split = read_split(eval_files, job.raster_shape, checkpoints.path / "eval.rasters")
    steps_per_epoch = math.ceil(train_split.count / options.batch_size)
    weights = (
        class_weights(train_split.labels, job.label_count)
        if options.class_balance == "weights"
        else np.ones(job.label_count, np.float32)
    )
    model = build_model(job, options.epochs * steps_per_epoch)
    start_from(model, options, job.side, job.initial_weights_sha256, report_dir=run_dir)
    loop = TrainingLoop(model, options, steps_per_epoch, weights)
    if (checkpoint := checkpoints.read()) is not None:
        loop.restore(checkpoint)
        logging.info("going on after step %d from %s", loop.position.step, checkpoints.path)
    curves = _Curves(run_dir)
    for number, epoch in enumerate(loop.position.history):  # TFX has deleted what the killed run had written
        curves.write(number, epoch)
    batches = iter(
        training_batches(
            train_split,
            batch_size=options.batch_size,
            label_count=job.label_count,
            augmentation=options.augmentation,
            seed=job.seed,
            balanced=options.class_balance == "sampling",
            first_step=loop.position.step,
        )
    )
    while not loop.is_finished:
        loop.step(*next(batches))
        progress.report(loop.position.step, loop.total_steps, "steps")
        if loop.is_epoch_over:
            epoch = loop.finish_epoch(eval_split)
            curves.write(len(loop.position.history) - 1, epoch)
            logging.info("epoch %d: %s", len(loop.position.history), epoch.to_json())
        if loop.is_epoch_over or loop.position.step % options.checkpoint_interval_steps == 0:
            checkpoints.write(loop.checkpoint())
    loop.model.set_weights(loop.best)
    loop.model.save_weights(f"{run_dir}/{BEST_WEIGHTS}")
    return loop.model


def run_fn(fn_args: Any) -> None:
    """TFX's entry point.

    Args:
      fn_args: TFX's `FnArgs`; of `custom_config`, `job` holds a `TrainingJob` as JSON, `code_digest` the digest of the
        code, and `checkpoint_root` the folder of all jobs' checkpoints.
    """
    custom = fn_args.custom_config
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    train_files, eval_files = _glob(fn_args.train_files), _glob(fn_args.eval_files)
    checkpoints = CheckpointFolder(
        Path(custom["checkpoint_root"]), [custom["job"], custom["code_digest"]], [*train_files, *eval_files]
    )
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    model = train(TrainingJob.from_json(custom["job"]), train_files, eval_files, fn_args.model_run_dir, checkpoints)
    export(model, transform_output.transform_features_layer(), fn_args.serving_model_dir)
    copy_report(fn_args.model_run_dir, fn_args.serving_model_dir)
    checkpoints.delete()
