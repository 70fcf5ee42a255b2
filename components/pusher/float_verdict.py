"""What the Evaluator found, as gates: its thresholds beside the numbers that it wrote."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_model_analysis as tfma

from components.detection.evaluation_values import from_values
from components.detection.records import DetectionQuality
from components.gate_options import DecideOn, FloatGates
from components.intervals import auc_interval, wilson_interval
from components.pusher.bounded_gates import bounded_gate
from components.pusher.detector_gates import quality_gates
from components.pusher.figures import ClassifierEvaluation, DetectorEvaluation, Evaluation
from components.quantization.records import Metrics
from components.verdicts import Comparison, Gate

_BASELINE = "baseline"


def read_evaluation(uri: str) -> Evaluation:
    """Reads a ModelEvaluation artifact."""
    tables = {_slice_name(record.slice_key): dict(_values(record)) for record in tfma.load_metrics(uri)}
    whole = tables.pop("")
    if ("ap", False) in whole:
        change = whole.get(("ap", True))
        return DetectorEvaluation(
            metrics=_detection(whole),
            change=None if change is None or math.isnan(change) else change,
            slices={name: _detection(values) for name, values in sorted(tables.items())},
        )
    return ClassifierEvaluation(
        metrics=_metrics(whole),
        change=whole.get(("accuracy", True)),
        # A slice by size holds one label only, for which TFMA's AUC says 0.
        slices={name: _metrics(values | {("auc", False): math.nan}) for name, values in sorted(tables.items())},
    )


def float_gates(
    evaluation: Evaluation, limits: FloatGates, on: DecideOn, images_of_labels: Sequence[int]
) -> tuple[Gate, ...]:
    """The gates on the float model, with the values that the Evaluator measured.

    The Evaluator blesses by the figures themselves; a bound is asked here, in addition. The drop from the baseline has
    none: of the baseline only its accuracy is known, not its decisions.

    Args:
      evaluation: the Evaluator's.
      limits: the config section `gates.float`.
      on: what of accuracy and AUC, or of AP and AP50, decides.
      images_of_labels: of the eval split, one for each label; not asked of a detector.
    """
    if isinstance(evaluation, DetectorEvaluation):
        return tuple(_detector_gates(evaluation, limits, on))
    metrics, least = evaluation.metrics, Comparison.AT_LEAST
    accuracy = wilson_interval(metrics.accuracy, metrics.examples)
    gates = []
    if limits.min_accuracy is not None:
        found = (metrics.accuracy, accuracy)
        gates.append(bounded_gate("gates.float.min_accuracy", least, limits.min_accuracy, found, on))
    if limits.min_auc is not None:
        auc = None if metrics.auc is None else auc_interval(metrics.auc, images_of_labels)
        gates.append(bounded_gate("gates.float.min_auc", least, limits.min_auc, (metrics.auc, auc), on))
    if limits.max_accuracy_drop is not None and evaluation.change is not None:
        gates.append(
            Gate(
                name="gates.float.max_accuracy_drop",
                comparison=Comparison.AT_MOST,
                limit=limits.max_accuracy_drop,
                value=0.0 - evaluation.change,  # never -0
            )
        )
    return tuple(gates)


def _detector_gates(evaluation: DetectorEvaluation, limits: FloatGates, on: DecideOn) -> Iterator[Gate]:
    yield from quality_gates("gates.float", evaluation.metrics, limits, on)
    if limits.max_ap_drop is not None and evaluation.change is not None:
        yield Gate(
            name="gates.float.max_ap_drop",
            comparison=Comparison.AT_MOST,
            limit=limits.max_ap_drop,
            value=0.0 - evaluation.change,  # never -0
        )


def _slice_name(key: Any) -> str:
    return ",".join(part.bytes_value.decode() for part in key.single_slice_keys)


def _values(record: Any) -> Iterator[tuple[tuple[str, bool], float]]:
    """((metric, whether it is a change against the baseline), value) of the candidate."""
    for entry in record.metric_keys_and_values:
        if entry.key.model_name != _BASELINE and entry.value.HasField("double_value"):
            yield (entry.key.name, entry.key.is_diff), entry.value.double_value.value


def _detection(values: dict[tuple[str, bool], float]) -> DetectionQuality:
    return from_values({name: value for (name, is_diff), value in values.items() if not is_diff})


def _metrics(values: dict[tuple[str, bool], float]) -> Metrics:
    auc = values.get(("auc", False))
    return Metrics(
        examples=round(values["example_count", False]),
        accuracy=values["accuracy", False],
        auc=None if auc is None or math.isnan(auc) else auc,
    )
