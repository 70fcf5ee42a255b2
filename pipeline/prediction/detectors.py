"""A released detector, as a function from rasters to the objects that it finds."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import features, pixels
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.coding import decode_detections
from components.detection.detections import Detections
from components.detection.feature_maps import anchor_maps
from components.detection.fixed_decoder import FixedDecoder
from components.pusher.figures import DetectorFigures
from components.pusher.manifest import Manifest
from components.pusher.release import CONFIG_NAME
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.reference import run_reference
from components.yaml_text import parse_yaml_text
from pipeline.config import RunConfig
from pipeline.evaluation.feeding import feed, image_shape
from pipeline.evaluation.models import under_tflm
from pipeline.prediction.predictor import Predictor, Rasters, Sight, flatbuffer_name
from pipeline.prediction.records import Detection, DetectionPrediction, Prediction, PredictionRequest

Find = Callable[[Rasters], Sequence[Detections]]


def open_detector(folder: Path, manifest: Manifest, request: PredictionRequest, figures: DetectorFigures) -> Predictor:
    """A detector of a release.

    Args:
      folder: of the release.
      manifest: of it.
      request: which of its models, and from which score on.
      figures: what was measured of it, its operating point among them.

    Raises:
      ModelError: if the model and the release's config do not belong together, or it cannot be run.
    """
    config = RunConfig.model_validate_json(json.dumps(parse_yaml_text((folder / CONFIG_NAME).read_text())))
    shape = image_shape(manifest.input.shape, manifest.model)
    release = f"of release {manifest.model} {manifest.version}"
    if request.weights == "float":
        description, find = f"float model {release}", _find_by_saved_model(folder / "saved_model", config)
    else:
        name = flatbuffer_name(manifest, request.runtime)
        runtime = "TFLite Micro" if request.runtime == "tflm" else "the reference kernels"
        description = f"{name} {release}, int8 under {runtime}"
        find = _find_by_flatbuffer((folder / name).read_bytes(), config, request)
    point = figures.operating_point
    min_score = request.min_score
    if min_score is None:
        min_score = config.release.decoder.min_score if point is None else point.threshold

    def answer(rasters: Rasters, sights: Sequence[Sight]) -> list[Prediction]:
        return [
            _describe(sight, found, manifest.labels, min_score)
            for sight, found in zip(sights, find(rasters), strict=True)
        ]

    return Predictor(f"{description}, from a score of {min_score:.2g} on", shape, manifest.labels, answer)


def _find_by_flatbuffer(content: bytes, config: RunConfig, request: PredictionRequest) -> Find:
    """Through the decoder that the C bundle has."""
    report = inspect_flatbuffer(content)
    decoder = FixedDecoder.of(_maps(config), config.release.decoder, report.outputs[::2], report.outputs[1::2])
    run = under_tflm if request.runtime == "tflm" else run_reference
    return lambda rasters: decoder.decode_all(run(content, feed(rasters, report.inputs[0], "-1..1")))


def _find_by_saved_model(folder: Path, config: RunConfig) -> Find:
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(str(folder))
    signature = loaded.signatures[features.PIXELS_SIGNATURE]
    anchors = anchors_yxhw(_maps(config))

    def find(raster: Any) -> Detections:
        image = tf.constant(pixels.normalize(raster[np.newaxis].astype(np.float32)))
        outputs = {name: tensor.numpy()[0] for name, tensor in signature(**{features.IMAGE: image}).items()}
        encoded, logits = (
            np.concatenate([outputs[name] for name in _in_order(outputs, kind)])
            for kind in (features.ENCODED_BOXES, features.SCORE_LOGITS)
        )
        return decode_detections(encoded, logits, anchors, config.release.decoder)

    return lambda rasters: list(map(find, rasters))


def _in_order(names: Any, kind: str) -> list[str]:
    """`boxes`, or `boxes_0`, `boxes_1` ... by number."""
    return sorted((name for name in names if name.startswith(kind)), key=lambda name: (len(name), name))


def _maps(config: RunConfig) -> Any:
    assert config.trainer.detector is not None
    return anchor_maps(config.trainer.backbone, config.transform.side, config.trainer.detector)


def _describe(sight: Sight, found: Detections, labels: Sequence[str], min_score: float) -> DetectionPrediction:
    return DetectionPrediction(
        file=sight.file,
        width=sight.width,
        height=sight.height,
        detections=tuple(
            _describe_one(box.tolist(), float(score), labels[label], sight)
            for box, score, label in zip(found.boxes_yxyx, found.scores, found.labels, strict=True)
            if score >= np.float32(min_score)
        ),
    )


def _describe_one(box_yxyx: list[float], score: float, label: str, sight: Sight) -> Detection:
    top, left, bottom, right = box_yxyx
    return Detection(
        label=label,
        score=score,
        box_yxyx=(top, left, bottom, right),
        box_xywh_px=(
            left * sight.width,
            top * sight.height,
            (right - left) * sight.width,
            (bottom - top) * sight.height,
        ),
    )
