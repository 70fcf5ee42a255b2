"""Tables of what was judged: quality with intervals, operating point, footprint, layers, gates."""

from collections.abc import Mapping

from components.example_gen.labeling import NOT_ANNOTATED
from components.features import EVAL
from components.intervals import Interval, wilson_interval
from components.pusher.figures import DetectorEvaluation, DetectorFigures, Evaluation, Figures
from components.pusher.manifest import Footprint, ParityRecord, SlimmingRecord
from components.quantization.records import ArenaShare, Layer, Metrics, OperatingPoint, Quality, QuantizationLoss, Rate
from components.verdicts import Gate
from pipeline.console import print_table
from pipeline.show_detection import print_detector_evaluation, print_detector_figures

_QUALITY = ["model", "images", "accuracy", "95 %", "AUC", "95 %"]


def print_evaluator_quality(evaluation: Evaluation) -> None:
    """What the Evaluator found of a float model that was not quantized."""
    if isinstance(evaluation, DetectorEvaluation):
        print_detector_evaluation(evaluation)
        return
    rows = [_evaluator_row("float", evaluation.metrics)]
    rows += [
        _evaluator_row(_slice("float", name), each) for name, each in evaluation.slices.items() if name != NOT_ANNOTATED
    ]
    print_table("Quality on the eval split", _QUALITY, rows)


def print_figures(figures: Figures) -> None:
    """Both models on the same images, by slice and by label, and against each other; then the operating point."""
    if isinstance(figures, DetectorFigures):
        print_detector_figures(figures)
        return
    _print_quality(figures.float_metrics, figures.int8_metrics)
    if figures.quantization_loss is not None:
        _print_loss(figures.quantization_loss)
    if figures.operating_point is not None:
        _print_operating_point(figures.operating_point)


def _print_quality(float_metrics: Mapping[str, Quality], int8_metrics: Mapping[str, Quality]) -> None:
    rows = [
        row
        for model, by_split in (("float", float_metrics), ("int8", int8_metrics))
        for split, quality in by_split.items()
        for row in _quality_rows(model if split == EVAL else f"{model}, {split} split", quality)
    ]
    print_table("Quality on the eval split", _QUALITY, rows)
    if EVAL in int8_metrics:
        quality = int8_metrics[EVAL]
        print_table(
            "Labels, int8 on the eval split",
            ["label", "images", "recall", "95 %", "precision", "95 %", *(f"as {name}" for name in quality.labels)],
            [
                [name, _count(sum(row)), *_rate(label.recall), *_rate(label.precision), *map(_count, row)]
                for (name, label), row in zip(quality.labels.items(), quality.confusion, strict=True)
            ],
        )


def _print_loss(loss: QuantizationLoss) -> None:
    print_table(
        "From float to int8, on the eval split",
        ["accuracy drop", "95 %", "decided alike", "95 %", "only float right", "only int8 right"],
        [
            [
                f"{loss.drop:.4f}",
                _interval(loss.drop_interval),
                *_rate(loss.agreement),
                str(loss.lost),
                str(loss.won),
            ]
        ],
    )


def _print_operating_point(point: OperatingPoint) -> None:
    print_table(
        f"Operating point: {point.label} from a score of {point.threshold:.4f}, code {point.code}",
        ["split", "false alarms", "95 %", "recall", "95 %"],
        [[split, *_rate(rates.false_alarms), *_rate(rates.recall)] for split, rates in point.rates.items()],
    )


def print_footprint(footprint: Footprint, parity: ParityRecord | None, slimming: SlimmingRecord | None) -> None:
    """What the model asks of a device."""
    rows = [
        ["flash: the C array, the slim flatbuffer", f"{_count(footprint.flatbuffer_bytes)} bytes"],
        ["  the same model's file for LiteRT", f"{_count(footprint.portable_bytes)} bytes"],
        *arena_rows(
            footprint.arena_total_bytes, footprint.arena_head_bytes, footprint.arena_tail_bytes, footprint.arena_shares
        ),
        ["MACs", _count(footprint.macs)],
    ]
    if parity is not None:
        differs = f"{parity.max_difference_lsb} LSB at most, on {_count(parity.images)} images"
        rows.append(["differs from the reference kernels by", differs])
    if slimming is not None:
        same = f"{_count(slimming.images - slimming.differing)} of {_count(slimming.images)} images"
        rows.append([f"slim and LiteRT's file equal to the bit in all {slimming.operators} operators on", same])
    print_table("Footprint", ["", ""], rows)


def arena_rows(total: int, head: int, tail: int, shares: tuple[ArenaShare, ...]) -> list[list[str]]:
    """The tensor arena and its parts."""
    return [
        ["tensor arena (TFLite Micro, 64-bit host)", f"{_count(total)} bytes"],
        ["  head: activations", f"{_count(head)} bytes"],
        ["  tail: what stays", f"{_count(tail)} bytes"],
        *(
            [f"    {share.name}", f"{_count(share.used_bytes)} bytes in {_count(share.count)} allocations"]
            for share in shares
        ),
    ]


def print_layers(layers: tuple[Layer, ...]) -> None:
    """Every operator with what it takes."""
    print_table(
        "Layers",
        ["", "operator", "output", "MACs", "weight bytes", "output bytes"],
        [
            [
                str(layer.index),
                layer.op,
                "x".join(map(str, layer.output_shape)),
                _count(layer.macs),
                _count(layer.weight_bytes),
                _count(layer.output_bytes),
            ]
            for layer in layers
        ],
    )


def print_gates(gates: tuple[Gate, ...]) -> None:
    """Every gate with its limit; where a bound decided, with the figure that it is the bound of."""
    print_table(
        "Gates",
        ["gate", "limit", "value", "measured", "verdict"],
        [
            [
                gate.name,
                show_limit(gate),
                "-" if gate.value is None else _number(gate.value),
                "" if gate.measured is None else _number(gate.measured),
                show_verdict(gate),
            ]
            for gate in gates
        ],
    )


def show_limit(gate: Gate) -> str:
    """As in `>= 0.9`."""
    return f"{gate.comparison.value} {_number(gate.limit)}"


def show_verdict(gate: Gate) -> str:
    """In one word."""
    return "passed" if gate.passed else "REFUSED"


def _quality_rows(model: str, quality: Quality) -> list[list[str]]:
    auc = ["-", "-"] if quality.auc is None else [f"{quality.auc:.4f}", _interval(quality.auc_interval)]
    accuracy = [f"{quality.accuracy:.4f}", _interval(quality.accuracy_interval)]
    return [
        [model, _count(quality.examples), *accuracy, *auc],
        *(
            [_slice(model, name), _count(rate.images), *_rate(rate), "-", "-"]
            for name, rate in quality.slices.items()
            if name != NOT_ANNOTATED
        ),
    ]


def _evaluator_row(model: str, metrics: Metrics) -> list[str]:
    auc = "-" if metrics.auc is None else f"{metrics.auc:.4f}"
    interval = _interval(wilson_interval(metrics.accuracy, metrics.examples))
    return [model, _count(metrics.examples), f"{metrics.accuracy:.4f}", interval, auc, "-"]


def _slice(model: str, name: str) -> str:
    return f"{model}, largest object {name}"


def _rate(rate: Rate | None) -> list[str]:
    return ["-", "-"] if rate is None else [f"{rate.value:.4f}", _interval(rate.interval)]


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _count(number: int) -> str:
    return f"{number:,}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"
