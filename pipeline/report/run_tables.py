"""The tables of a run's page: what was measured, as text in cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.dataset import DatasetSummary
from components.detection.records import DetectionQuality, DetectorRates
from components.features import EVAL
from components.pusher.figures import ClassifierFigures, DetectorFigures
from components.pusher.manifest import Footprint
from components.pusher.outcome import Outcome
from components.quantization.records import Quality
from pipeline.numerals import show_interval, show_rate, show_share

_BACKGROUND = "nothing"


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
      title: above it; empty for none.
      columns: names of all columns.
      rows: one cell a column.
      note: below the title; empty for none.
      are_numbers: whether all columns but the first are numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    are_numbers: bool = True


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: rows are what is there, columns what was answered.

    Attributes:
      title: above it.
      rows, columns: their names.
      counts: by row and column.
      shares: of the row's sum; a row without any has 0.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]


def quality_tables(outcome: Outcome) -> tuple[Table, ...]:
    """The float model's figures beside those of the int8 file, or the float model's alone where none was judged."""
    figures = outcome.figures
    if figures is None:
        evaluation = outcome.evaluation
        row = dict(evaluation.metrics.model_dump(exclude={"categories"}))
        rows = tuple((name.replace("_", " "), _plain(value)) for name, value in row.items())
        return (Table("Float model, eval split, by the Evaluator", ("figure", "float"), rows),)
    if isinstance(figures, ClassifierFigures):
        return tuple(_classifier_tables(figures))
    return tuple(_detector_tables(figures))


def _classifier_tables(figures: ClassifierFigures) -> Iterator[Table]:
    for split, before in figures.float_metrics.items():
        after = figures.int8_metrics.get(split)
        rows = [_pair("accuracy", before, after, "accuracy"), _pair("AUC", before, after, "auc")]
        rows += [
            (
                f"right, largest object {name.replace('_', ' ')}",
                *show_rate(rate),
                *show_rate(None if after is None else after.slices.get(name)),
            )
            for name, rate in before.slices.items()
        ]
        yield Table(
            f"Quality on the {split} split",
            ("figure", "float", "95 %", "int8", "95 %"),
            tuple(rows),
            f"{before.examples:,} images, the same for both models.",
        )
    loss = figures.quantization_loss
    if loss is not None:
        yield Table(
            "From float to int8, eval split",
            ("figure", "value", "95 %"),
            (
                ("drop of accuracy", f"{loss.drop:.4f}", show_interval(loss.drop_interval)),
                ("decided alike", *show_rate(loss.agreement)),
                ("only float right", f"{loss.lost:,}", ""),
                ("only int8 right", f"{loss.won:,}", ""),
            ),
        )
    if EVAL in figures.int8_metrics:
        labels = figures.int8_metrics[EVAL].labels
        yield Table(
            "Labels, int8, eval split",
            ("label", "recall", "95 %", "precision", "95 %"),
            tuple((name, *show_rate(each.recall), *show_rate(each.precision)) for name, each in labels.items()),
        )
    point = figures.operating_point
    if point is not None:
        yield Table(
            f"Operating point: {point.label} from {point.threshold:.4f} on, code {point.code}",
            ("split", "recall", "95 %", "false alarms", "95 %"),
            tuple(
                (split, *show_rate(rates.recall), *show_rate(rates.false_alarms))
                for split, rates in point.rates.items()
            ),
        )


_FIGURES = {
    "AP": ("ap", "ap_interval"),
    "AP50": ("ap50", "ap50_interval"),
    "AP75": ("ap75", None),
    "AP of small objects": ("ap_small", None),
    "AP of medium objects": ("ap_medium", None),
    "AP of large objects": ("ap_large", None),
    "AR, 1 detection": ("ar_1", None),
    "AR, 10 detections": ("ar_10", None),
    "AR, 100 detections": ("ar_100", None),
}


def _detector_tables(figures: DetectorFigures) -> Iterator[Table]:
    for split, before in figures.float_metrics.items():
        after = figures.int8_metrics.get(split)
        yield Table(
            f"Quality on the {split} split",
            ("figure", "float", "95 %", "int8", "95 %"),
            tuple((name, *_figure(before, *keys), *_figure(after, *keys)) for name, keys in _FIGURES.items()),
            f"COCO's figures on {before.images:,} images with {before.boxes:,} boxes; int8 as decoded in C.",
        )
        found = {} if after is None else after.categories
        yield Table(
            f"Categories, {split} split",
            ("category", "boxes", "float AP", "int8 AP", "float AP50", "int8 AP50", "95 %"),
            tuple(
                (
                    name,
                    f"{each.boxes:,}",
                    show_share(each.ap),
                    show_share(found[name].ap) if name in found else "-",
                    show_share(each.ap50),
                    show_share(found[name].ap50) if name in found else "-",
                    show_interval(found[name].ap50_interval) if name in found else "-",
                )
                for name, each in before.categories.items()
            ),
        )
    point = figures.operating_point
    if point is not None:
        for split, rates in point.rates.items():
            yield Table(
                f"Operating point: a score of {point.threshold:.4f}, {split} split, int8",
                ("category", "right", "false", "missed", "precision", "recall"),
                tuple(_counts_rows(rates)),
                f"At IoU 0.5; {rates.false_detections_per_image:.3f} false detections an image.",
            )


def _counts_rows(rates: DetectorRates) -> Iterator[tuple[str, ...]]:
    for name, counts in (*rates.labels.items(), ("all", rates.counts)):
        numbers = f"{counts.right:,}", f"{counts.false:,}", f"{counts.missed:,}"
        yield (name, *numbers, show_share(counts.precision), show_share(counts.recall))


def confusion_matrices(outcome: Outcome) -> tuple[Matrix, ...]:
    """Of the int8 file; a detector's at its operating point."""
    figures, labels = outcome.figures, outcome.dataset.label_names
    if isinstance(figures, ClassifierFigures):
        return tuple(
            _matrix(f"int8, {split} split", labels, labels, quality.confusion)
            for split, quality in figures.int8_metrics.items()
        )
    if figures is None or figures.operating_point is None:
        return ()
    names = (*labels[1:], _BACKGROUND)
    return tuple(
        _matrix(f"int8, {split} split", names, names, _background_last(rates.confusion))
        for split, rates in figures.operating_point.rates.items()
    )


