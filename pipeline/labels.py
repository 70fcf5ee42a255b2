"""`vww labels diff`: what the choice of a label rule changes on a given set."""

import difflib
import io
import itertools
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import ConfigError, DataError
from components.example_gen import coco, labeling
from components.example_gen.coco import CocoDataset
from components.example_gen.labeling import LABEL_RULES, LabelRule
from components.example_gen.quarantine import BadRecord
from components.example_gen.storage import open_images_folder
from components.pusher.durable_files import replace_durably, storage_errors
from pipeline.console import print_table

MAX_TILES = 48
DROPPED = "dropped"


@dataclass(frozen=True)
class RuleLabels:
    """What one rule makes of every image: label name by image id, in the order of the ids."""

    rule: LabelRule
    by_image: Mapping[str, str]


def find_rules(names: Sequence[str]) -> list[LabelRule]:
    """The presets of these names.

    Raises:
      ConfigError: there are fewer than two, one twice, or one that does not exist.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"--rule received {', '.join(names) or 'nothing'}",
            expected=f"two or more different rules of {', '.join(LABEL_RULES)}",
            hint="vww labels diff --rule slim --rule mlperf --annotations FILE",
        )
    for name in names:
        if name not in LABEL_RULES:
            near = difflib.get_close_matches(name, LABEL_RULES, n=1)
            raise ConfigError(
                f"--rule {name}: there is no label rule of that name",
                expected=f"one of {', '.join(LABEL_RULES)}",
                hint=f"did you mean {near[0]}?" if near else "docs/label-rules.md says what each compares",
            )
    return [LABEL_RULES[name] for name in names]


def label_by_rules(dataset: CocoDataset, category: str, rules: Sequence[LabelRule]) -> list[RuleLabels]:
    """Labels every image of a set by every rule.

    Raises:
      DataError: the set has no such category.
    """
    category_id = coco.find_category(dataset, category)
    names = {labeling.NEGATIVE: f"not-{category}", 1: category, None: DROPPED}
    labels: list[dict[str, str]] = [{} for _ in rules]
    for record in dataset.images:
        for rule, by_image in zip(rules, labels, strict=True):
            assert rule.parameters is not None
            by_image[record.source_id] = names[labeling.label_image(record, (category_id,), rule.parameters).label]
    return [RuleLabels(rule, by_image) for rule, by_image in zip(rules, labels, strict=True)]


def print_labels(labels: Sequence[RuleLabels], category: str) -> None:
    """Counts of every rule, and of two the confusion, of more how many images each pair labels differently."""
    names = (f"not-{category}", category, DROPPED)
    rows = []
    for one in labels:
        tally = Counter(one.by_image.values())
        rows.append([one.rule.id, *(f"{tally[name]:,}" for name in names), *_describe(one.rule)])
    print_table("Labels", ["rule", *names, "compares", "crowds", "small objects only"], rows)
    if len(labels) == 2:
        first, second = labels
        pairs = Counter(zip(first.by_image.values(), second.by_image.values(), strict=True))
        print_table(
            f"Images by {first.rule.id} (rows) and {second.rule.id} (columns)",
            ["", *names],
            [[name, *(f"{pairs[name, other]:,}" for other in names)] for name in names],
        )
    else:
        print_table(
            "Images labelled differently",
            ["", *(one.rule.id for one in labels)],
            [
                [one.rule.id, *("-" if one is other else f"{len(changed_images([one, other])):,}" for other in labels)]
                for one in labels
            ],
        )


def changed_images(labels: Sequence[RuleLabels]) -> list[str]:
    """Ids of the images that not all rules label alike."""
    return [
        source_id
        for source_id in labels[0].by_image
        if any(a.by_image[source_id] != b.by_image[source_id] for a, b in itertools.pairwise(labels))
    ]


def _describe(rule: LabelRule) -> tuple[str, str, str]:
    parameters = rule.parameters
    assert parameters is not None
    what = parameters.quantity.replace("_", " ")
    what = f"sum of {what}s" if parameters.sums else what
    compares = f"{what} {'>=' if parameters.inclusive else '>'} {100 * parameters.min_area_fraction:g} % of the image"
    return compares, "count" if parameters.crowds else "do not count", parameters.small_only.value


# The contact sheet.


def guess_images_folder(annotations: str) -> Path | None:
    """The folder of a set's images, where it lies as COCO and its kin lay it; None if none is there."""
    file = Path(annotations)
    name = file.stem.removeprefix("instances_")
    candidates = (file.parent / "images", file.parent.parent / name, file.parent.parent / "images" / name)
    return next((folder for folder in candidates if folder.is_dir()), None)


def write_sheet(
    changed: Sequence[str], labels: Sequence[RuleLabels], dataset: CocoDataset, images: str, path: Path
) -> int:
    """Writes a contact sheet of images that change label, as many as MAX_TILES, spread evenly over the set.

    Args:
      changed: ids of the images that change label; at least one.
      labels: what each rule says of them.
      dataset: the set.
      images: the images folder, local or `gs://`.
      path: the JPEG file.

    Returns:
      How many images are on it; those that are not in the folder are named on stderr.

    Raises:
      DataError: there is no such images folder, or it holds none of these images.
      StorageError: the file cannot be written.
    """
    from pipeline.report.contact_sheet import Tile, render_contact_sheet

    find_file = open_images_folder(images)
    records = {record.source_id: record for record in dataset.images}
    tiles: list[Tile] = []
    for source_id in changed[:: -(-len(changed) // MAX_TILES)]:
        caption = "\n".join([source_id, *(f"{one.rule.id}: {one.by_image[source_id]}" for one in labels)])
        try:
            tiles.append(Tile(find_file(records[source_id].file_name).path, caption))
        except BadRecord as bad:
            sys.stderr.write(f"image {source_id}: {bad.detail}\n")
    if not tiles:
        raise DataError(
            f"{images}: holds none of the {len(changed):,} images that change label.",
            expected="the folder that the annotations' file_name is relative to",
            hint="pass --images DIR",
        )
    sheet = io.BytesIO()
    render_contact_sheet(tiles).save(sheet, "JPEG", quality=88)
    with storage_errors(path, sheet.tell()):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, sheet.getvalue())
    return len(tiles)
