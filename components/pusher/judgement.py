"""Converts the blessed float model to the int8 flatbuffer that would ship, and judges that very file.

What ships is the slim flatbuffer of the C array, under TFLite Micro: every figure is from there. LiteRT refuses it, so
the file as the converter wrote it stays beside it, and is what the reference kernels run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features, pixels, progress
from components.dataset import DatasetSummary
from components.errors import ReleaseError
from components.pusher.c_bundle.op_resolver import add_methods
from components.pusher.calibration import Calibration, convert_calibrated, draw_calibration
from components.pusher.figures import ClassifierFigures
from components.pusher.judged_images import JudgedImages, read_judged_images
from components.pusher.manifest import Footprint, ParityRecord, SlimmingRecord
from components.pusher.options import ReleaseOptions
from components.quantization.compare import compare_outputs
from components.quantization.contracts import TensorContract
from components.quantization.equality import compare_flatbuffers
from components.quantization.golden import Golden, select_golden
from components.quantization.inspect import FlatbufferReport, inspect_flatbuffer
from components.quantization.metrics import dequantize
from components.quantization.operating_point import choose_code, code_above_half, measure_rates, probability_of
from components.quantization.quality import measure_loss, measure_quality
from components.quantization.records import OperatingPoint, OpUse, Quality
from components.quantization.reference import run_reference
from components.quantization.slim import slim_flatbuffer
from components.quantization.tflm import TflmRun, run_under_tflm

Rasters = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

_SLIMMING_IMAGES = 100  # of the eval split, on which the slim file is held against the one it was made from


@dataclass(frozen=True)
class Judgement:
    """The int8 flatbuffer and what was measured on it.

    Attributes:
      portable: the file as converted, for LiteRT.
      flatbuffer: the slim file that would ship.
      report: its operators, contracts and sizes.
      calibration: the training images that set its scales.
      figures: of the float model, by the pixels signature, and of `flatbuffer`, on the whole of eval, which is judged,
        and of test where there is one.
      tflm: the run under TFLite Micro on the eval split.
      parity: TFLite Micro against the reference kernels; None where it failed.
      slimming: `flatbuffer` against `portable` under TFLite Micro; None where it failed.
      golden: some of the eval images with TFLite Micro's answers; None where it failed.
      refusals: what refuses it that is no threshold.
    """

    portable: bytes
    flatbuffer: bytes
    report: FlatbufferReport
    calibration: Calibration
    figures: ClassifierFigures
    tflm: TflmRun
    parity: ParityRecord | None
    slimming: SlimmingRecord | None
    golden: Golden | None
    refusals: tuple[str, ...]

    @property
    def footprint(self) -> Footprint | None:
        """What the model asks of a device; None where TFLite Micro could not load it."""
        arena = self.tflm.arena
        if arena is None:
            return None
        return Footprint(
            flatbuffer_bytes=self.report.flatbuffer_bytes,
            portable_bytes=len(self.portable),
            arena_total_bytes=arena.total_bytes,
            arena_head_bytes=arena.head_bytes,
            arena_tail_bytes=arena.tail_bytes,
            arena_shares=arena.shares,
            macs=self.report.macs,
            ops=self.report.ops,
        )


@dataclass(frozen=True)
class JudgedSplit:
    """The images of one split, and the float model's probabilities of them, float32 [n, labels]."""

    images: JudgedImages
    probabilities: Floats


def judge(
    saved_model_dir: Path,
    files: Mapping[str, Sequence[str]],
    example_files: Mapping[str, Sequence[str]],
    *,
    shape: tuple[int, int, int],
    dataset: DatasetSummary,
    options: ReleaseOptions,
    seed: int,
) -> Judgement:
    """Calibrates on training images, converts, and measures on the whole eval split, and the test split if any.

    Args:
      saved_model_dir: the float model, with the pixels signature.
      files: transformed examples by split, all of `features.SPLITS`; test may be empty.
      example_files: the examples that they were made from, likewise.
      shape: [height, width, channels] of their rasters.
      dataset: names the labels.
      options: how many images calibrate and are held against the reference kernels.
      seed: which images calibrate.

    Raises:
      DataError: if the training images cannot calibrate.
      ModelError: if the model cannot be converted as the pixel contract asks.
    """
    calibration = draw_calibration(files, shape, options.calibration_images, seed)
    portable = convert_calibrated(saved_model_dir, calibration.rasters)
    splits = {}
    for split in (features.EVAL, features.TEST):
        if files[split]:
            images = read_judged_images(files[split], example_files[split], shape)
            splits[split] = JudgedSplit(images, _predict(saved_model_dir, images.rasters))
    return judge_flatbuffer(portable, splits, calibration=calibration, dataset=dataset, options=options)


def judge_flatbuffer(
    portable: bytes,
    splits: Mapping[str, JudgedSplit],
    *,
    calibration: Calibration,
    dataset: DatasetSummary,
    options: ReleaseOptions,
) -> Judgement:
    """Slims a converted file, and measures what comes of it under TFLite Micro.

    Args:
      portable: the file as converted.
      splits: eval, and test where there is one.
      calibration: what it was converted with.
      dataset: names the labels.
      options: as for `judge`.

    Raises:
      ModelError: if the file is damaged, made for other images, or refused by the reference kernels.
    """
    flatbuffer = slim_flatbuffer(portable).flatbuffer
    runs: dict[str, TflmRun] = {}
    for name, split in splits.items():
        if all(run.failure is None for run in runs.values()):
            runs[name] = _run(flatbuffer, split.images.codes, options.tflm_time_limit_s)
    failures = [run.failure for run in runs.values() if run.failure is not None]
    report = inspect_flatbuffer(flatbuffer)
    judgement = Judgement(
        portable=portable,
        flatbuffer=flatbuffer,
        report=report,
        calibration=calibration,
        figures=ClassifierFigures(
            float_metrics={name: _quality(split.images, split.probabilities, dataset) for name, split in splits.items()}
        ),
        tflm=runs[features.EVAL],
        parity=None,
        slimming=None,
        golden=None,
        refusals=(*(f"TFLite Micro: {failure}" for failure in failures), *_unregistrable(report.ops)),
    )
    if failures:
        return judgement
    codes = {name: run.outputs[0] for name, run in runs.items() if run.outputs is not None}
    return _measure(judgement, splits, codes, dataset, options)


