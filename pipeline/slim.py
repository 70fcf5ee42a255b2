"""`vww slim`: a smaller file of the same model, and the proof that it is the same."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import ConfigError, ModelError
from components.quantization.contracts import TensorContract
from pipeline.console import RunView, print_table

if TYPE_CHECKING:
    import numpy.typing as npt

    from components.quantization.equality import Equality
    from components.quantization.slim import Slimmed

IMAGES = 100  # are fed to both files where the person names no folder; of a folder this many and more
MOST_IMAGES = 1000
_SEED = 1
_START_S, _IMAGE_S = 60.0, 2.0


def slim_file(file: Path, output: Path | None, images: Path | None, *, as_json: bool, view: RunView) -> None:
    """Writes the slim file beside or where it is asked for, if it gives the same answers, and prints how it got there.

    Args:
      file: a `.tflite` file.
      output: where the slim one goes; `<name>_micro.tflite` beside the file if None.
      images: folder of images for the proof; random ones if None.
      as_json: JSON instead of tables.
      view: where progress goes.

    Raises:
      ConfigError: when the output is the input.
      DataError: when there are no such images.
      ModelError: when the file is no flatbuffer, or its slim form is not the same model under TFLite Micro.
      StorageError: when the output cannot be written.
    """
    target = output or file.with_name(f"{file.stem}_micro.tflite")
    data = read_flatbuffer(file)
    if target.exists() and target.samefile(file):
        raise ConfigError(
            f"{target} is the file that is to be slimmed",
            expected="another file for the output; LiteRT reads the original only",
            hint="-o OTHER.tflite",
        )
    from components.pusher.durable_files import check_replaceable, replace_durably, storage_errors
    from components.quantization.equality import compare_flatbuffers
    from components.quantization.inspect import inspect_flatbuffer
    from components.quantization.slim import slim_flatbuffer

    check_replaceable(target)
    slimmed = slim_flatbuffer(data)
    fed = _images(inspect_flatbuffer(data).inputs, images)
    view.start("TFLite Micro")
    equality = compare_flatbuffers(
        data,
        slimmed.flatbuffer,
        fed,
        time_limit_s=_START_S + _IMAGE_S * len(fed),
        on_progress=lambda done, total: view.advance(done, total, "images"),
    )
    view.finish(f"{len(fed):,} images to each file, twice")
    if equality.is_equal:
        with storage_errors(target, len(slimmed.flatbuffer)):
            replace_durably(target, slimmed.flatbuffer)
    _print(file, target, slimmed, equality, of="random inputs" if images is None else str(images), as_json=as_json)
    if not equality.is_equal:
        raise ModelError(
            f"{file}: the slim file was not written: {equality.difference()}",
            expected="the same answers and the same outputs of every operator, in an arena that is not larger",
            hint="a model that TFLite Micro does not run cannot be proven; `vww inspect` shows what it says",
        )


def read_flatbuffer(file: Path) -> bytes:
    """The content of a file.

    Raises:
      ModelError: when it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}", expected="a .tflite file") from error


def _images(inputs: tuple[TensorContract, ...], folder: Path | None) -> "npt.NDArray[Any]":
    """What is fed, [n, ...] in the input's dtype; `check_input` refuses a model of several inputs later."""
    import numpy as np

    from pipeline.evaluation.feeding import feed, image_shape
    from pipeline.evaluation.image_files import read_image_files

    if not inputs:
        raise ModelError("the model has no input", expected="one input")
    source = inputs[0]
    if folder is not None:
        return feed(read_image_files(folder, image_shape(source.shape, "the model"), MOST_IMAGES), source, "-1..1")
    random = np.random.default_rng(_SEED)
    shape = (IMAGES, *source.shape[1:])
    # Of every brightness and contrast: noise alone would drive all activations to the same few values.
    spread = (1,) * (len(shape) - 1)
    contrast, brightness = (random.uniform(0, 1, (IMAGES, *spread)) for _ in range(2))
    values = np.clip(brightness + contrast * (random.uniform(0, 1, shape) - 0.5), 0, 1)  # of the input's range
    if source.dtype.startswith("float"):
        return (2 * values - 1).astype(source.dtype)
    if not np.issubdtype(source.dtype, np.integer):
        raise ModelError(f"the model's input is {source.dtype}", expected="numbers")
    limits = np.iinfo(source.dtype)
    return np.round(limits.min + values * (float(limits.max) - limits.min)).astype(source.dtype)


def _print(file: Path, target: Path, slimmed: "Slimmed", equality: "Equality", *, of: str, as_json: bool) -> None:
    if as_json:
        steps = [
            {"name": step.name, "bytes_before": step.bytes_before, "bytes_after": step.bytes_after}
            for step in slimmed.steps
        ]
        found = {"steps": steps, "equality": equality.model_dump(mode="json"), "equal": equality.is_equal}
        sys.stdout.write(json.dumps({"file": str(file), "output": str(target), **found}, indent=2) + "\n")
        return
    rows = [[step.name, f"{step.bytes_before - step.bytes_after:,}", f"{step.bytes_after:,}"] for step in slimmed.steps]
    whole = slimmed.steps[0].bytes_before
    print_table(f"{file}: {whole:,} bytes", ["step", "saves", "bytes after it"], rows)
    if equality.is_equal:
        arena = "" if equality.arena_after is None else f"{equality.arena_after.total_bytes:,}"
        sys.stdout.write(
            f"Equal under TFLite Micro: {equality.images:,} images ({of}), the answers and the outputs of all "
            f"{equality.operators} operators to the bit; arena {arena} bytes (64-bit host) as before.\n"
            f"Written: {target}, {len(slimmed.flatbuffer):,} bytes, {1 - len(slimmed.flatbuffer) / whole:.1%} less\n"
        )
