"""The gates on the int8 flatbuffer, with what was measured on it under TFLite Micro."""

from collections.abc import Iterator

from components import features
from components.gate_options import DecideOn, Int8Gates
from components.pusher.bounded_gates import NOTHING, Found, bounded_gate
from components.pusher.detector_gates import drop_gate, quality_gates
from components.pusher.figures import ClassifierFigures, DetectorFigures
from components.pusher.judgement import Judgement
from components.quantization.budget import budget_gates
from components.quantization.records import Rate
from components.verdicts import Comparison, Gate

_NO_ANSWERS = "TFLite Micro gave none"


def int8_gates(judgement: Judgement, limits: Int8Gates, on: DecideOn) -> tuple[Gate, ...]:
    """The gates of `gates.int8`; without TFLite Micro's answers, those that need them do not pass."""
    figures, parity = judgement.figures, judgement.parity
    if isinstance(figures, DetectorFigures):
        gates = list(_detector_gates(figures, limits, on))
    else:
        gates = _classifier_gates(figures, limits, on)
    if features.EVAL not in figures.int8_metrics:
        gates = [gate.model_copy(update={"note": _NO_ANSWERS}) for gate in gates]
    gates += budget_gates(judgement.report, judgement.tflm.arena, limits.device_budget)
    gates.append(
        Gate(
            name="gates.int8.max_parity_lsb",
            comparison=Comparison.AT_MOST,
            limit=limits.max_parity_lsb,
            value=None if parity is None else parity.max_difference_lsb,
            note=_NO_ANSWERS if parity is None else None,
        )
    )
    return tuple(gates)


def _detector_gates(figures: DetectorFigures, limits: Int8Gates, on: DecideOn) -> Iterator[Gate]:
    yield from quality_gates("gates.int8", figures.int8_metrics.get(features.EVAL), limits, on)
    yield drop_gate(figures.quantization_loss, limits, on)


def _classifier_gates(figures: ClassifierFigures, limits: Int8Gates, on: DecideOn) -> list[Gate]:
    quality, loss = figures.int8_metrics.get(features.EVAL), figures.quantization_loss
    gates: list[Gate] = []

    def ask(key: str, comparison: Comparison, limit: float | None, found: Found) -> None:
        if limit is not None:
            gates.append(bounded_gate(f"gates.int8.{key}", comparison, limit, found, on))

    least, most = Comparison.AT_LEAST, Comparison.AT_MOST
    accuracy: Found = NOTHING if quality is None else (quality.accuracy, quality.accuracy_interval)
    auc: Found = NOTHING if quality is None else (quality.auc, quality.auc_interval)
    drop: Found = NOTHING if loss is None else (loss.drop, loss.drop_interval)
    ask("min_accuracy", least, limits.min_accuracy, accuracy)
    ask("min_auc", least, limits.min_auc, auc)
    for label, limit in limits.min_recall.items():
        ask(f"min_recall.{label}", least, limit, _share(None if quality is None else quality.labels[label].recall))
    ask("max_accuracy_drop", most, limits.max_accuracy_drop, drop)
    ask("min_agreement", least, limits.min_agreement, _share(None if loss is None else loss.agreement))
    return gates


def _share(rate: Rate | None) -> Found:
    return NOTHING if rate is None else (rate.value, rate.interval)
