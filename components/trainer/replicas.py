"""Over which devices a training step is spread, and in which precision it calculates."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from components.errors import ConfigError
from components.trainer.options import Precision, TrainerOptions


def training_strategy(devices: list[str] | None = None) -> Any:
    """All GPUs of this machine where there are several, each with a share of every batch; else its one device.

    Args:
      devices: to use instead of the GPUs, such as `CPU:0` and `CPU:1`.
    """
    chosen = [gpu.name for gpu in tf.config.list_logical_devices("GPU")] if devices is None else devices
    return tf.distribute.MirroredStrategy(chosen) if len(chosen) > 1 else tf.distribute.get_strategy()


def check_gpus(wanted: int) -> None:
    """Checks that as many GPUs are there as were asked for, so that nothing is trained on the CPU by mistake.

    Raises:
      ConfigError: if there are fewer.
    """
    found = [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    if len(found) < wanted:
        raise ConfigError(
            f"gpus={wanted} were asked for, and TensorFlow sees {len(found)}",
            expected="an image with CUDA's libraries, on a node that lends the step as many",
            hint="give the step the GPU image (docker/README.md), and look at the node's driver with nvidia-smi; or ask"
            " for no GPU",
        )


def describe_devices() -> str:
    """What training runs on here, for a person."""
    gpus = len(tf.config.list_logical_devices("GPU"))
    count, kind = (gpus, "GPU") if gpus > 0 else (len(os.sched_getaffinity(0)), "CPU core")
    return f"{count} {kind}{'s' if count != 1 else ''}"


def check_shares(options: TrainerOptions, replicas: int) -> None:
    """Checks that every replica can get the same share of a batch, in a step of a kind that can be shared.

    Raises:
      ConfigError: if not.
    """
    hint = "show fewer GPUs to the run with CUDA_VISIBLE_DEVICES"
    if options.batch_size % replicas != 0:
        raise ConfigError(
            f"trainer.batch_size={options.batch_size} cannot be shared equally by {replicas} GPUs",
            expected=f"a multiple of {replicas}",
            hint=f"--set trainer.batch_size={-(-options.batch_size // replicas) * replicas}, or {hint}",
        )
    if options.xla and replicas > 1:
        raise ConfigError(
            f"trainer.xla=true: XLA cannot compile a step that {replicas} GPUs share",
            expected="one GPU",
            hint=f"--set trainer.xla=false, or {hint}",
        )


def share_batches(batches: Any, strategy: Any) -> Any:
    """The same batches, each cut into one share for every replica and sent to its device ahead of time."""
    return strategy.experimental_distribute_dataset(batches) if strategy.num_replicas_in_sync > 1 else batches


@contextmanager
def calculating_in(precision: Precision) -> Iterator[None]:
    """Models that are built inside the block calculate in that precision; their variables are float32 anyway."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
