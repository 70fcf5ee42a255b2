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
from components.hyperparameters import chosen_values, describe_values
from components.trainer.checkpoints import CheckpointFolder
from components.trainer.curves import Curves
from components.trainer.initial_weights import copy_report, start_from
from components.trainer.job import TrainingJob
from components.trainer.loop import TrainingLoop
from components.trainer.models.build import build_model
from components.trainer.objectives.classification import ClassificationTask
from components.trainer.objectives.detection import DetectionTask
from components.trainer.objectives.objective import Task
from components.trainer.pace import Pace, describe_duration
from components.trainer.replicas import (
    calculating_in,
    check_gpus,
    check_shares,
    describe_devices,
    share_batches,
    training_strategy,
)
from components.trainer.signatures import export
from components.trainer.stages import HEAD, check_frozen_are_loaded
from components.trainer.tuner_options import apply_values
from components.trainer.weights_report import Outcome

BEST_WEIGHTS = "best.weights.h5"


def find_files(patterns: Sequence[str]) -> list[str]:
    """The files that TFX's patterns stand for, sorted."""
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
      ConfigError: if a batch is larger than the train split, or the GPUs cannot share the work.
      ModelError: if the training diverges.
      StorageError: if a checkpoint cannot be written or read.
    """
    options = job.trainer
    strategy = training_strategy()
    check_shares(options, strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(job.seed)  # dropout's seed is exported too
    trained = build_model(job, total_steps=1)  # in float32, whatever the training calculates in
    keras.utils.set_random_seed(job.seed)
    prepare = ClassificationTask if job.trainer.detector is None else DetectionTask
    task = prepare(job, train_files, eval_files, checkpoints.path)
    loop = _start(job, task, checkpoints, run_dir, strategy=strategy, judged=trained)
    batches = task.batches(loop.position.step)
    curves = Curves(run_dir)
    for number, epoch in enumerate(loop.position.history):  # TFX has deleted what the killed run had written
        curves.write_epoch(number, epoch)
    curves.write_images(task.draw(*next(iter(batches))), loop.position.step)
    splits = task.train_split, task.eval_split
    mapped = sum(split.rasters.nbytes for split in splits if isinstance(split.rasters, np.memmap))
    teller = _Teller(loop, options.batch_size, curves, 2 * loop.checkpoint_bytes + mapped)
    shares = iter(share_batches(batches, strategy))
    while not loop.is_finished:
        with teller.pace.step():
            loop.step(*next(shares))
        teller.tell()
        is_epoch_over = loop.is_epoch_over
        if is_epoch_over:
            epoch, evaluation = loop.finish_epoch(task.eval_split)
            number = len(loop.position.history) - 1
            curves.write_epoch(number, epoch)
            curves.write_evaluation(number, evaluation)
            logging.info("epoch %d: %s", number + 1, epoch.to_json())
        if is_epoch_over or loop.position.step % options.checkpoint_interval_steps == 0:
            checkpoints.write(loop.checkpoint())
    trained.set_weights(loop.best)
    trained.save_weights(f"{run_dir}/{BEST_WEIGHTS}")
    return trained


def _start(
    job: TrainingJob,
    task: Task,
    checkpoints: CheckpointFolder,
    run_dir: str,
    *,
    strategy: Any,
    judged: keras.Model,
) -> TrainingLoop:
    """The loop, with its initial weights, or where the checkpoint left it."""
    options = job.trainer
    steps_per_epoch = math.ceil(task.train_split.count / options.batch_size)
    moving = sum(stage.epochs for stage in options.course if stage.train_from != HEAD)
    with strategy.scope(), calculating_in(options.precision):
        model = build_model(job, max(moving * steps_per_epoch, 1))
    report = start_from(
        model, options, job.side, job.initial_weights_sha256, report_dir=run_dir, categories=job.categories
    )
    if report is not None:
        fresh = (layer.layer for layer in report.layers if layer.outcome == Outcome.FRESH)
        check_frozen_are_loaded(fresh, options.course, options.backbone)
    loop = TrainingLoop(model, options, steps_per_epoch, task.objective, strategy=strategy, judged=judged)
    if (checkpoint := checkpoints.read()) is not None:
        loop.restore(checkpoint)
        logging.info("going on after step %d from %s", loop.position.step, checkpoints.path)
        progress.say(f"goes on after step {loop.position.step:,} of {loop.total_steps:,}")
    return loop


class _Teller:
    """Says how a training goes: on the progress line, in TensorBoard, and once what it will cost.

    Args:
      loop: the training.
      batch_size: images in a step.
      curves: TensorBoard's.
      disk_bytes: what checkpoints and decoded images take, about.
    """

    def __init__(self, loop: TrainingLoop, batch_size: int, curves: Curves, disk_bytes: int) -> None:
        self.pace = Pace(batch_size)
        self._loop = loop
        self._batch_size = batch_size
        self._curves = curves
        self._disk_bytes = disk_bytes

    def tell(self) -> None:
        """After every step."""
        loop, speed = self._loop, self.pace.images_per_second
        means = loop.means
        parts = [] if loop.progress is None else [loop.progress]
        parts += [] if speed is None else [f"{speed:,.0f} images/s"]
        progress.report(loop.position.step, loop.total_steps, "steps", ", ".join(parts))
        if speed is not None and self.pace.is_known:
            progress.say(self._cost(speed))
        if speed is not None and means is not None and loop.position.step % max(loop.steps_per_epoch // 20, 1) == 0:
            self._curves.write_step(loop.position.step, means, speed)

    def _cost(self, speed: float) -> str:
        loop = self._loop
        left = loop.total_steps - loop.position.step
        duration = describe_duration(left * self._batch_size / speed)
        return (
            f"{speed:,.0f} images/s on {describe_devices()}: about {duration} "
            f"for the {left:,} steps to come ({loop.steps_per_epoch:,} an epoch), beside the evaluations; "
            f"about {self._disk_bytes / 1e6:,.0f} MB on disk"
        )


def _tuned(job: TrainingJob, hyperparameters: dict[str, Any] | None) -> TrainingJob:
    """The job with what the Tuner chose."""
    if hyperparameters is None:
        return job
    values = chosen_values(hyperparameters)
    progress.say(f"with what the Tuner chose: {describe_values(values)}")
    return job.model_copy(update={"trainer": apply_values(job.trainer, values)})


def run_fn(fn_args: Any) -> None:
    """TFX's entry point.

    Args:
      fn_args: TFX's `FnArgs`; of `custom_config`, `job` holds a `TrainingJob` as JSON, `code_digest` the digest of the
        code, `checkpoint_root` the folder of all jobs' checkpoints, and `gpus` how many have to be there.
        `hyperparameters` is what the Tuner chose, if there is one.

    Raises:
      ConfigError: if GPUs are missing, before anything is read.
    """
    custom = fn_args.custom_config
    check_gpus(custom["gpus"])
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    train_files, eval_files = find_files(fn_args.train_files), find_files(fn_args.eval_files)
    job = _tuned(TrainingJob.from_json(custom["job"]), fn_args.hyperparameters)
    checkpoints = CheckpointFolder(
        Path(custom["checkpoint_root"]), job.to_json(), custom["code_digest"], [*train_files, *eval_files]
    )
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    model = train(job, train_files, eval_files, fn_args.model_run_dir, checkpoints)
    export(model, transform_output.transform_features_layer(), fn_args.serving_model_dir, job)
    copy_report(fn_args.model_run_dir, fn_args.serving_model_dir)
    checkpoints.delete()
