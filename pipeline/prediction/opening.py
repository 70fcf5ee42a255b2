"""The model that `vww predict` is told to run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from components.errors import ConfigError
from components.pusher.figures import DetectorFigures
from components.pusher.manifest import Manifest
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.records import OperatingPoint
from pipeline.evaluation.models import Classifier, Rasters, of_flatbuffer, of_saved_model, probabilities
from pipeline.evaluation.released import release_folder
from pipeline.prediction.detectors import open_detector
from pipeline.prediction.predictor import Predictor, Sight, flatbuffer_name
from pipeline.prediction.records import LabelPrediction, Prediction, PredictionRequest


@contextmanager
def opened_predictor(request: PredictionRequest) -> Iterator[Predictor]:
    """The model that a request names.

    Raises:
      ModelError: if it cannot be run or fed.
      ReleaseError: if the release is damaged, or not there any more.
    """
    if request.flatbuffer is not None:
        _check_no_score(request)
        yield _of_flatbuffer(Path(request.flatbuffer), request)
        return
    assert request.release is not None
    with release_folder(request.release) as (folder, manifest):
        if isinstance(manifest.figures, DetectorFigures):
            yield open_detector(folder, manifest, request, manifest.figures)
            return
        _check_no_score(request)
        opened = _open_classifier(folder, manifest, request)
        yield _of_classifier(opened, manifest.labels, manifest.figures.operating_point)


def _check_no_score(request: PredictionRequest) -> None:
    if request.min_score is not None:
        raise ConfigError(
            f"--min-score={request.min_score:g} is for detectors",
            expected="a detector's release",
            hint="leave it out; a classifier's probabilities are all printed",
        )


def _of_flatbuffer(path: Path, request: PredictionRequest) -> Predictor:
    """A classifier whose labels are not known: they are called by their numbers."""
    content = path.read_bytes()
    columns = inspect_flatbuffer(content).outputs[0].shape[-1]
    opened = of_flatbuffer(content, path.name, request.input_range, request.runtime)
    return _of_classifier(opened, tuple(map(str, range(max(2, columns)))), None)


def _open_classifier(folder: Path, manifest: Manifest, request: PredictionRequest) -> Classifier:
    release = f"of release {manifest.model} {manifest.version}"
    if request.weights == "float":
        opened = of_saved_model(folder / "saved_model", "-1..1")
        return Classifier(f"float model {release}", opened.shape, opened.answer)
    name = flatbuffer_name(manifest, request.runtime)
    return of_flatbuffer((folder / name).read_bytes(), f"{name} {release}", "-1..1", request.runtime)


def _of_classifier(classifier: Classifier, labels: tuple[str, ...], point: OperatingPoint | None) -> Predictor:
    def answer(rasters: Rasters, sights: Sequence[Sight]) -> list[Prediction]:
        answers = classifier.answer(rasters)
        # In the output's own precision, a probability is at the threshold exactly where its code is.
        reported = None if point is None else answers[:, point.index].astype(np.float32) >= np.float32(point.threshold)
        return [
            LabelPrediction(
                file=sight.file,
                width=sight.width,
                height=sight.height,
                label=labels[int(row.argmax())],
                probabilities=dict(zip(labels, row.tolist(), strict=True)),
                is_reported=None if reported is None else bool(reported[index]),
            )
            for index, (sight, row) in enumerate(zip(sights, probabilities(answers), strict=True))
        ]

    return Predictor(classifier.description, classifier.shape, labels, answer)
