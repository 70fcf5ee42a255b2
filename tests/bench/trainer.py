"""The Trainer's own loop against Keras' on the same machine, images, model, optimizer and changes.

    from memory      Keras' `fit` on the decoded training images, the same augmentation in the same tf.data
    from files       the loop of Keras' guides: `image_dataset_from_directory`, augmentation layers, `fit`; every epoch
                     decodes and resizes the JPEGs again, or with `.cache()` keeps what the first one decoded

All of them take turns, a few steps each, so that a machine that slows down slows down all alike.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.costs import cpu_seconds

CONFIG = "pipeline/configs/demo.yaml"
STEPS = 20
ROUNDS = 5


def loops(train_files: list[str], folders: Path) -> dict[str, tuple[int, Callable[[int], Any]]]:
    """By name, the images in a step and a function that takes a number of steps.

    Args:
      train_files: transformed examples.
      folders: one folder of JPEGs for each label.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from components import pixels
    from components.trainer.augmentation.augment import augment
    from components.trainer.augmentation.options import changes_of
    from components.trainer.input_pipeline import read_split, training_batches
    from components.trainer.job import TrainingJob
    from components.trainer.loop import TrainingLoop
    from components.trainer.models.build import build_model
    from components.trainer.objectives.classification import ClassifierObjective
    from pipeline.config import read_config

    options = read_config(CONFIG, ["data.annotations=none", "data.images=none"]).trainer
    job = TrainingJob(trainer=options, side=96, channels=1, label_count=2, seed=1)
    side, _, channels = job.raster_shape
    split = read_split(train_files, job.raster_shape, Path(train_files[0]).parent / "train.rasters")
    ours = iter(
        training_batches(
            split,
            batch_size=options.batch_size,
            label_count=2,
            augmentation=options.augmentation,
            seed=1,
            shape=job.raster_shape,
        )
    )
    strategy = tf.distribute.get_strategy()
    model, judged = build_model(job, 10_000), build_model(job, 1)
    objective = ClassifierObjective(options, np.ones(2, np.float32))
    loop = TrainingLoop(model, options, 10_000, objective, strategy=strategy, judged=judged)

    def run_ours(steps: int) -> None:
        for _ in range(steps):
            loop.step(*next(ours))

    def keras_loop(batches: Any) -> Callable[[int], Any]:
        model = build_model(job, 10_000)
        model.compile(
            keras.optimizers.Adam(options.learning_rate),
            keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=options.label_smoothing),
            metrics=["accuracy"],
        )
        return lambda steps: model.fit(batches, steps_per_epoch=steps, verbose=0)

    changes = changes_of(options.augmentation)

    def change(rasters: Any, labels: Any) -> tuple[Any, Any]:
        seed = tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int64)
        images, labels = augment(rasters, labels, None, seed, changes, side=side, channels=channels)
        return pixels.normalize(images), labels

    memory = (
        tf.data.Dataset.from_tensor_slices((split.rasters, np.eye(2, dtype=np.float32)[split.labels]))
        .shuffle(split.count)
        .repeat()
        .batch(options.batch_size, drop_remainder=True)
        .map(tf.autograph.experimental.do_not_convert(change), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )
    layers = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomTranslation(0.05, 0.05),
            keras.layers.RandomContrast(0.1, value_range=(-1, 1)),
            keras.layers.RandomBrightness(0.03, value_range=(-1, 1)),
        ]
    )

    def from_files(*, cached: bool) -> Any:
        images = keras.utils.image_dataset_from_directory(
            folders,
            label_mode="categorical",
            color_mode="grayscale",
            image_size=(side, side),
            batch_size=None,
            shuffle=not cached,
            seed=1,
            verbose=False,
        )
        if cached:
            images = images.cache().shuffle(split.count, seed=1)
        batches = images.repeat().batch(options.batch_size, drop_remainder=True)
        return batches.map(
            lambda image, label: (layers(image, training=True), label), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(2)

    size = options.batch_size
    return {
        "Trainer": (size, run_ours),
        "Keras' fit, from memory": (size, keras_loop(memory)),
        "Keras' fit, from files": (size, keras_loop(from_files(cached=False))),
        "Keras' fit, from files, cached": (size, keras_loop(from_files(cached=True))),
    }


def measure(train_files: list[str], folders: Path, images: int) -> None:
    """Prints images/s by CPU-time and by the clock, and the Trainer's as a ratio.

    Args:
      train_files: transformed examples.
      folders: one folder of JPEGs for each label.
      images: in these folders; each loop has seen all of them before it is measured.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    competitors = loops(train_files, folders)
    for size, run in competitors.values():
        run(images // size + 5)
    for _ in range(ROUNDS):
        for name, (_, run) in competitors.items():
            start = time.perf_counter()
            cpu = cpu_seconds(lambda run=run: run(STEPS))
            found.setdefault(name, []).append((cpu, time.perf_counter() - start))
    size = next(iter(competitors.values()))[0]
    best = {name: [min(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    ours = best.pop("Trainer")
    rates = [STEPS * size / seconds for seconds in ours]
    print(f"Trainer     {rates[0]:>7,.0f} images/CPU-s, {rates[1]:,.0f} images/s on the clock", flush=True)
    for name, theirs in best.items():
        cpu, wall = (STEPS * size / seconds for seconds in theirs)
        print(
            f"            {name:<32} {cpu:>5,.0f} images/CPU-s, {wall:>5,.0f} images/s   "
            f"ratio {theirs[0] / ours[0]:.2f}, {theirs[1] / ours[1]:.2f} on the clock",
            flush=True,
        )
