"""Shows a model images as Transform would bring them to it, and tells what it says: `vww predict`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components import progress
from components.errors import StorageError
from components.example_gen.image_bytes import check_image
from components.example_gen.quarantine import BadRecord
from components.example_gen.storage import FileReader
from pipeline.prediction.drawing import draw_prediction
from pipeline.prediction.opening import opened_predictor
from pipeline.prediction.predictor import Predictor, Sight
from pipeline.prediction.records import BadFile, NamedImage, Prediction, PredictionReport, PredictionRequest

_PIXELS_AT_ONCE = 2**26  # of rasters, one byte each


def predict(request: PredictionRequest) -> PredictionReport:
    """Predicts, draws where it is asked for, and goes on where an image is bad. Imports TensorFlow, which decodes.

    Raises:
      ModelError, ReleaseError: as `opened_predictor`.
    """
    predictions: list[Prediction] = []
    bad: list[BadFile] = []
    with opened_predictor(request) as predictor:
        progress.say(predictor.description)
        at_once = max(1, _PIXELS_AT_ONCE // int(np.prod(predictor.shape)))
        for start in range(0, len(request.images), at_once):
            share = request.images[start : start + at_once]
            found, unread = _predict_share(predictor, share, start, len(request.images))
            predictions += found
            bad += unread + _draw(found, predictor.labels, {image.path: image.drawing for image in share})
    return PredictionReport(model=predictor.description, predictions=tuple(predictions), bad=tuple(bad))


def _predict_share(
    predictor: Predictor, images: Sequence[NamedImage], start: int, total: int
) -> tuple[list[Prediction], list[BadFile]]:
    """What is said of the images that can be read, and the others."""
    import tensorflow as tf

    from components.rasters import rasterize

    side, _, channels = predictor.shape
    reader = FileReader()
    rasters, sights, bad = [], [], []
    for number, image in enumerate(images, start=start + 1):
        try:
            checked = check_image(reader.read_image(image.path), width=None, height=None)
        except BadRecord as error:
            bad.append(_report(image.path, error.detail))
        else:
            rasters.append(rasterize(tf.constant(checked.data), side, channels).numpy())
            sights.append(Sight(image.path, checked.width, checked.height))
        progress.report(number, total, "images")
    return (predictor.answer(np.stack(rasters), sights) if rasters else []), bad


def _draw(predictions: Sequence[Prediction], labels: Sequence[str], drawings: dict[str, str | None]) -> list[BadFile]:
    """Those that could not be drawn."""
    bad = []
    for prediction in predictions:
        if (path := drawings[prediction.file]) is not None:
            try:
                draw_prediction(prediction, labels, Path(path))
            except StorageError as error:
                bad.append(_report(prediction.file, f"not drawn: {error.message}"))
    return bad


def _report(file: str, reason: str) -> BadFile:
    progress.say(f"bad: {file}: {reason}")
    return BadFile(file=file, reason=reason)
