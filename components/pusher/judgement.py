"""Converts the blessed float model to the int8 flatbuffer that would ship, and judges that very file.

What ships is the slim flatbuffer of the C array, under TFLite Micro: every figure is from there. LiteRT refuses it, so
the file as the converter wrote it stays beside it, and is what the reference kernels run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components import features, pixels, progress
from components.errors import ReleaseError
from components.pusher.c_bundle.op_resolver import add_methods
from components.pusher.calibration import Calibration, convert_calibrated, draw_calibration
from components.pusher.figures import ClassifierFigures, DetectorFigures
from components.pusher.judged_images import JudgedImages, read_judged_images
from components.pusher.manifest import Footprint, ParityRecord, SlimmingRecord
from components.pusher.options import ReleaseOptions
from components.pusher.pictures import PictureBook
from components.pusher.scoring import Codes, Outputs, Scoring, Split
from components.quantization.compare import compare_outputs
from components.quantization.equality import compare_flatbuffers
from components.quantization.golden import Golden, select_golden
from components.quantization.inspect import FlatbufferReport, inspect_flatbuffer
from components.quantization.records import OpUse
from components.quantization.reference import run_reference
from components.quantization.slim import slim_flatbuffer
from components.quantization.tflm import TflmRun, run_under_tflm

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
      pictures: eval images with its answers; None where TFLite Micro failed.
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
    figures: ClassifierFigures | DetectorFigures
    pictures: PictureBook | None
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


def judge(
    saved_model_dir: Path,
    files: Mapping[str, Sequence[str]],
    example_files: Mapping[str, Sequence[str]],
    *,
    shape: tuple[int, int, int],
    scoring: Scoring[Split],
    options: ReleaseOptions,
    seed: int,
) -> Judgement:
    """Calibrates on training images, converts, and measures on the whole eval split, and the test split if any.

    Args:
      saved_model_dir: the float model, with the pixels signature.
      files: transformed examples by split, all of `features.SPLITS`; test may be empty.
      example_files: the examples that they were made from, likewise.
      shape: [height, width, channels] of their rasters.
      scoring: how its task is measured.
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
            splits[split] = scoring.answer(saved_model_dir, images, example_files[split])
    return judge_flatbuffer(portable, splits, calibration=calibration, scoring=scoring, options=options)


def judge_flatbuffer(
    portable: bytes,
    splits: Mapping[str, Split],
    *,
    calibration: Calibration,
    scoring: Scoring[Split],
    options: ReleaseOptions,
) -> Judgement:
    """Slims a converted file, and measures what comes of it under TFLite Micro.

    Args:
      portable: the file as converted.
      splits: eval, and test where there is one.
      calibration: what it was converted with.
      scoring: how its task is measured.
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
    outputs = {name: run.outputs for name, run in runs.items() if run.outputs is not None}
    measured = scoring.measure(splits, None if failures else outputs, report.outputs)
    judgement = Judgement(
        portable=portable,
        flatbuffer=flatbuffer,
        report=report,
        calibration=calibration,
        figures=measured.figures,
        pictures=measured.pictures,
        tflm=runs[features.EVAL],
        parity=None,
        slimming=None,
        golden=None,
        refusals=(
            *(f"TFLite Micro: {failure}" for failure in failures),
            *_unregistrable(report.ops),
            *measured.refusals,
        ),
    )
    if failures:
        return judgement
    return _compare(judgement, splits[features.EVAL].images, outputs[features.EVAL], options)


def _compare(judgement: Judgement, images: JudgedImages, answers: Outputs, options: ReleaseOptions) -> Judgement:
    """The same with TFLite Micro's answers held against those of the reference kernels, and of the portable file."""
    chosen = select_golden(images.source_ids, images.labels.tolist(), options.golden_images)
    compared = _first(chosen, len(images.labels), options.parity_images)
    parity = compare_outputs(
        tuple(codes[compared] for codes in answers),
        run_reference(judgement.portable, pixels.quantize(images.rasters[compared])),
    )
    fed = pixels.quantize(images.rasters[_first(chosen, len(images.labels), _SLIMMING_IMAGES)])
    equality = compare_flatbuffers(
        judgement.portable, judgement.flatbuffer, fed, time_limit_s=options.tflm_time_limit_s
    )
    refusals = judgement.refusals
    if not equality.is_equal:
        refusals += (f"the slim file is not the model that was converted: {equality.difference()}",)
    return replace(
        judgement,
        parity=ParityRecord(**parity.model_dump()),
        slimming=SlimmingRecord(
            images=equality.images, operators=equality.operators, differing=equality.differing_images
        ),
        golden=Golden(
            source_ids=tuple(images.source_ids[index] for index in chosen),
            labels=tuple(int(images.labels[index]) for index in chosen),
            inputs=pixels.quantize(images.rasters[chosen]),
            outputs=tuple(codes[chosen] for codes in answers),
        ),
        refusals=refusals,
    )


def _unregistrable(ops: Sequence[OpUse]) -> list[str]:
    """What no firmware could register, whatever the host's interpreter says."""
    try:
        add_methods(ops)
    except ReleaseError as error:
        return [error.message]
    return []


def _run(flatbuffer: bytes, codes: Codes, time_limit_s: float) -> TflmRun:
    return run_under_tflm(
        flatbuffer,
        codes,
        time_limit_s=time_limit_s,
        on_progress=lambda done, total: progress.report(done, total, "images under TFLite Micro"),
    )


def _first(chosen: list[int], available: int, count: int) -> list[int]:
    """`chosen`, and as many of the other indices as make it `count`."""
    return list(dict.fromkeys([*chosen, *range(available)]))[: max(count, len(chosen))]
