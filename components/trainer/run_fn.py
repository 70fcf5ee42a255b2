"""What the Trainer runs: read, build, train, keep the best, export."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from pydantic import Field

from components import progress
from components.options import Options
from components.trainer.initial_weights import copy_report, start_from
from components.trainer.input_pipeline import evaluation_batches, read_split, training_batches
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.optimization import batch_norm_momentum, build_optimizer
from components.trainer.options import TrainerOptions
from components.trainer.signatures import export

BACKBONES = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}
CHECKPOINT_METRIC = "val_accuracy"


class TrainingJob(Options):
    """Everything that `run_fn` has to know, as one JSON exec property.

    Attributes:
      trainer: the config section `trainer`.
      side: of the rasters, in pixels.
      channels: of the rasters.
      label_count: number of labels.
      seed: of initial weights, data order and augmentation.
      initial_weights_sha256: of what `trainer.initial_weights` names, as the run found it; None where it names nothing.
    """

    trainer: TrainerOptions
    side: int
    channels: int
    label_count: int = Field(ge=2)
    seed: int
    initial_weights_sha256: str | None = None

    @property
    def raster_shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        return self.side, self.side, self.channels


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras publishes no types
    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._done += 1
        progress.report(self._done, self._total_steps, "steps")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logging.info("epoch %d: %s", epoch + 1, {name: round(float(value), 4) for name, value in (logs or {}).items()})


def _glob(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))


def build_model(job: TrainingJob, total_steps: int) -> keras.Model:
    """The untrained model of a job."""
    options = job.trainer
    return BACKBONES[options.backbone](
        side=job.side,
        channels=job.channels,
        classes=job.label_count,
        alpha=options.alpha,
        dropout=options.dropout,
        weight_decay=options.weight_decay,
        batch_norm_momentum=batch_norm_momentum(options.max_batch_norm_momentum, total_steps),
        activation=options.activation,
        border=options.border,
    )


def train(job: TrainingJob, train_files: Sequence[str], eval_files: Sequence[str], run_dir: str) -> keras.Model:
    """Trains a job's model and brings back the weights of its best epoch on the eval split.

    Args:
      job: what to train.
      train_files: TFRecord files of transformed training examples.
      eval_files: the same of the eval split.
      run_dir: where TensorBoard's scalars and the best checkpoint go.
    """
    options = job.trainer
    keras.utils.set_random_seed(job.seed)
    train_split = read_split(train_files, job.raster_shape)
    eval_split = read_split(eval_files, job.raster_shape)
    steps_per_epoch = math.ceil(train_split.count / options.batch_size)
    model = build_model(job, options.epochs * steps_per_epoch)
    start_from(model, options, job.side, job.initial_weights_sha256, report_dir=run_dir)
    # XLA makes depthwise convolutions 15 times slower on a CPU.
    model.compile(
        optimizer=build_optimizer(options, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=options.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,
    )
    checkpoint = f"{run_dir}/best.weights.h5"
    model.fit(
        training_batches(
            train_split,
            batch_size=options.batch_size,
            label_count=job.label_count,
            augmentation=options.augmentation,
            seed=job.seed,
        ),
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # the batches are
        epochs=options.epochs,
        validation_data=evaluation_batches(eval_split, batch_size=options.batch_size, label_count=job.label_count),
        callbacks=[
            keras.callbacks.TensorBoard(run_dir, write_graph=False),
            keras.callbacks.ModelCheckpoint(
                checkpoint, monitor=CHECKPOINT_METRIC, mode="max", save_best_only=True, save_weights_only=True
            ),
            _Progress(options.epochs * steps_per_epoch),
        ],
        verbose=0,
    )
    model.load_weights(checkpoint)
    return model


def run_fn(fn_args: Any) -> None:
    """TFX's entry point.

    Args:
      fn_args: TFX's `FnArgs`; `custom_config["job"]` holds a `TrainingJob` as JSON.
    """
    job = TrainingJob.from_json(fn_args.custom_config["job"])
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    model = train(job, _glob(fn_args.train_files), _glob(fn_args.eval_files), fn_args.model_run_dir)
    export(model, transform_output.transform_features_layer(), fn_args.serving_model_dir)
    copy_report(fn_args.model_run_dir, fn_args.serving_model_dir)
