"""Converts the blessed float model to the int8 flatbuffer that would ship, and judges that very file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features, pixels, progress
from components.gate_options import Int8Gates
from components.pusher.calibration import Calibration, convert_calibrated, draw_calibration
from components.pusher.manifest import Footprint, Metrics, ParityRecord
from components.pusher.options import ReleaseOptions
from components.quantization.budget import budget_gates
from components.quantization.compare import compare_outputs
from components.quantization.golden import Golden, select_golden
from components.quantization.inspect import FlatbufferReport, inspect_flatbuffer
from components.quantization.metrics import classifier_metrics, dequantize
from components.quantization.reference import run_reference
from components.quantization.tflm import TflmRun, run_under_tflm
from components.transformed_examples import read_index, read_rasters
from components.verdicts import Comparison, Gate

Rasters = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """The int8 flatbuffer and what was measured on it.

    Attributes:
      flatbuffer: the file that would ship.
      report: its operators, contracts and sizes.
      calibration: the training images that set its scales.
      float_accuracy: of the float model on the same eval images, by the pixels signature.
      metrics: of the int8 flatbuffer by split: on the whole of eval, which is judged, and of test where there is one.
      tflm: the run under TFLite Micro.
      parity: TFLite Micro against the reference kernels; None where it failed.
      golden: some of the eval images with TFLite Micro's answers; None where it failed.
    """

    flatbuffer: bytes
    report: FlatbufferReport
    calibration: Calibration
    float_accuracy: float
    metrics: dict[str, Metrics]
    tflm: TflmRun
    parity: ParityRecord | None
    golden: Golden | None

    @property
    def footprint(self) -> Footprint | None:
        """What the model asks of a device; None where TFLite Micro could not load it."""
        arena = self.tflm.arena
        if arena is None:
            return None
        return Footprint(
            flatbuffer_bytes=self.report.flatbuffer_bytes,
            arena_total_bytes=arena.total_bytes,
            arena_head_bytes=arena.head_bytes,
            arena_tail_bytes=arena.tail_bytes,
            macs=self.report.macs,
            ops=self.report.ops,
        )


def judge(
    saved_model_dir: Path,
    files: Mapping[str, Sequence[str]],
    *,
    shape: tuple[int, int, int],
    options: ReleaseOptions,
    seed: int,
) -> Judgement:
    """Calibrates on training images, converts, and measures on the whole eval split, and the test split if any.

    Args:
      saved_model_dir: the float model, with the pixels signature.
      files: transformed examples by split, all of `features.SPLITS`; test may be empty.
      shape: [height, width, channels] of their rasters.
      options: how many images calibrate and are held against TFLite Micro.
      seed: which images calibrate.

    Raises:
      DataError: if the training images cannot calibrate.
      ModelError: if the model cannot be converted as the pixel contract asks.
    """
    calibration = draw_calibration(files, shape, options.calibration_images, seed)
    flatbuffer = convert_calibrated(saved_model_dir, calibration.rasters)
    report = inspect_flatbuffer(flatbuffer)
    rasters, labels = _load(files[features.EVAL], shape)
    codes = pixels.quantize(rasters)
    outputs = run_reference(flatbuffer, codes)
    source_ids, _ = read_index(files[features.EVAL])
    chosen = select_golden(source_ids, labels.tolist(), options.golden_images)
    compared = _first(chosen, len(codes), options.parity_images)
    tflm = run_under_tflm(
        flatbuffer,
        codes[compared],
        time_limit_s=options.tflm_time_limit_s,
        on_progress=lambda done, total: progress.report(done, total, "images under TFLite Micro"),
    )
    parity = None if tflm.outputs is None else compare_outputs(tflm.outputs, outputs[compared])
    metrics = {features.EVAL: _measure(outputs, labels, report)}
    if files[features.TEST]:
        test_rasters, test_labels = _load(files[features.TEST], shape)
        metrics[features.TEST] = _measure(run_reference(flatbuffer, pixels.quantize(test_rasters)), test_labels, report)
    return Judgement(
        flatbuffer=flatbuffer,
        report=report,
        calibration=calibration,
        float_accuracy=classifier_metrics(_predict(saved_model_dir, rasters), labels).accuracy,
        metrics=metrics,
        tflm=tflm,
        parity=None if parity is None else ParityRecord(**parity.model_dump()),
        golden=None if tflm.outputs is None else _golden(source_ids, labels, codes, tflm.outputs, chosen),
    )


def int8_gates(judgement: Judgement, limits: Int8Gates) -> tuple[Gate, ...]:
    """The gates on the int8 flatbuffer, with what was measured."""
    accuracy, parity = judgement.metrics[features.EVAL].accuracy, judgement.parity
    drop = judgement.float_accuracy - accuracy
    least, most = Comparison.AT_LEAST, Comparison.AT_MOST
    return (
        Gate(name="gates.int8.min_accuracy", comparison=least, limit=limits.min_accuracy, value=accuracy),
        Gate(name="gates.int8.max_accuracy_drop", comparison=most, limit=limits.max_accuracy_drop, value=drop),
        *budget_gates(judgement.report, judgement.tflm.arena, limits.device_budget),
        Gate(
            name="gates.int8.max_parity_lsb",
            comparison=most,
            limit=limits.max_parity_lsb,
            value=None if parity is None else parity.max_difference_lsb,
            note="TFLite Micro gave none" if parity is None else None,
        ),
    )


def _first(chosen: list[int], available: int, count: int) -> list[int]:
    """`chosen`, and as many of the other indices as make it `count`."""
    return list(dict.fromkeys([*chosen, *range(available)]))[: max(count, len(chosen))]


def _golden(
    source_ids: list[str], labels: Labels, codes: npt.NDArray[np.int8], outputs: npt.NDArray[Any], chosen: list[int]
) -> Golden:
    """The golden vectors, of which `outputs` holds the answers first."""
    return Golden(
        source_ids=tuple(source_ids[index] for index in chosen),
        labels=tuple(int(labels[index]) for index in chosen),
        inputs=codes[chosen],
        outputs=outputs[: len(chosen)],
    )


def _load(files: Sequence[str], shape: tuple[int, int, int]) -> tuple[Rasters, Labels]:
    pairs = list(read_rasters(files, shape).as_numpy_iterator())
    return np.stack([raster for raster, _ in pairs]), np.asarray([label for _, label in pairs], np.int64)


def _measure(outputs: npt.NDArray[Any], labels: Labels, report: FlatbufferReport) -> Metrics:
    """Metrics of the int8 flatbuffer's output codes, [n, labels]."""
    found = classifier_metrics(dequantize(outputs, report.outputs[0]), labels)
    return Metrics(examples=found.images, accuracy=found.accuracy, auc=found.auc)


def _predict(saved_model_dir: Path, rasters: Rasters) -> npt.NDArray[np.float32]:
    """Probabilities, float32 [n, labels], by the signature that is converted."""
    import tensorflow as tf

    signature: Any = tf.saved_model.load(str(saved_model_dir)).signatures[features.PIXELS_SIGNATURE]
    images = pixels.normalize(rasters.astype(np.float32))
    return np.concatenate(
        [signature(**{features.IMAGE: tf.constant(image[np.newaxis])})[features.PROBABILITIES] for image in images]
    )
