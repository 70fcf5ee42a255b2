"""Tables of a detector that was judged: COCO's figures with intervals, labels, operating point."""

from collections.abc import Iterator, Mapping

from components.detection.records import DetectionCounts, DetectionQuality, DetectorOperatingPoint
from components.features import EVAL
from components.pusher.figures import DetectorEvaluation, DetectorFigures
from pipeline.console import print_table
from pipeline.numerals import show_interval, show_share

_FIGURES = ["ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100"]
_QUALITY = [
    *("model", "images", "boxes", "AP", "95 %", "AP50", "95 %", "AP75"),
    *("AP small", "AP medium", "AP large", "AR1", "AR10", "AR100"),
]


def print_detector_evaluation(evaluation: DetectorEvaluation) -> None:
    """What the Evaluator found of a float detector that was not quantized."""
    rows = [_row("float", evaluation.metrics)]
    rows += [_row(f"float, largest object {name}", each) for name, each in evaluation.slices.items()]
    print_table("Quality on the eval split", _QUALITY, rows)


def print_detector_figures(figures: DetectorFigures) -> None:
    """Both models on the same images, by label, and against each other; then the operating point."""
    models = {"float": figures.float_metrics, "int8, as decoded in C": figures.int8_metrics}
    rows = [
        _row(model if split == EVAL else f"{model}, {split} split", quality)
        for model, by_split in models.items()
        for split, quality in by_split.items()
    ]
    print_table("Quality on the eval split", _QUALITY, rows)
    _print_labels(figures.float_metrics, figures.int8_metrics)
    loss = figures.quantization_loss
    if loss is not None:
        print_table(
            "From float to int8, on the eval split",
            ["AP drop", "95 %", "AP50 drop", "95 %"],
            [
                [
                    show_share(loss.drop),
                    show_interval(loss.drop_interval),
                    show_share(loss.drop50),
                    show_interval(loss.drop50_interval),
                ]
            ],
        )
    if figures.operating_point is not None:
        _print_operating_point(figures.operating_point)


def _print_labels(float_metrics: Mapping[str, DetectionQuality], int8_metrics: Mapping[str, DetectionQuality]) -> None:
    if EVAL in int8_metrics:
        before = float_metrics[EVAL].categories
        print_table(
            "Labels, on the eval split",
            ["label", "boxes", "int8 AP", "int8 AP50", "95 %", "float AP50"],
            [
                [
                    name,
                    f"{each.boxes:,}",
                    show_share(each.ap),
                    show_share(each.ap50),
                    show_interval(each.ap50_interval),
                    show_share(before[name].ap50),
                ]
                for name, each in int8_metrics[EVAL].categories.items()
            ],
        )


def _print_operating_point(point: DetectorOperatingPoint) -> None:
    codes = ", ".join(map(str, point.codes))
    print_table(
        f"Operating point: a score of {point.threshold:.4f}, code {codes}, at IoU 0.5",
        ["split", "label", "right", "false", "missed", "precision", "recall", "false per image"],
        [row for split, rates in point.rates.items() for row in _rates_rows(split, rates.labels, rates.images)],
    )


def _rates_rows(split: str, labels: Mapping[str, DetectionCounts], images: int) -> Iterator[list[str]]:
    for name, counts in labels.items():
        figures = f"{counts.right:,}", f"{counts.false:,}", f"{counts.missed:,}"
        yield [
            split,
            name,
            *figures,
            show_share(counts.precision),
            show_share(counts.recall),
            f"{counts.false / images:.3f}",
        ]


def _row(model: str, quality: DetectionQuality) -> list[str]:
    return [
        model,
        f"{quality.images:,}",
        f"{quality.boxes:,}",
        show_share(quality.ap),
        show_interval(quality.ap_interval),
        show_share(quality.ap50),
        show_interval(quality.ap50_interval),
        show_share(quality.ap75),
        *(show_share(getattr(quality, name)) for name in _FIGURES),
    ]