def _background_last(counts: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple((*row[1:], row[0]) for row in (*counts[1:], counts[0]))


def _matrix(title: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> Matrix:
    return Matrix(
        title,
        tuple(rows),
        tuple(columns),
        tuple(map(tuple, counts)),
        tuple(tuple(count / (sum(row) or 1) for count in row) for row in counts),
    )


def footprint_table(footprint: Footprint) -> Table:
    """What the model asks of a device."""
    return Table(
        "",
        ("what", "how much"),
        (
            ("flash: the C array", f"{footprint.flatbuffer_bytes:,} bytes"),
            ("the same model's file for LiteRT", f"{footprint.portable_bytes:,} bytes"),
            ("tensor arena, 64-bit host", f"{footprint.arena_total_bytes:,} bytes"),
            ("of it activations", f"{footprint.arena_head_bytes:,} bytes"),
            ("MACs of one inference", f"{footprint.macs:,}"),
            ("operators", ", ".join(f"{op.name} {op.count}" for op in footprint.ops)),
        ),
        are_numbers=False,
    )


def dataset_tables(dataset: DatasetSummary) -> tuple[Table, ...]:
    """How many images there were of what, and what was left out."""
    names = tuple(dict.fromkeys(name for by in dataset.counts.values() for name in by))
    counts = Table(
        "Examples",
        ("split", *names),
        tuple(
            (split, *(f"{by.get(name, 0):,}" for name in names))
            for split, by in dataset.counts.items()
            if any(by.values())
        ),
    )
    left_out = [("quarantined", *each) for each in dataset.quarantined.items()]
    left_out += [("dropped", *each) for each in dataset.dropped.items()]
    if not left_out:
        return (counts,)
    rows = tuple((f"{kind}: {reason.replace('_', ' ')}", f"{count:,}") for kind, reason, count in left_out)
    return counts, Table("Left out", ("reason", "records"), rows)


def drift_table(outcome: Outcome) -> Table | None:
    """None where nothing was released before."""
    if not outcome.drift.features:
        return None
    return Table(
        "Drift from the released model's training data",
        ("feature", "distance", "value", "limit"),
        tuple(
            (
                row.feature,
                row.distance.value,
                f"{row.value:.4f}",
                "-" if row.gate is None else f"{row.gate.comparison.value} {row.gate.limit:g}",
            )
            for row in outcome.drift.features
        ),
    )


def _pair(name: str, before: Quality, after: Quality | None, key: str) -> tuple[str, ...]:
    return (name, *_figure(before, key, f"{key}_interval"), *_figure(after, key, f"{key}_interval"))


def _figure(quality: Quality | DetectionQuality | None, key: str, interval: str | None) -> tuple[str, str]:
    if quality is None:
        return "-", ""
    return show_share(getattr(quality, key)), "" if interval is None else show_interval(getattr(quality, interval))


def _plain(value: object) -> str:
    match value:
        case float():
            return f"{value:.4f}"
        case int():
            return f"{value:,}"
        case tuple() | list():
            return show_interval((value[0], value[1]))
        case _:
            return "-"
