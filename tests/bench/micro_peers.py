"""Measures int8 models beside each other under TFLite Micro, in one run: bytes, arena, MACs, accuracy.

    .venv/bin/python -m tests.bench.micro_peers --annotations coco128/instances.json --images coco128/images FILE ...

Every FILE is a `.tflite` with one image as its input and two scores as its output, the second that of "person". Each is
slimmed and compared with its slim form on every image, and the slim one is judged: whole image resized, fed as a camera
delivers it, labelled by the rule `slim`. Prints Markdown.
"""

import argparse
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.example_gen.coco import find_category, read_annotations
from components.example_gen.labeling import LABEL_RULES, label_image
from components.quantization.equality import compare_flatbuffers
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.metrics import classifier_metrics, dequantize
from components.quantization.slim import slim_flatbuffer
from components.quantization.tflm import run_under_tflm
from pipeline.evaluation.feeding import feed, image_shape
from pipeline.evaluation.image_files import read_image_file

RULE = "slim"
TIME_LIMIT_S = 600.0
COLUMNS = (
    "model", "bytes", "slim", "differing images", "arena before", "arena after", "MACs", "operators", "accuracy", "AUC",
)  # fmt: skip


def label_files(annotations: str, images: Path) -> list[tuple[Path, int]]:
    """Image files with their label: 1 where the rule finds a person."""
    dataset = read_annotations(annotations)
    person = find_category(dataset, "person")
    parameters = LABEL_RULES[RULE].parameters
    assert parameters is not None
    found = ((record, label_image(record, [person], parameters).label) for record in dataset.images)
    return [(images / record.file_name, label) for record, label in found if label is not None]


def measure(file: Path, files: list[tuple[Path, int]]) -> list[str]:
    """One row of the table."""
    data = file.read_bytes()
    slim = slim_flatbuffer(data).flatbuffer
    report = inspect_flatbuffer(slim)
    source = report.inputs[0]
    shape = image_shape(source.shape, file.name)
    codes = feed(np.stack([read_image_file(path, shape) for path, _ in files]), source, "-1..1")
    equality = compare_flatbuffers(data, slim, codes, time_limit_s=TIME_LIMIT_S)
    assert equality.arena_before is not None, equality.failure
    assert equality.arena_after is not None, equality.failure
    found = classifier_metrics(_scores(slim, codes), np.array([label for _, label in files]))
    return [
        file.name,
        f"{len(data):,}",
        f"{len(slim):,}",
        f"{equality.differing_images} of {equality.images}",
        f"{equality.arena_before.total_bytes:,}",
        f"{equality.arena_after.total_bytes:,}",
        f"{report.macs:,}",
        str(equality.operators),
        f"{found.accuracy:.4f}",
        "-" if found.auc is None else f"{found.auc:.4f}",
    ]


def _scores(flatbuffer: bytes, codes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    run = run_under_tflm(flatbuffer, codes, time_limit_s=TIME_LIMIT_S)
    assert run.outputs is not None, run.failure
    return dequantize(run.outputs[0].reshape(len(codes), -1), inspect_flatbuffer(flatbuffer).outputs[0])


def print_markdown(rows: Iterable[list[str]]) -> None:
    """A table, and where it was measured."""
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\n{platform.machine()}, Python {platform.python_version()}, commit {commit.stdout.strip()}")


def main() -> None:
    """Reads the set, measures every file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", required=True, help="a COCO instances file")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+")
    arguments = parser.parse_args()
    files = label_files(arguments.annotations, arguments.images)
    positives = sum(label for _, label in files)
    print(f"{len(files):,} images, {positives:,} of them with a person by the rule `{RULE}`\n")
    print_markdown(measure(file, files) for file in arguments.files)


if __name__ == "__main__":
    main()
