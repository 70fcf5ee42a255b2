"""COCO's figures as a metric of TFMA: the built-in one gives the same, but takes hours where it is exact.

It reads what the serving signature found and what the raw examples hold, both unpacked by TFMA to one image each.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components import features
from components.detection.coco_metrics import measure_detections
from components.detection.detections import Detections, GroundTruth
from components.detection.evaluation_values import to_values, value_names

_EDGES = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)
_TRUTH = (*_EDGES, features.OBJECT_LABEL, features.OBJECT_IS_CROWD, features.OBJECT_AREA)
_SIZE = (features.HEIGHT, features.WIDTH)
_FOUND = (features.DETECTION_BOXES, features.DETECTION_SCORES, features.DETECTION_LABELS)

Image = tuple[GroundTruth, Detections]


class CocoMetrics(metric_types.Metric):  # type: ignore[misc]  # TFMA publishes no types
    """Every figure of `components.detection.evaluation_values`, by its name.

    Args:
      label_names: the background first.
      name: TFMA's; each figure has one of its own.
    """

    def __init__(self, label_names: Sequence[str], name: str = "coco") -> None:
        super().__init__(
            metric_util.merge_per_key_computations(_computations), label_names=list(label_names), name=name
        )


metric_types.register_metric(CocoMetrics)


def _computations(label_names: Sequence[str], name: str, model_name: str = "") -> list[Any]:  # noqa: ARG001  # TFMA's
    # As the keys of thresholds that are stated by name: neither weighted nor unweighted.
    keys = {
        figure: metric_types.MetricKey(figure, model_name=model_name, example_weighted=None)
        for figure in value_names(label_names)
    }
    return [
        metric_types.MetricComputation(
            keys=list(keys.values()),
            preprocessors=[_KeepBoxes(model_name)],
            combiner=_Measure(keys, tuple(label_names)),
        )
    ]


class _KeepBoxes(metric_types.Preprocessor):  # type: ignore[misc]
    """Drops the images' bytes before anything is shuffled."""

    def __init__(self, model_name: str) -> None:
        super().__init__(name=f"keep_boxes_{model_name}")
        self._model_name = model_name

    def process(self, extracts: Any) -> Iterator[Any]:
        """One image with its truth and detections."""
        raw, found = extracts[constants.FEATURES_KEY], extracts[constants.PREDICTIONS_KEY]
        if self._model_name and self._model_name in found:  # of two models, TFMA gives both
            found = found[self._model_name]
        yield {
            constants.FEATURES_KEY: {key: raw[key] for key in (*_TRUTH, *_SIZE) if raw.get(key) is not None},
            constants.PREDICTIONS_KEY: {key: found[key] for key in _FOUND},
        }


class _Measure(beam.CombineFn):  # type: ignore[misc]
    """Gathers all images of a slice, and measures them together: AP is no mean over images."""

    def __init__(self, keys: dict[str, Any], label_names: tuple[str, ...]) -> None:
        self._keys, self._label_names = keys, label_names

    def create_accumulator(self) -> list[Image]:
        return []

    def add_input(self, images: list[Image], element: Any) -> list[Image]:
        return [*images, (_truth(element[constants.FEATURES_KEY]), _found(element[constants.PREDICTIONS_KEY]))]

    def merge_accumulators(self, accumulators: Iterable[list[Image]]) -> list[Image]:
        return [image for images in accumulators for image in images]

    def extract_output(self, images: list[Image]) -> dict[Any, float]:
        truths, found = [truth for truth, _ in images], [each for _, each in images]
        values = to_values(measure_detections(truths, found, self._label_names))
        return {self._keys[name]: value for name, value in values.items()}


def _truth(raw: dict[str, Any]) -> GroundTruth:
    """An image without objects has no such features at all."""

    def column(key: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.asarray(raw.get(key, ()), dtype).ravel()

    return GroundTruth(
        boxes_yxyx=np.stack([column(key, np.float32) for key in _EDGES], axis=1),
        labels=column(features.OBJECT_LABEL, np.int64),
        crowds=column(features.OBJECT_IS_CROWD, np.int64) != 0,
        areas_px=column(features.OBJECT_AREA, np.float32),
        height=int(column(features.HEIGHT, np.int64)[0]),
        width=int(column(features.WIDTH, np.int64)[0]),
    )


def _found(predictions: dict[str, Any]) -> Detections:
    """Without the rows of 0 that fill up the signature's answer."""
    boxes, scores, labels = (np.asarray(predictions[key]) for key in _FOUND)
    is_real = labels.ravel() > 0
    return Detections(
        boxes.reshape(-1, 4)[is_real].astype(np.float32),
        scores.ravel()[is_real].astype(np.float32),
        labels.ravel()[is_real].astype(np.int64),
    )
