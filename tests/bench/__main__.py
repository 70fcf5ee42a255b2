"""Measures the stages against plain loops over the same images, in one run: `make bench`.

    make bench                                            everything, about 10 minutes and 8 GB of disk
    make bench ARGS="--images 500,2000 --only data"       rows of ExampleGen and Transform, on fewer images

Each stage runs as the pipeline runs it, as a node of the real graph, on a smaller and a larger set. The difference
gives its cost per image, the rest is what it costs to start. The floor is the least code that does the same work with
the same library, on the same images. Times are CPU-seconds of all threads, which hold still on a busy machine; only
the speed-up by a second worker is read from the clock. The images are as heavy as COCO's.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.bench import detection, trainer
from tests.bench.costs import ROUNDS, Cost, cost, cpu_seconds, split_cost, wall_seconds
from tests.bench.images import COCO_LIKE, TINY, BenchSet
from tests.bench.memory import peak_mib
from tests.bench.nodes import run_node

SHAPE = (96, 96, 1)
MEMORY_SIZES = (5_000, 50_000)
SCALING_FACTOR = 3  # times the larger number of images, so that the work outweighs the workers' start


def show(stage: str, measured: Cost, floors: dict[str, Cost]) -> None:
    """One row for each floor."""
    for name, floor in floors.items():
        print(
            f"{stage:<11} {1 / measured.per_image:>7,.0f} images/CPU-s, {measured.start:>4.1f} s to start   "
            f"{name:<42} {1 / floor.per_image:>7,.0f} images/CPU-s   "
            f"ratio {floor.per_image / measured.per_image:.2f}",
            flush=True,
        )


def paths(images: BenchSet, size: int) -> Iterator[Path]:
    """The files of the first `size` images."""
    return (images.images / f"{number:012d}.jpg" for number in range(size))


def bench_example_gen(images: BenchSet, sizes: tuple[int, int], folder: Path) -> None:
    """CocoExampleGen against copying the bytes, and against a loop that writes them as examples."""
    import tensorflow as tf

    def run(size: int) -> float:
        return run_node("CocoExampleGen", images.annotations(size), images.images, folder / "run", measure=cpu_seconds)[
            0
        ]

    measured = split_cost({size: min(run(size) for _ in range(ROUNDS)) for size in sizes})
    plain = folder / "plain.tfrecord"

    def copy(size: int) -> None:
        plain.unlink(missing_ok=True)
        with tf.io.TFRecordWriter(str(plain)) as writer:
            for path in paths(images, size):
                writer.write(path.read_bytes())

    def write_examples(size: int) -> None:
        plain.unlink(missing_ok=True)
        with tf.io.TFRecordWriter(str(plain)) as writer:
            for number, path in enumerate(paths(images, size)):
                feature = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())

    floors = {
        "copy each file into one TFRecord": cost(copy, sizes),
        "write each file and a label as an Example": cost(write_examples, sizes),
    }
    plain.unlink()
    show("ExampleGen", measured, floors)


def bench_scaling(images: BenchSet, sizes: tuple[int, int], folder: Path) -> None:
    """What two worker processes bring over work in the step's own, on the clock."""

    def per_image(workers: int) -> float:
        seconds = {}
        for size in sizes:
            rounds = [
                run_node(
                    "CocoExampleGen",
                    images.annotations(size),
                    images.images,
                    folder / "run",
                    measure=wall_seconds,
                    workers=workers,
                )[0]
                for _ in range(2)
            ]
            seconds[size] = min(rounds)
        return split_cost(seconds).per_image

    one, two = per_image(1), per_image(2)
    print(
        f"ExampleGen  {1 / one:,.0f} images/s in one process, {1 / two:,.0f} with 2 workers   speed-up {one / two:.2f}",
        flush=True,
    )


def bench_memory(images: BenchSet, folder: Path) -> None:
    """Peak memory of CocoExampleGen at two sizes."""
    small, large = (peak_mib(images.annotations(size), images.images, folder / "memory-run") for size in MEMORY_SIZES)
    per_image = (large - small) * 1024 / (MEMORY_SIZES[1] - MEMORY_SIZES[0])
    print(
        f"ExampleGen  peak memory {small:,.0f} MiB at {MEMORY_SIZES[0]:,} images, {large:,.0f} MiB at"
        f" {MEMORY_SIZES[1]:,}   {per_image:.2f} KiB an image",
        flush=True,
    )


def bench_transform(images: BenchSet, sizes: tuple[int, int], folder: Path) -> None:
    """Transform against tf.data's decode and resize."""
    import tensorflow as tf

    from components.rasters import rasterize

    def run(size: int) -> float:
        return run_node("Transform", images.annotations(size), images.images, folder / "run", measure=cpu_seconds)[0]

    def decode_and_resize(size: int) -> None:
        files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths(images, size)])
        for _ in files.map(lambda path: rasterize(tf.io.read_file(path), SHAPE[0], SHAPE[2]), tf.data.AUTOTUNE):
            pass

    floors = {"tf.data: read, decode, resize": cost(decode_and_resize, sizes)}
    show("Transform", split_cost({size: min(run(size) for _ in range(ROUNDS)) for size in sizes}), floors)


def bench_trainer(images: BenchSet, size: int, folder: Path) -> None:
    """Training steps as the Trainer takes them against Keras' loop, fed from memory and from the files."""
    from components.transformed_examples import split_files

    _, uri = run_node("Transform", images.annotations(size), images.images, folder / "run", measure=cpu_seconds)
    labelled = folder / "labelled"
    for number, path in enumerate(paths(images, size)):
        link = labelled / str(number % 2) / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    trainer.measure(split_files(uri, "train"), labelled, size)


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", default="1000,5000", help="a smaller and a larger number of images")
    rows = ("data", "trainer", "scaling", "memory", "detection")
    parser.add_argument("--only", choices=rows, help="these rows alone")
    arguments = parser.parse_args()
    small, large = (int(size) for size in arguments.images.split(","))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    if arguments.only in (None, "detection"):
        detection.measure()
    if arguments.only == "detection":  # no image is drawn for it
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.only != "memory":
            heavy = BenchSet(
                folder / "heavy", large * (SCALING_FACTOR if arguments.only in (None, "scaling") else 1), COCO_LIKE
            )
            print(f"images of {COCO_LIKE[0]}x{COCO_LIKE[1]} pixels and {heavy.mean_bytes / 1000:.0f} kB", flush=True)
        if arguments.only in (None, "data"):
            bench_example_gen(heavy, (small, large), folder)
            bench_transform(heavy, (small, large), folder)
        if arguments.only in (None, "trainer"):
            bench_trainer(heavy, small, folder)
        if arguments.only in (None, "scaling"):
            bench_scaling(heavy, (large, SCALING_FACTOR * large), folder)
        if arguments.only in (None, "memory"):
            bench_memory(BenchSet(folder / "tiny", MEMORY_SIZES[1], TINY), folder)


if __name__ == "__main__":
    main()
