"""How much hangs on the label rule: the same images under other rules and other thresholds."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from components.example_gen import labeling
from components.example_gen.image_records import ImageRecord, pack_annotations
from components.example_gen.inventory import FoundImage
from components.example_gen.labeling import LABEL_RULES, LabelRule, RuleParameters
from pipeline.report.findings import RuleCounts, Sensitivity

THRESHOLD_FACTORS = (0.5, 1.0, 2.0)


def measure_sensitivity(
    images: Sequence[FoundImage],
    category_ids: Mapping[int, int],
    rule: LabelRule,
    label_names: Sequence[str],
    margin: float,
) -> Sensitivity:
    """Labels the images under every preset, and under multiples of the threshold that is set.

    Args:
      images: of the inventory.
      category_ids: of the inventory.
      rule: the one that is set, of annotated objects.
      label_names: by label.
      margin: part of the threshold, both ways, within which an image counts as near it.
    """
    assert rule.parameters is not None
    labeler = _Labeler(images, category_ids)
    active = labeler.label(rule.parameters)
    rows = [(preset.id, preset.parameters) for preset in LABEL_RULES.values() if preset.parameters is not None]
    scaled = ((factor, _scale(rule.parameters, factor)) for factor in THRESHOLD_FACTORS)
    rows += [(f"{rule.id} x {factor:g}", parameters) for factor, parameters in scaled if parameters is not None]
    counts = [_count(name, parameters, labeler.label(parameters), active, label_names) for name, parameters in rows]
    near: set[int] = set()
    for factor in (1 - margin, 1 + margin):
        if (moved := _scale(rule.parameters, factor)) is not None:
            near |= {at for at, pair in enumerate(zip(labeler.label(moved), active, strict=True)) if pair[0] != pair[1]}
    return Sensitivity(images=len(images), rules=tuple(counts), near_threshold=len(near))


def _scale(parameters: RuleParameters, factor: float) -> RuleParameters | None:
    """The same rule with another threshold; None where that would be none."""
    threshold = parameters.min_area_fraction * factor
    if not 0 < threshold < 1:
        return None
    return parameters.model_copy(update={"min_area_fraction": threshold})


def _count(
    name: str,
    parameters: RuleParameters,
    labels: Sequence[int | None],
    active: Sequence[int | None],
    label_names: Sequence[str],
) -> RuleCounts:
    tally = Counter(labels)
    return RuleCounts(
        name=name,
        quantity=str(parameters.quantity),
        min_area_fraction=parameters.min_area_fraction,
        counts={label_name: tally[label] for label, label_name in enumerate(label_names)},
        dropped=tally[None],
        changed=sum(one != other for one, other in zip(labels, active, strict=True)),
    )


class _Labeler:
    """Labels the same images again and again, holding only the annotations that any rule looks at.

    One category may have several ids in several annotations files; the ids of all are looked for in every image.
    """

    def __init__(self, images: Sequence[FoundImage], category_ids: Mapping[int, int]) -> None:
        self._ids = tuple(category_ids)
        self._labels = (labeling.NEGATIVE, *category_ids.values())
        self._records = [self._reduce(image.record) for image in images]

    def _reduce(self, record: ImageRecord) -> ImageRecord:
        relevant = (annotation for annotation in record.annotations if annotation.category_id in self._ids)
        return dataclasses.replace(record, packed=pack_annotations(relevant))

    def label(self, parameters: RuleParameters) -> list[int | None]:
        """The label of each image; None for those that the rule drops."""
        found = (labeling.label_image(record, self._ids, parameters).label for record in self._records)
        return [None if label is None else self._labels[label] for label in found]
