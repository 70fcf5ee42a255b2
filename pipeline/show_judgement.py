"""Tables of what was judged: quality with intervals, operating point, footprint, layers, gates."""

from collections.abc import Mapping

from components.example_gen.labeling import NOT_ANNOTATED
from components.features import EVAL
from components.intervals import wilson_interval
from components.pusher.figures import DetectorEvaluation, DetectorFigures, Evaluation, Figures
from components.pusher.manifest import Footprint, ParityRecord, SlimmingRecord
from components.quantization.records import ArenaShare, Layer, Metrics, OperatingPoint, Quality, QuantizationLoss
from components.verdicts import Gate
from pipeline.console import print_table
from pipeline.numerals import show_count, show_figure, show_interval, show_rate, show_share
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
                [
                    name,
                    show_count(sum(row)),
                    *show_rate(label.recall),
                    *show_rate(label.precision),
                    *map(show_count, row),
                ]
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
                show_interval(loss.drop_interval),
                *show_rate(loss.agreement),
                str(loss.lost),
                str(loss.won),
            ]
        ],
    )


def _print_operating_point(point: OperatingPoint) -> None:
    print_table(
        f"Operating point: {point.label} from a score of {point.threshold:.4f}, code {point.code}",
        ["split", "false alarms", "95 %", "recall", "95 %"],
        [[split, *show_rate(rates.false_alarms), *show_rate(rates.recall)] for split, rates in point.rates.items()],
    )


def print_footprint(footprint: Footprint, parity: ParityRecord | None, slimming: SlimmingRecord | None) -> None:
    """What the model asks of a device."""
    rows = [
        ["flash: the C array, the slim flatbuffer", f"{show_count(footprint.flatbuffer_bytes)} bytes"],
        ["  the same model's file for LiteRT", f"{show_count(footprint.portable_bytes)} bytes"],
        *arena_rows(
            footprint.arena_total_bytes, footprint.arena_head_bytes, footprint.arena_tail_bytes, footprint.arena_shares
        ),
        ["MACs", show_count(footprint.macs)],
    ]
    if parity is not None:
        differs = f"{parity.max_difference_lsb} LSB at most, on {show_count(parity.images)} images"
        rows.append(["differs from the reference kernels by", differs])
    if slimming is not None:
        same = f"{show_count(slimming.images - slimming.differing)} of {show_count(slimming.images)} images"
        rows.append([f"slim and LiteRT's file equal to the bit in all {slimming.operators} operators on", same])
    print_table("Footprint", ["", ""], rows)


def arena_rows(total: int, head: int, tail: int, shares: tuple[ArenaShare, ...]) -> list[list[str]]:
    """The tensor arena and its parts."""
    return [
        ["tensor arena (TFLite Micro, 64-bit host)", f"{show_count(total)} bytes"],
        ["  head: activations", f"{show_count(head)} bytes"],
        ["  tail: what stays", f"{show_count(tail)} bytes"],
        *(
            [f"    {share.name}", f"{show_count(share.used_bytes)} bytes in {show_count(share.count)} allocations"]
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
                show_count(layer.macs),
                show_count(layer.weight_bytes),
                show_count(layer.output_bytes),
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
                show_figure(gate.value),
                "" if gate.measured is None else show_figure(gate.measured),
                show_verdict(gate),
            ]
            for gate in gates
        ],
    )


def show_limit(gate: Gate) -> str:
    """As in `>= 0.9`."""
    return f"{gate.comparison.value} {show_figure(gate.limit)}"


def show_verdict(gate: Gate) -> str:
    """In one word."""
    return "passed" if gate.passed else "REFUSED"


def _quality_rows(model: str, quality: Quality) -> list[list[str]]:
    auc = [show_share(quality.auc), show_interval(quality.auc_interval)]
    accuracy = [show_share(quality.accuracy), show_interval(quality.accuracy_interval)]
    return [
        [model, show_count(quality.examples), *accuracy, *auc],
        *(
            [_slice(model, name), show_count(rate.images), *show_rate(rate), "-", "-"]
            for name, rate in quality.slices.items()
            if name != NOT_ANNOTATED
        ),
    ]


def _evaluator_row(model: str, metrics: Metrics) -> list[str]:
    interval = show_interval(wilson_interval(metrics.accuracy, metrics.examples))
    return [model, show_count(metrics.examples), show_share(metrics.accuracy), interval, show_share(metrics.auc), "-"]


def _slice(model: str, name: str) -> str:
    return f"{model}, largest object {name}"
