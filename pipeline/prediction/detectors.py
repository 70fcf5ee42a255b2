"""A released detector, as a function from rasters to the objects that it finds."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from components.detection.anchors import AnchorMap
from components.detection.detections import Detections
from components.detection.feature_maps import anchor_maps
from components.detection.fixed_decoder import FixedDecoder
from components.detection.options import DecoderOptions
from components.pusher.detector_scoring import find_objects
from components.pusher.figures import DetectorFigures
from components.pusher.manifest import Manifest
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.outputs import boxes_and_scores
from components.quantization.reference import run_reference
from pipeline.evaluation.feeding import feed, image_shape
from pipeline.evaluation.models import under_tflm
from pipeline.evaluation.report import Runtime
from pipeline.prediction.predictor import Predictor, Rasters, Sight, flatbuffer_name
from pipeline.prediction.records import Detection, DetectionPrediction, Prediction, PredictionRequest
from pipeline.prediction.released_network import read_network

Find = Callable[[Rasters], Sequence[Detections]]


def open_detector(folder: Path, manifest: Manifest, request: PredictionRequest, figures: DetectorFigures) -> Predictor:
    """A detector of a release.

    Args:
      folder: of the release.
      manifest: of it.
      request: which of its models, and from which score on.
      figures: what was measured of it, its operating point among them.

    Raises:
      ReleaseError: if its config states the detector as this version of vww does not read it.
      ModelError: if the model and the release's config do not belong together, or it cannot be run.
    """
    shape = image_shape(manifest.input.shape, manifest.model)
    backbone, network, decoder = read_network(folder, manifest.code)
    maps = anchor_maps(backbone, shape[0], network)
    release = f"of release {manifest.model} {manifest.version}"
    if request.weights == "float":
        description = f"float model {release}"
        find: Find = partial(find_objects, folder / "saved_model", maps=maps, decoder=decoder)
    else:
        name = flatbuffer_name(manifest, request.runtime)
        runtime = "TFLite Micro" if request.runtime == "tflm" else "the reference kernels"
        description = f"{name} {release}, int8 under {runtime}"
        find = _find_by_flatbuffer((folder / name).read_bytes(), maps, decoder, request.runtime)
    point = figures.operating_point
    min_score = request.min_score
    if min_score is None:
        min_score = decoder.min_score if point is None else point.threshold

    def answer(rasters: Rasters, sights: Sequence[Sight]) -> list[Prediction]:
        return [
            _describe(sight, found.from_score(min_score), manifest.labels)
            for sight, found in zip(sights, find(rasters), strict=True)
        ]

    return Predictor(f"{description}, from a score of {min_score:.2g} on", shape, manifest.labels, answer)


def _find_by_flatbuffer(content: bytes, maps: Sequence[AnchorMap], options: DecoderOptions, runtime: Runtime) -> Find:
    """Through the decoder that the C bundle has."""
    report = inspect_flatbuffer(content)
    decoder = FixedDecoder.of(maps, options, *boxes_and_scores(report.outputs))
    run = under_tflm if runtime == "tflm" else run_reference

    def find(rasters: Rasters) -> list[Detections]:
        return decoder.decode_all(*boxes_and_scores(run(content, feed(rasters, report.inputs[0], "-1..1"))))

    return find


def _describe(sight: Sight, found: Detections, labels: Sequence[str]) -> DetectionPrediction:
    return DetectionPrediction(
        file=sight.file,
        width=sight.width,
        height=sight.height,
        detections=tuple(
            _describe_one(box.tolist(), float(score), labels[label], sight)
            for box, score, label in zip(found.boxes_yxyx, found.scores, found.labels, strict=True)
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
