"""Whatever holds a trained classifier, as a function from 8-bit rasters to probabilities.

.../version/            a release, in a folder or gs://; or in place of the version `staging` or `production`
model.tflite            quantized or not
saved_model/            a SavedModel with the pixels signature, or one float image input
model.keras, model.h5   a whole Keras model
checkpoint.npz          of a training, finished or not; averaged weights where there are averages
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features
from components.errors import ModelError
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.metrics import dequantize
from components.quantization.reference import run_reference
from components.quantization.tflm import run_under_tflm
from components.trainer.options import InputRange
from pipeline.evaluation.feeding import feed, image_shape, scale_pixels
from pipeline.evaluation.released import find_release, is_release_folder, release_folder
from pipeline.evaluation.report import Runtime

Rasters = npt.NDArray[np.uint8]
Answers = npt.NDArray[np.float64]

_BATCH = 64
_TFLM_START_S, _TFLM_IMAGE_S = 60.0, 2.0
_RUNTIMES = {"tflm": "TFLite Micro", "litert": "the reference kernels"}


@dataclass(frozen=True)
class Classifier:
    """A model that can be judged.

    Attributes:
      description: what it is, for a person.
      shape: [height, width, channels] of its rasters.
      answer: from uint8 [n, *shape] to its output, float64 [n, columns].
    """

    description: str
    shape: tuple[int, int, int]
    answer: Callable[[Rasters], Answers]


def open_classifier(what: str, input_range: InputRange) -> Classifier:
    """Opens a model by what it is; see the module.

    Args:
      what: path, or `gs://…` of a release.
      input_range: black..white of a float input that was trained elsewhere.

    Raises:
      ModelError: if it is none of these, or cannot be fed images.
      ReleaseError: if there is no such release.
      StorageError: if a checkpoint is damaged.
    """
    path = Path(what)
    for folder in (path, path / "Format-Serving"):
        if (folder / "saved_model.pb").exists():
            return of_saved_model(folder, input_range)
    if is_release_folder(what):
        return _of_release(what)
    if path.suffix == ".tflite" and path.is_file():
        return of_flatbuffer(path.read_bytes(), path.name, input_range)
    if path.suffix == ".npz" and path.is_file():
        return _of_checkpoint(path)
    if (path / "checkpoint.npz").exists():
        return _of_checkpoint(path / "checkpoint.npz")
    if path.suffix in {".keras", ".h5"} and path.is_file():
        return _of_keras(path, input_range)
    raise ModelError(
        f"{what}: {'not a model' if path.exists() else 'nothing is there'}",
        expected="a release's folder, a .tflite, .keras or .h5 file, a SavedModel's folder or a checkpoint.npz",
        hint="`vww releases list` names releases; those of a run lie below run.root, checkpoints of a training that "
        "goes on in run.root/checkpoints",
    )


def probabilities(answers: Answers) -> Answers:
    """A model's answers as probabilities: as they are, by softmax of logits, or of a single column p as (1 - p, p).

    Args:
      answers: float [n, columns].

    Returns:
      Float64 [n, labels], each row adding up to 1.

    Raises:
      ModelError: if an answer is not finite.
    """
    bad = np.count_nonzero(~np.isfinite(answers).all(axis=1))
    if bad:
        raise ModelError(
            f"{bad:,} of {len(answers):,} answers are not finite",
            expected="numbers",
            hint="the weights diverged, or the model was converted without them",
        )
    if answers.shape[1] == 1:
        if answers.min() < 0 or answers.max() > 1:
            answers = 1.0 / (1.0 + np.exp(-answers))
        return np.concatenate([1.0 - answers, answers], axis=1)
    # An int8 output of 256 codes is off by up to half a code in every column.
    sums = answers.sum(axis=1)
    if answers.min() >= 0 and np.allclose(sums, 1.0, atol=0.01 * answers.shape[1]):
        return np.asarray(answers / sums[:, np.newaxis])
    shifted = np.exp(answers - answers.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _of_release(what: str) -> Classifier:
    with release_folder(find_release(what, "")) as (folder, manifest):
        name = manifest.golden.flatbuffer  # the one that ships
        content = (folder / name).read_bytes()
    return of_flatbuffer(content, f"{name} of release {manifest.model} {manifest.version}", "-1..1")


def of_flatbuffer(content: bytes, name: str, input_range: InputRange, runtime: Runtime | None = None) -> Classifier:
    """A classifier of a .tflite file.

    Args:
      content: the file.
      name: of it, for a person.
      input_range: black..white of a float input that was trained elsewhere.
      runtime: `tflm` for TFLite Micro, `litert` for the reference kernels; None for these, or TFLite Micro for a file
        that only it takes, such as a slimmed one.

    Raises:
      ModelError: if it cannot be fed images, not be run, or is no classifier.
    """
    report = inspect_flatbuffer(content)
    source, output = report.inputs[0], report.outputs[0]
    _check_one_row([each.shape for each in report.outputs], name)
    shape = image_shape(source.shape, name)
    runtime = runtime or _find_runtime(content, np.zeros((1, *shape), source.dtype))
    run = under_tflm if runtime == "tflm" else run_reference

    def answer(rasters: Rasters) -> Answers:
        (codes,) = run(content, feed(rasters, source, input_range))
        return np.asarray(dequantize(codes, output).reshape(len(codes), -1), np.float64)

    return Classifier(f"{name}, {source.dtype} under {_RUNTIMES[runtime]}", shape, answer)


def _check_one_row(outputs: Sequence[Sequence[int | None]], name: str) -> None:
    """Refuses what answers in more than one row of labels: a detector answers once for every anchor.

    Args:
      outputs: the shape of each, [n, ...]; None for a dimension that is not known, empty where their number is not.
      name: of the model, for a person.

    Raises:
      ModelError: if there is not one output of one row.
    """
    rows = [size for shape in outputs for size in shape[1:-1] if size not in (1, None)]
    if len(outputs) != 1 or rows:
        raise ModelError(
            f"{name} is no classifier: its outputs are {' and '.join(str(list(shape)) for shape in outputs)}",
            expected="one output of one row of labels, [n, labels]",
            hint="a detector's file holds neither anchors nor labels: `vww predict` takes the folder of its release, "
            "and its figures are those of its run, in `vww report RUN` and `vww releases show`",
        )


def _find_runtime(content: bytes, image: npt.NDArray[Any]) -> Runtime:
    try:
        run_reference(content, image)
    except ModelError as error:
        tried = run_under_tflm(content, image, time_limit_s=_TFLM_START_S)
        if tried.failure is not None:
            raise ModelError(
                f"neither the reference interpreter nor TFLite Micro runs the file: {error.message}; {tried.failure}",
                expected="a model of operators that one of them has",
            ) from error
        return "tflm"
    return "litert"


def under_tflm(content: bytes, images: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """What TFLite Micro answers; see `run_under_tflm`.

    Raises:
      ModelError: if it stopped, too.
    """
    run = run_under_tflm(content, images, time_limit_s=_TFLM_START_S + _TFLM_IMAGE_S * len(images))
    if run.outputs is None:
        raise ModelError(f"TFLite Micro stopped: {run.failure}", expected=f"answers to {len(images):,} images")
    return run.outputs


def of_saved_model(folder: Path, input_range: InputRange) -> Classifier:
    """A classifier of a SavedModel with the pixels signature, or one that takes float images.

    Raises:
      ModelError: if it has neither, or is no classifier.
    """
    import tensorflow as tf

    model: Any = tf.saved_model.load(str(folder))
    own = features.PIXELS_SIGNATURE in model.signatures
    name = features.PIXELS_SIGNATURE if own else features.SERVING_SIGNATURE
    if name not in model.signatures:
        raise ModelError(
            f"{folder} has no signature {name!r}: received {sorted(model.signatures)}",
            expected=f"the signature {features.PIXELS_SIGNATURE!r}, or {features.SERVING_SIGNATURE!r} of one image",
        )
    signature = model.signatures[name]
    specs = signature.structured_input_signature[1]
    images = {key: spec for key, spec in specs.items() if spec.shape.rank == 4 and spec.dtype == tf.float32}
    if len(specs) != 1 or not images:
        raise ModelError(
            f"{folder}: signature {name!r} takes {', '.join(str(spec) for spec in specs.values())}",
            expected="one float32 tensor of images, [n, height, width, channels]",
        )
    answers = [answer.shape for answer in signature.structured_outputs.values()]
    _check_one_row([[] if answer.rank is None else answer.as_list() for answer in answers], str(folder))
    ((key, spec),) = images.items()
    shape = spec.shape.as_list()

    def predict(share: Any) -> Any:
        return next(iter(signature(**{key: share}).values()))

    return Classifier(
        f"SavedModel {folder}, signature {name}",
        image_shape(tuple(shape), str(folder)),
        _in_batches(predict, "-1..1" if own else input_range, 1 if shape[0] == 1 else _BATCH),
    )


def load_keras(path: Path) -> Any:
    """A whole Keras model of a .keras or .h5 file, of Keras 2 as well.

    Raises:
      ModelError: if it is none.
    """
    import keras

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]  # Keras publishes no types
        """Keras 2 wrote `groups: 1` into files, which Keras 3 does not know."""

        def __init__(self, *args: Any, groups: int = 1, **options: Any) -> None:
            assert groups == 1
            super().__init__(*args, **options)

    try:
        return keras.models.load_model(path, compile=False, custom_objects={"DepthwiseConv2D": DepthwiseConv2D})
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is no whole Keras model: {error}",
            expected="a file that keras.models.load_model reads, its architecture included",
            hint="weights alone can start a training: trainer.initial_weights",
        ) from error


def _of_keras(path: Path, input_range: InputRange) -> Classifier:
    model = load_keras(path)
    _check_one_row([answer.shape for answer in model.outputs], path.name)
    return Classifier(
        f"Keras model {path.name}",
        image_shape(tuple(model.input_shape), path.name),
        _in_batches(lambda images: model(images, training=False), input_range, _BATCH),
    )


def _of_checkpoint(path: Path) -> Classifier:
    from components.trainer.checkpoints import read_checkpoint
    from components.trainer.job import TrainingJob
    from components.trainer.models.build import build_model

    text, checkpoint = read_checkpoint(path)
    try:
        job = TrainingJob.from_json(text)
    except ValueError as error:
        raise ModelError(
            f"{path} is a checkpoint of another version of vww",
            expected="one that this version has written",
            hint="judge it with the version that trains it, or train anew",
        ) from error
    model = build_model(job, total_steps=1)
    _check_one_row([answer.shape for answer in model.outputs], f"the checkpoint {path}")
    model.set_weights(checkpoint.weights)
    averaged = "" if job.trainer.ema_decay is None else ", averaged weights"
    return Classifier(
        f"checkpoint after step {checkpoint.position.step:,}{averaged}",
        job.raster_shape,
        _in_batches(lambda images: model(images, training=False), "-1..1", _BATCH),
    )


def _in_batches(predict: Callable[[Any], Any], input_range: InputRange, size: int) -> Callable[[Rasters], Answers]:
    """A TensorFlow model's answers, batch by batch."""
    import tensorflow as tf

    def predict_share(share: Rasters) -> Answers:
        images = tf.constant(scale_pixels(share.astype(np.float32), input_range))
        return np.asarray(predict(images), np.float64).reshape(len(share), -1)

    def answer(rasters: Rasters) -> Answers:
        return np.concatenate([predict_share(rasters[start : start + size]) for start in range(0, len(rasters), size)])

    return answer
