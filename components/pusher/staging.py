"""Puts a release together in a folder of its own, ready to be published."""

import shutil
from importlib import metadata
from pathlib import Path

from pydantic import JsonValue

from components.dataset import DatasetSummary
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import AnchorMap
from components.drift import Drift
from components.options import Options
from components.pusher.c_bundle.render import render_bundle
from components.pusher.c_bundle.spec import BundleSpec, DetectorSpec
from components.pusher.calibration import CALIBRATION_NAME, encode_calibration
from components.pusher.figures import ClassifierFigures, Figures
from components.pusher.judgement import Judgement
from components.pusher.manifest import (
    CodeRecord,
    DatasetRecord,
    GoldenRecord,
    LabelRuleId,
    Manifest,
    RunRecord,
)
from components.pusher.options import CodeVersion, ReleaseOptions
from components.pusher.provenance.keys import read_signer
from components.pusher.provenance.sbom import render_sbom
from components.pusher.provenance.side_files import write_side_files
from components.pusher.release import CONFIG_NAME, MANIFEST_NAME, TRAINING_STATISTICS_NAME, hash_files, release_version
from components.quantization.postprocess import append_postprocess
from components.verdicts import Gate

STACK = (
    "tfx", "tensorflow", "keras", "apache-beam", "tensorflow-transform", "tensorflow-model-analysis",
    "tensorflow-data-validation", "ml-metadata", "ai-edge-litert", "tflite-micro", "numpy", "pillow", "protobuf",
)  # fmt: skip
PIXEL_CONTRACT = "float input = pixel / 127.5 - 1; int8 input = pixel - 128, exactly"


class ReleaseFacts(Options):
    """What a manifest says beside the measurements.

    Attributes:
      model: name of the model, and of its folder in the release store.
      created_utc: when the release was put together, as `2026-11-22T03:04:05Z`.
      run: which run made it.
      code: which code made it.
      baseline: version that was the released one when the run started.
      config_yaml: the run's resolved config.
      initial_weights_sha256: of the weights that training started from; None where they were random.
      tuned: what the Tuner chose, by config path; None where nothing was searched.
    """

    model: str
    created_utc: str
    run: RunRecord
    code: CodeVersion
    baseline: str | None
    config_yaml: str
    initial_weights_sha256: str | None
    tuned: dict[str, JsonValue] | None


def stage_release(
    folder: Path,
    *,
    saved_model_dir: Path,
    judgement: Judgement,
    dataset: DatasetSummary,
    drift: Drift,
    training_statistics: bytes,
    gates: tuple[Gate, ...],
    options: ReleaseOptions,
    maps: tuple[AnchorMap, ...] | None,
    facts: ReleaseFacts,
) -> Manifest:
    """Writes everything that a release holds into an empty folder, the manifest last.

    Args:
      folder: empty.
      saved_model_dir: the float model.
      judgement: of its int8 file, which passed.
      dataset: names the labels.
      drift: of the data from the baseline's.
      training_statistics: of the train split.
      gates: that were applied.
      options: the config section `release`.
      maps: a detector's anchors; None of a classifier.
      facts: what the manifest says beside that.

    Raises:
      ReleaseError: if the C bundle cannot be rendered for this model.
    """
    footprint, parity, slimming, golden = judgement.footprint, judgement.parity, judgement.slimming, judgement.golden
    if footprint is None or parity is None or slimming is None or golden is None:
        raise ValueError("only a judgement that passed its gates can be released")
    report, figures = judgement.report, judgement.figures
    bundle = BundleSpec(
        name=options.c_name,
        flatbuffer=judgement.flatbuffer,
        ops=report.ops,
        labels=dataset.label_names,
        positive=dataset.positive,
        operating_point=figures.operating_point if isinstance(figures, ClassifierFigures) else None,
        input=report.inputs[0],
        outputs=report.outputs,
        golden=golden,
        arena_bytes=footprint.arena_total_bytes,
        arena_margin_bytes=options.arena_margin_bytes,
        model=facts.model,
        vww_version=facts.code.version,
        detector=_detector_spec(figures, maps, options),
    )
    flatbuffer_name = f"{options.c_name}_micro.tflite"
    files = render_bundle(bundle) | {
        f"{options.c_name}.tflite": judgement.portable,
        flatbuffer_name: judgement.flatbuffer,
        **golden.files(),
        CALIBRATION_NAME: encode_calibration(judgement.calibration.rasters),
        "labels.txt": "".join(f"{name}\n" for name in dataset.label_names).encode(),
        **_postprocessing(judgement, dataset, options, maps),
        CONFIG_NAME: facts.config_yaml.encode(),
        TRAINING_STATISTICS_NAME: training_statistics,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    shutil.copytree(saved_model_dir, folder / "saved_model")
    digests = hash_files(folder)
    signer = None if options.signing_key is None else read_signer(Path(options.signing_key))
    manifest = Manifest(
        model=facts.model,
        version=release_version(digests),
        created_utc=facts.created_utc,
        files=digests,
        labels=dataset.label_names,
        label_rule=LabelRuleId(
            id=dataset.label_rule,
            version=dataset.label_rule_version,
            digest=dataset.label_rule_digest,
            in_words=dataset.label_rule_in_words,
        ),
        positive=dataset.positive,
        dataset=DatasetRecord(
            digest=dataset.digest,
            fingerprint=dataset.fingerprint,
            images=dataset.counts,
            quarantined=dataset.quarantined,
            dropped=dataset.dropped,
            split_digest=dataset.split_digest,
            licenses=dataset.licenses,
        ),
        drift=drift.features,
        input=report.inputs[0],
        outputs=report.outputs,
        pixel_contract=PIXEL_CONTRACT,
        figures=figures,
        gates=gates,
        footprint=footprint,
        parity=parity,
        slimming=slimming,
        golden=GoldenRecord(flatbuffer=flatbuffer_name, source_ids=golden.source_ids, labels=golden.labels),
        calibration=judgement.calibration.record,
        stack={package: metadata.version(package) for package in STACK},
        code=CodeRecord(**facts.code.model_dump()),
        run=facts.run,
        baseline=facts.baseline,
        initial_weights_sha256=facts.initial_weights_sha256,
        tuned=facts.tuned,
        signing_key_id=None if signer is None else signer.public_key.keyid,
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    write_side_files(folder, manifest, render_sbom(metadata.distributions(), manifest.code.lock_sha256), signer)
    return manifest


def _detector_spec(
    figures: Figures, maps: tuple[AnchorMap, ...] | None, options: ReleaseOptions
) -> DetectorSpec | None:
    if maps is None:
        return None
    point = figures.operating_point
    return DetectorSpec(maps, options.decoder, None if point is None else point.threshold)


def _postprocessing(
    judgement: Judgement, dataset: DatasetSummary, options: ReleaseOptions, maps: tuple[AnchorMap, ...] | None
) -> dict[str, bytes]:
    """The file that ends in TFLite_Detection_PostProcess, if it is asked for."""
    if maps is None or not options.decoder.postprocess_op:
        return {}
    flatbuffer = append_postprocess(
        judgement.portable, anchors_yxhw(maps), options.decoder, labels=len(dataset.label_names)
    )
    return {f"{options.c_name}_postprocess.tflite": flatbuffer}
