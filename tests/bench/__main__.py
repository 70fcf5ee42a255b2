"""Measures the stages against plain loops over the same images, in one run: `make bench`.

    make bench                            500 and 2,000 drawn images
    make bench ARGS="--images 1000,5000"

Each stage runs as the pipeline runs it, as a node of the real graph, on a smaller and a larger set. The difference
gives its cost per image, the rest is what it costs to start. The floor is the least code that does the same work with
the same library, on the same images. Times are CPU-seconds of all threads, which hold still on a busy machine.
"""

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHAPE = (96, 96, 1)
BATCH = 96
TRAIN_STEPS = 30
ROUNDS = 3
CONFIG = "pipeline/configs/vww_mobilenet_v1_025_96_gray.yaml"


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of one piece of work: what it costs to start, and per image."""

    start: float
    per_image: float


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU-seconds that `work` takes, in this process and its children."""

    def spent() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    start = spent()
    work()
    return spent() - start


def cost(work: Callable[[int], Any], sizes: tuple[int, int]) -> Cost:
    """The cost of `work(size)`, from its fastest of three rounds at either size."""
    small, large = (min(cpu_seconds(lambda size=size: work(size)) for _ in range(ROUNDS)) for size in sizes)
    per_image = (large - small) / (sizes[1] - sizes[0])
    return Cost(start=small - per_image * sizes[0], per_image=per_image)


def show(stage: str, measured: Cost, floor_name: str, floor: Cost) -> None:
    """One row."""
    print(
        f"{stage:<11} {1 / measured.per_image:>7,.0f} images/CPU-s, {measured.start:>4.1f} s to start   "
        f"{floor_name:<38} {1 / floor.per_image:>7,.0f} images/CPU-s   "
        f"ratio {floor.per_image / measured.per_image:.2f}",
        flush=True,
    )


class DataStages:
    """CocoExampleGen and Transform as nodes of the graph, on sets of two sizes."""

    _BEFORE: ClassVar = {
        "CocoExampleGen": (),
        "Transform": ("CocoExampleGen", "CuratedSchema", "StatisticsGen", "ExampleValidator"),
    }
    _OUTPUT: ClassVar = {"CocoExampleGen": "examples", "Transform": "transformed_examples"}

    def __init__(self, sizes: tuple[int, int], folder: Path) -> None:
        from components.example_gen.plan import plan_dataset
        from components.example_gen.sample_data import write_sample_data
        from pipeline.config import read_config

        self.sizes = sizes
        self.transformed = ""
        self._folder = folder
        self._plans: dict[int, Any] = {}
        self._configs: dict[int, Any] = {}
        for size in sizes:
            data = folder / f"data-{size}"
            write_sample_data(data, images=size, seed=1, workers=2)
            settings = [f"data.annotations={data}/instances.json", f"data.images={data}/images"]
            self._configs[size] = read_config(CONFIG, [*settings, f"run.root={folder}/run-{size}"])
            self._plans[size] = plan_dataset(self._configs[size].data)

    def node_cost(self, node: str) -> Cost:
        """What the node costs; leaves the folder of its larger output in `transformed`."""
        seconds = {}
        for size in self.sizes:
            rounds = []
            for _ in range(ROUNDS):
                runner = self._prepare(size, node)
                rounds.append(cpu_seconds(lambda runner=runner: runner.launch(node)))
                self.transformed = runner.output_uri(node, self._OUTPUT[node])
            seconds[size] = min(rounds)
        small, large = self.sizes
        per_image = (seconds[large] - seconds[small]) / (large - small)
        return Cost(seconds[small] - per_image * small, per_image)

    def read_and_write(self, size: int) -> None:
        """The floor of CocoExampleGen."""
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(self._folder / "plain.tfrecord")) as writer:
            for image in self._plans[size].records:
                writer.write(Path(image.path).read_bytes())

    def decode_and_resize(self, size: int) -> None:
        """The floor of Transform."""
        import tensorflow as tf

        from components.transform.image_ops import rasterize

        images = tf.data.Dataset.from_tensor_slices([image.path for image in self._plans[size].records])
        images = images.map(lambda path: rasterize(tf.io.read_file(path), SHAPE[0], SHAPE[2]), tf.data.AUTOTUNE)
        for _ in images:
            pass

    def _prepare(self, size: int, node: str) -> Any:
        from components.pusher.options import CodeVersion
        from pipeline.graph import RunFacts, create_pipeline
        from pipeline.local import LocalRunner

        # A fingerprint that no earlier round had, so that the measured node is not reused from a cache.
        fingerprint = f"{time.time_ns()}"
        facts = RunFacts(fingerprint, fingerprint, None, CodeVersion(version="bench", commit=None, dirty=None))
        root = Path(self._configs[size].run.root)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        runner = LocalRunner(create_pipeline(self._configs[size], facts), fingerprint)
        for earlier in self._BEFORE[node]:
            runner.launch(earlier)
        return runner


def bench_data_stages(sizes: tuple[int, int], folder: Path) -> Path:
    """Two rows; returns the folder of the larger transformed set."""
    stages = DataStages(sizes, folder)
    example_gen = stages.node_cost("CocoExampleGen")
    show("ExampleGen", example_gen, "read each file, write one TFRecord", cost(stages.read_and_write, sizes))
    transform = stages.node_cost("Transform")
    show("Transform", transform, "tf.data: read, decode, resize", cost(stages.decode_and_resize, sizes))
    return Path(stages.transformed)


def bench_trainer(transformed: Path) -> None:
    """Training steps from the transformed examples against the same model fed with one batch from memory."""
    import keras

    from components.trainer.input_pipeline import read_split, training_batches
    from components.trainer.run_fn import TrainingJob, build_model
    from components.transformed_examples import split_files
    from pipeline.config import read_config

    options = read_config(CONFIG, ["data.annotations=none", "data.images=none"]).trainer
    job = TrainingJob(trainer=options, side=SHAPE[0], channels=SHAPE[2], label_count=2, seed=1)
    split = read_split(split_files(str(transformed), "train"), SHAPE)
    batches = training_batches(split, batch_size=BATCH, label_count=2, augmentation=options.augmentation, seed=1)
    memory = batches.take(1).cache().repeat()

    def steps_cost(data: Any) -> Cost:
        model = build_model(job, TRAIN_STEPS)
        model.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
        model.fit(data, steps_per_epoch=3, epochs=1, verbose=0)
        seconds = min(
            cpu_seconds(lambda: model.fit(data, steps_per_epoch=TRAIN_STEPS, epochs=1, verbose=0))
            for _ in range(ROUNDS)
        )
        return Cost(0.0, seconds / (TRAIN_STEPS * BATCH))

    show("Trainer", steps_cost(batches), "the same model, one batch from memory", steps_cost(memory))


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", default="500,2000", help="a smaller and a larger number of drawn images")
    small, large = (int(size) for size in parser.parse_args().images.split(","))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench_trainer(bench_data_stages((small, large), Path(folder)))


if __name__ == "__main__":
    main()