def _measure(
    judgement: Judgement,
    splits: Mapping[str, JudgedSplit],
    codes: Mapping[str, Codes],
    dataset: DatasetSummary,
    options: ReleaseOptions,
) -> Judgement:
    """The same with what follows from TFLite Micro's answers: int8 [n, labels] for every split."""
    contract = judgement.report.outputs[0]
    probabilities = {name: dequantize(found, contract) for name, found in codes.items()}
    images, answers = splits[features.EVAL].images, codes[features.EVAL]
    chosen = select_golden(images.source_ids, images.labels.tolist(), options.golden_images)
    compared = _first(chosen, len(images.labels), options.parity_images)
    parity = compare_outputs(
        (answers[compared],), run_reference(judgement.portable, pixels.quantize(images.rasters[compared]))
    )
    point = _operating_point(contract, splits, codes, dataset, options.max_false_alarm_rate)
    fed = pixels.quantize(images.rasters[_first(chosen, len(images.labels), _SLIMMING_IMAGES)])
    equality = compare_flatbuffers(
        judgement.portable, judgement.flatbuffer, fed, time_limit_s=options.tflm_time_limit_s
    )
    refusals = list(judgement.refusals)
    if not equality.is_equal:
        refusals.append(f"the slim file is not the model that was converted: {equality.difference()}")
    if point is None and dataset.positive is not None:
        refusals.append(
            f"release.max_false_alarm_rate: more than {options.max_false_alarm_rate} of the eval images without"
            f" {dataset.positive} have its highest score, or there are none, so that no threshold keeps to it"
        )
    return replace(
        judgement,
        figures=ClassifierFigures(
            float_metrics=judgement.figures.float_metrics,
            int8_metrics={name: _quality(split.images, probabilities[name], dataset) for name, split in splits.items()},
            quantization_loss=measure_loss(
                splits[features.EVAL].probabilities, probabilities[features.EVAL], images.labels
            ),
            operating_point=point,
        ),
        parity=ParityRecord(**parity.model_dump()),
        slimming=SlimmingRecord(
            images=equality.images, operators=equality.operators, differing=equality.differing_images
        ),
        golden=Golden(
            source_ids=tuple(images.source_ids[index] for index in chosen),
            labels=tuple(int(images.labels[index]) for index in chosen),
            inputs=pixels.quantize(images.rasters[chosen]),
            outputs=(answers[chosen],),
        ),
        refusals=tuple(refusals),
    )


def _unregistrable(ops: Sequence[OpUse]) -> list[str]:
    """What no firmware could register, whatever the host's interpreter says."""
    try:
        add_methods(ops)
    except ReleaseError as error:
        return [error.message]
    return []


def _operating_point(
    contract: TensorContract,
    splits: Mapping[str, JudgedSplit],
    codes: Mapping[str, Codes],
    dataset: DatasetSummary,
    max_false_alarm_rate: float | None,
) -> OperatingPoint | None:
    if dataset.positive is None:
        return None
    index = dataset.label_names.index(dataset.positive)
    found = {name: (codes[name][:, index], split.images.labels == index) for name, split in splits.items()}
    code = choose_code(*found[features.EVAL], max_false_alarm_rate, code_above_half(contract))
    if code is None:
        return None
    return OperatingPoint(
        label=dataset.positive,
        index=index,
        max_false_alarm_rate=max_false_alarm_rate,
        code=code,
        threshold=probability_of(code, contract),
        rates={name: measure_rates(*pair, code) for name, pair in found.items()},
    )


def _run(flatbuffer: bytes, codes: Codes, time_limit_s: float) -> TflmRun:
    return run_under_tflm(
        flatbuffer,
        codes,
        time_limit_s=time_limit_s,
        on_progress=lambda done, total: progress.report(done, total, "images under TFLite Micro"),
    )


def _quality(images: JudgedImages, probabilities: Floats, dataset: DatasetSummary) -> Quality:
    return measure_quality(probabilities, images.labels, dataset.label_names, images.slices)


def _first(chosen: list[int], available: int, count: int) -> list[int]:
    """`chosen`, and as many of the other indices as make it `count`."""
    return list(dict.fromkeys([*chosen, *range(available)]))[: max(count, len(chosen))]


def _predict(saved_model_dir: Path, rasters: Rasters) -> Floats:
    """Probabilities, float32 [n, labels], by the signature that is converted."""
    import tensorflow as tf

    signature: Any = tf.saved_model.load(str(saved_model_dir)).signatures[features.PIXELS_SIGNATURE]

    def answer(raster: Rasters) -> Floats:
        image = tf.constant(pixels.normalize(raster[np.newaxis].astype(np.float32)))
        found: Floats = signature(**{features.IMAGE: image})[features.PROBABILITIES].numpy()
        return found

    # One by one: the whole split as float32 would be four times what is held already.
    return np.concatenate([answer(raster) for raster in rasters])
