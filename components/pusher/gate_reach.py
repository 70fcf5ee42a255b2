"""Refuses, before anything is trained, what no model could pass on the images that will judge it."""

import math
from collections.abc import Iterator, Mapping, Sequence

from components.errors import ConfigError
from components.gate_options import DecideOn, GateOptions
from components.intervals import allowed_false_alarms, images_for_drop, images_for_share, reachable_auc


def check_gates(gates: GateOptions, eval_images: Mapping[str, int]) -> None:
    """Checks the limits against the eval split.

    Args:
      gates: the config section.
      eval_images: images of the eval split by label name, all labels.

    Raises:
      ConfigError: naming every gate that cannot be passed, or that names no label.
    """
    unknown = [label for label in gates.int8.min_recall if label not in eval_images]
    if unknown:
        raise ConfigError(
            f"gates.int8.min_recall names no label of the data: {', '.join(map(repr, unknown))}",
            expected=f"labels among {', '.join(eval_images)}",
            hint="--set gates.int8.min_recall={} asks nothing of single labels",
        )
    problems = list(_unmeasurable(gates, eval_images))
    if gates.on is DecideOn.LOWER_BOUND:
        problems += _unreachable(gates, eval_images)
    if problems:
        raise ConfigError(
            "no model can pass these gates on the eval split: " + "; ".join(problems),
            expected="limits that the eval split can show to be kept",
            hint="bring more eval images (data.splits), state other limits, or let the measured figures decide, luck"
            " and all, with --set gates.on=point; docs/gates.md has the numbers",
        )


def check_detector_gates(gates: GateOptions, label_names: Sequence[str]) -> None:
    """Checks that a detector's limits name labels of the data.

    Whether AP can reach its limit on so few images cannot be said beforehand: its interval depends on what is found.

    Args:
      gates: the config section.
      label_names: the background first.

    Raises:
      ConfigError: naming every gate that names no label.
    """
    for section, limits in (("float", gates.float_), ("int8", gates.int8)):
        unknown = [label for label in limits.min_category_ap50 if label not in label_names[1:]]
        if unknown:
            key = f"gates.{section}.min_category_ap50"
            raise ConfigError(
                f"{key} names no label of the data: {', '.join(map(repr, unknown))}",
                expected=f"labels among {', '.join(label_names[1:])}",
                hint=f"--set {key}={{}} asks nothing of single labels",
            )


def check_operating_point(
    max_false_alarm_rate: float | None, positive: str | None, eval_images: Mapping[str, int]
) -> None:
    """Checks that there are false alarms to count, and that the rate allows one: 0 has to be asked for as 0.

    Args:
      max_false_alarm_rate: as the config states it.
      positive: the positive label, if there is one.
      eval_images: as for `check_gates`.

    Raises:
      ConfigError: if a rate is stated that the eval split cannot show.
    """
    if max_false_alarm_rate is None:
        return
    stated = f"release.max_false_alarm_rate={max_false_alarm_rate:g}"
    if positive is None:
        raise ConfigError(
            f"{stated} has no meaning: no label of the data is positive",
            expected="one COCO category, whose absence is the other label",
            hint="leave it out, and compare the scores of the labels",
        )
    negatives = sum(count for label, count in eval_images.items() if label != positive)
    if negatives == 0:
        raise ConfigError(
            f"{stated} cannot be measured: no eval image is without {positive}",
            expected=f"eval images without {positive}, whose false alarms can be counted",
            hint="bring some (data.splits), or leave it out",
        )
    if max_false_alarm_rate > 0 and allowed_false_alarms(max_false_alarm_rate, negatives) == 0:
        raise ConfigError(
            f"{stated} would allow 0 false alarms: of the {negatives:,} eval images without {positive}, one is already"
            f" {1 / negatives:.3g}",
            expected=f"at least {math.ceil(1 / max_false_alarm_rate - 1e-9):,} eval images without {positive}",
            hint="bring more eval images (data.splits), allow more, or ask for none on these images with"
            " --set release.max_false_alarm_rate=0",
        )


def check_golden(golden_images: int, eval_images: Mapping[str, int]) -> None:
    """Checks that the eval split has the golden vectors that a release takes along, of every label.

    Args:
      golden_images: as the config states it.
      eval_images: as for `check_gates`.

    Raises:
      ConfigError: if it has fewer images, or none of a label.
    """
    total, wanted = sum(eval_images.values()), max(golden_images, len(eval_images))
    empty = [label for label, count in eval_images.items() if count == 0]
    if empty or total < wanted:
        raise ConfigError(
            f"release.golden_images={golden_images} cannot be chosen from {total:,} eval images"
            + (f", none of them {' or '.join(empty)}" if empty else ""),
            expected=f"at least {wanted:,} eval images, and one of every label",
            hint="bring more eval images (data.splits), or state fewer golden images if there are more than 8",
        )


def _unmeasurable(gates: GateOptions, eval_images: Mapping[str, int]) -> Iterator[str]:
    empty = [label for label, count in eval_images.items() if count == 0]
    if not empty:
        return
    for name, limit in (("float", gates.float_.min_auc), ("int8", gates.int8.min_auc)):
        if limit is not None:
            yield f"gates.{name}.min_auc={limit:g} needs images of every label; there are none of {', '.join(empty)}"
    for label in gates.int8.min_recall:
        if label in empty:
            yield f"gates.int8.min_recall.{label} needs images of {label}, and there are none"


def _unreachable(gates: GateOptions, eval_images: Mapping[str, int]) -> Iterator[str]:
    total = sum(eval_images.values())
    shares = [
        ("gates.float.min_accuracy", gates.float_.min_accuracy, total),
        ("gates.int8.min_accuracy", gates.int8.min_accuracy, total),
        ("gates.int8.min_agreement", gates.int8.min_agreement, total),
        *(
            (f"gates.int8.min_recall.{label}", limit, eval_images[label])
            for label, limit in gates.int8.min_recall.items()
        ),
    ]
    for name, limit, images in shares:
        if limit is not None:
            yield from _too_few(f"{name}={limit:g}", images_for_share(limit), images)
    drop = gates.int8.max_accuracy_drop
    yield from _too_few(f"gates.int8.max_accuracy_drop={drop:g}", images_for_drop(drop), total)
    if min(eval_images.values()) > 0:
        best = reachable_auc(eval_images)
        for name, limit in (("float", gates.float_.min_auc), ("int8", gates.int8.min_auc)):
            if limit is not None and best < limit:
                yield (
                    f"gates.{name}.min_auc={limit:g} is more than {best:.4g}, which {total:,} images without a mistake"
                    " show at 95 %"
                )


def _too_few(gate: str, needed: int | None, images: int) -> Iterator[str]:
    if needed is None:
        yield f"{gate} is what no number of images shows at 95 %"
    elif images < needed:
        yield f"{gate} takes at least {needed:,} images to show at 95 %, received {images:,}"
