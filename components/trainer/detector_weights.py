"""Initial weights of what stands on a detector's backbone: extra feature maps and prediction heads.

They are taken from another detector by name, each where its shape fits; from anything else, they stay fresh. Score
heads are only taken for the same labels: a score of another one would have to be unlearned first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from components import features
from components.trainer.source_network import NORM_ROLES, SourceLayer
from components.trainer.weights_report import LayerReport, Outcome

_BACKGROUND = "background"  # stands before the labels of a release, and is none of its scores


def holds_detector(sources: Sequence[SourceLayer]) -> bool:
    """Whether the layers of a file are of a detector of `components.trainer.models.ssd`."""
    names = {source.name for source in sources}
    return not names.isdisjoint({f"{features.ENCODED_BOXES}_0", f"shared_{features.ENCODED_BOXES}"})


def load_detector(
    targets: Sequence[Any],
    sources: Sequence[SourceLayer],
    categories: tuple[str, ...] | None,
    source_labels: tuple[str, ...] | None,
) -> tuple[list[LayerReport], list[str]]:
    """Sets the layers that stand on the backbone to those of a file.

    Args:
      targets: these layers.
      sources: all layers of the file.
      categories: the names of our labels 1 and up; None where they are not known.
      source_labels: the names of the file's labels; None where it does not say.

    Returns:
      What became of each target, and what a person should know of the labels.
    """
    if not holds_detector(sources):
        return [_fresh(target, "the file has no detector") for target in targets], []
    theirs = None if source_labels is None else tuple(label for label in source_labels if label != _BACKGROUND)
    differ = categories is not None and theirs is not None and categories != theirs
    by_name = {source.name: source for source in sources}
    reports: dict[str, LayerReport] = {}
    for target in sorted(targets, key=_is_score_head):  # after the box heads, which tell whether the anchors fit
        if differ and _is_score_head(target):
            assert theirs is not None
            reports[target.name] = _fresh(target, f"the file's labels are {', '.join(theirs)}")
        else:
            reports[target.name] = _load(target, by_name, reports)
    return [reports[target.name] for target in targets], _notes(categories, theirs, reports, targets)


def _load(target: Any, by_name: Mapping[str, SourceLayer], reports: Mapping[str, LayerReport]) -> LayerReport:
    source = by_name.get(target.name)
    if source is None:
        return _fresh(target, "the file has no layer of this name")
    before = reports.get(_before(target))
    if before is not None and before.outcome == Outcome.FRESH:
        return _fresh(target, f"{before.layer} is fresh")
    is_norm = isinstance(target, keras.layers.BatchNormalization)
    roles = NORM_ROLES if is_norm else ("kernel", "bias")[: len(target.weights)]
    found = {role: tuple(array.shape) for role, array in source.arrays.items()}
    wanted = {role: tuple(weight.shape) for role, weight in zip(roles, target.weights, strict=True)}
    if found != wanted:
        return _fresh(target, f"the file's has {_describe(found)}, this model's {_describe(wanted)}")
    target.set_weights([source.arrays[role] for role in roles])
    return LayerReport(layer=target.name, outcome=Outcome.LOADED, source=source.name)


def _before(target: Any) -> str:
    """The layer without which this one is worth nothing: of a normalization its convolution, of scores the boxes."""
    if _is_score_head(target):
        return str(target.name.replace(features.SCORE_LOGITS, features.ENCODED_BOXES))
    return str(target.name.removesuffix("_bn")) if target.name.endswith("_bn") else ""


def _is_score_head(target: Any) -> bool:
    return features.SCORE_LOGITS in target.name.split("_")


def _notes(
    categories: tuple[str, ...] | None,
    theirs: tuple[str, ...] | None,
    reports: Mapping[str, LayerReport],
    targets: Sequence[Any],
) -> list[str]:
    if categories is None or theirs == categories:
        return []
    ours = ", ".join(categories)
    if theirs is not None:
        return [f"its labels are {', '.join(theirs)}, this model's {ours}: the score heads start fresh"]
    if all(reports[target.name].outcome == Outcome.FRESH for target in targets if _is_score_head(target)):
        return []
    return [f"the file does not say which labels it has; its score heads are taken for those of {ours}, in this order"]


def _describe(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{role} {list(shape)}" for role, shape in shapes.items())


def _fresh(target: Any, reason: str) -> LayerReport:
    return LayerReport(layer=target.name, outcome=Outcome.FRESH, source=None, details=(reason,))
