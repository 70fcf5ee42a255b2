"""Gathers a data report: what a set holds, before anything is trained on it."""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from components import features
from components.example_gen.image_bytes import check_image
from components.example_gen.image_looks import ImageLook, look_at_images
from components.example_gen.inventory import FoundImage
from components.example_gen.near_duplicates import find_near_duplicates, group_pairs
from components.example_gen.plan import DatasetPlan, LabeledImage, plan_dataset
from components.example_gen.quarantine import BadRecord, DropReason, Quarantined, QuarantineReason
from components.example_gen.storage import FileReader
from pipeline.config import RunConfig
from pipeline.console import RunView
from pipeline.refusals import find_refusals
from pipeline.report import data_checks, measures
from pipeline.report.box_measures import measure_boxes
from pipeline.report.findings import (
    BadRecordRef,
    Coverage,
    Cue,
    CueFindings,
    DataReport,
    DataSource,
    ImageRef,
    Kind,
    LeftOut,
    LookAlike,
    LookAlikeGroup,
    NearDuplicates,
    ObjectSizes,
    Rule,
    Shape,
)
from pipeline.report.label_sensitivity import measure_sensitivity

MAX_GROUPS = 100  # of look-alikes, listed; all are counted
MAX_IN_GROUP = 12
MAX_SAMPLES = 24  # on the contact sheet of a label
_MAX_SAMPLES_IN_ALL = 480  # so that a page of many labels stays below a few megabytes
_MIN_SAMPLES = 4
_FIRST_RECORDS = 5
_DROPPED = "dropped by the rule"

Seen = tuple[LabeledImage, ImageLook]


def gather_data_report(config: RunConfig, view: RunView, *, limit: int | None = None) -> DataReport:
    """Plans the set as a run would, looks at its images, and judges what it finds.

    Args:
      config: of the run.
      view: where progress goes.
      limit: look at this many images at most, chosen by a hash of their ids; at all of them if left out.

    Raises:
      DataError: whatever would stop a run before its images are read.
    """
    view.start("data  ")
    plan = plan_dataset(config.data, lambda done, total: view.advance(done, total, "images"))
    passed_over = "".join(f"; {count:,} {suffix} files passed over" for suffix, count in plan.inventory.ignored.items())
    view.finish(f"{len(plan.records):,} images, {len(plan.label_names)} labels{passed_over}")
    asked = _choose(plan.records, limit)
    view.start("images")
    seen, bad = _look_at(asked, lambda done, total: view.advance(done, total, "images"))
    partly = "" if len(asked) == len(plan.records) else f" of {len(plan.records):,}, as --limit asks"
    view.finish(f"{len(seen):,} looked at{partly}" + (f"; {len(bad):,} are bad" if bad else ""))
    labelled = _without_copies(plan)
    rule = _describe_rule(plan)
    report = DataReport(
        name=config.name,
        side=config.transform.side,
        source=_describe_source(config, plan),
        coverage=Coverage(plan.image_count, len(plan.records), len(asked), len(seen)),
        labels=plan.label_names,
        counts={split: dict(zip(plan.label_names, counts, strict=True)) for split, counts in plan.counts.items()},
        rule=rule,
        objects=None if rule is None else _measure_objects(labelled, plan.label_names, rule),
        sensitivity=None
        if rule is None
        else measure_sensitivity(
            labelled, plan.inventory.category_ids, plan.rule, plan.label_names, data_checks.THRESHOLD_MARGIN
        ),
        cues=_measure_cues(seen, plan.label_names),
        shape=_count_misfits([look for _, look in seen], config.transform.side),
        exif_ignored=sum(look.is_turned for image, look in seen if image.record.width is not None),
        near_duplicates=_find_look_alikes(seen, plan.label_names),
        left_out=_list_left_out(plan, bad),
        ignored=dict(sorted(plan.inventory.ignored.items())),
        samples=_choose_samples(seen, plan.label_names),
        refusals=tuple(str(refusal) for refusal in find_refusals(config, plan)),
        boxes=measure_boxes(config, plan),
    )
    return dataclasses.replace(report, checks=data_checks.check_data(report))


# Which images.


def _place(source_id: str) -> bytes:
    """Orders images at random, in the same way at every call and whatever other images there are."""
    return hashlib.sha256(f"data report {source_id}".encode(errors="surrogatepass")).digest()


def _choose(records: Sequence[LabeledImage], limit: int | None) -> list[LabeledImage]:
    if limit is None or limit >= len(records):
        return list(records)
    chosen = sorted(range(len(records)), key=lambda at: _place(records[at].record.source_id))[:limit]
    return [records[at] for at in sorted(chosen)]


def _choose_samples(seen: Sequence[Seen], label_names: Sequence[str]) -> dict[str, tuple[ImageRef, ...]]:
    each = max(_MIN_SAMPLES, min(MAX_SAMPLES, _MAX_SAMPLES_IN_ALL // len(label_names)))
    ordered = sorted((image for image, _ in seen), key=lambda image: _place(image.record.source_id))
    return {
        name: tuple(
            _refer(image, label_names)
            for image in itertools.islice((image for image in ordered if image.label == label), each)
        )
        for label, name in enumerate(label_names)
    }


def _refer(image: LabeledImage, label_names: Sequence[str]) -> ImageRef:
    return ImageRef(image.record.source_id, image.path, image.split, label_names[image.label], image.bucket)


def _without_copies(plan: DatasetPlan) -> list[FoundImage]:
    """One image of each content, those included that the rule drops."""
    out = {entry.id for entry in plan.dropped if entry.reason is DropReason.DUPLICATE}
    out.update(entry.id for entry in plan.quarantined if entry.reason is QuarantineReason.CONFLICTING_LABELS)
    return [image for image in plan.inventory.images if image.record.source_id not in out]


# What they look like.


def _look_at(
    images: Sequence[LabeledImage], on_progress: Callable[[int, int], None]
) -> tuple[list[Seen], list[Quarantined]]:
    """The images that can be decoded, and those that a run will quarantine for their bytes."""
    seen: list[Seen] = []
    bad: list[Quarantined] = []
    for image, look in zip(images, look_at_images([image.path for image in images], on_progress), strict=True):
        stated = (image.record.width, image.record.height)
        if look is not None and stated in {(None, None), (look.width, look.height)}:
            seen.append((image, look))
        else:
            bad.append(_diagnose(image))
    return seen, bad


def _diagnose(image: LabeledImage) -> Quarantined:
    """What a run will say of an image that does not decode, or has another size than its source says."""
    record = image.record
    try:
        check_image(FileReader().read_image(image.path), width=record.width, height=record.height)
    except BadRecord as bad:
        return Quarantined("image", record.source_id, bad.reason, bad.detail)
    return Quarantined("image", record.source_id, QuarantineReason.UNREADABLE, "it cannot be decoded in full")


def _measure_cues(seen: Sequence[Seen], label_names: Sequence[str]) -> tuple[CueFindings, ...]:
    if not seen:
        return ()
    labels = np.asarray([image.label for image, _ in seen])
    looks = [look for _, look in seen]
    measured = {
        Cue.BRIGHTNESS: ([look.brightness for look in looks], measures.BRIGHTNESS_EDGES),
        Cue.CONTRAST: ([look.contrast for look in looks], measures.CONTRAST_EDGES),
        Cue.ASPECT: ([look.width / look.height for look in looks], measures.ASPECT_EDGES),
        Cue.SHORTER_SIDE: ([float(min(look.width, look.height)) for look in looks], measures.SIDE_EDGES),
    }
    found = []
    for cue, (listed, edges) in measured.items():
        values = np.asarray(listed, np.float64)
        by_label = {name: values[labels == label] for label, name in enumerate(label_names)}
        found.append(
            CueFindings(
                cue=cue,
                histogram=measures.make_histogram(edges, by_label),
                overall=measures.describe_spread(values),
                by_label={name: measures.describe_spread(own) for name, own in by_label.items() if len(own)},
                separation=measures.find_separation(by_label),
            )
        )
    return tuple(found)


def _count_misfits(looks: Sequence[ImageLook], side: int) -> Shape:
    sides = [sorted((look.width, look.height)) for look in looks]
    return Shape(
        small=sum(shorter < side for shorter, _ in sides),
        elongated=sum(longer > data_checks.MAX_ASPECT * shorter for shorter, longer in sides),
    )


def _find_look_alikes(seen: Sequence[Seen], label_names: Sequence[str]) -> NearDuplicates:
    members = group_pairs(find_near_duplicates([look.hash for _, look in seen]))
    groups = [_describe_group([seen[at] for at in places], label_names) for places in members]
    return NearDuplicates(
        images=sum(group.images for group in groups),
        groups=len(groups),
        across_splits=sum(len(group.splits) > 1 for group in groups),
        across_labels=sum(len(group.labels) > 1 for group in groups),
        listed=tuple(
            sorted(groups, key=lambda group: (len(group.splits) == 1, len(group.labels) == 1, -group.images))[
                :MAX_GROUPS
            ]
        ),
    )


def _describe_group(members: Sequence[Seen], label_names: Sequence[str]) -> LookAlikeGroup:
    """The first of every split and label come first, so that what differs is among those shown."""
    leaders: list[Seen] = []
    others: list[Seen] = []
    known: set[tuple[str, int]] = set()
    for image, look in members:
        kind = (image.split, image.label)
        (others if kind in known else leaders).append((image, look))
        known.add(kind)
    ordered = [*leaders, *others]
    hash_of_first = ordered[0][1].hash
    return LookAlikeGroup(
        images=len(members),
        splits=tuple(split for split in features.SPLITS if split in {split for split, _ in known}),
        labels=tuple(label_names[label] for label in sorted({label for _, label in known})),
        first=tuple(
            LookAlike(_refer(image, label_names), (look.hash ^ hash_of_first).bit_count())
            for image, look in ordered[:MAX_IN_GROUP]
        ),
    )


# What the sources say.


def _describe_source(config: RunConfig, plan: DatasetPlan) -> DataSource:
    if config.data.format == "image_folder":
        assert isinstance(config.data.images, str)
        return DataSource("image_folder", (), (config.data.images,), plan.fingerprint)
    sources = config.data.sources
    images = tuple(dict.fromkeys(source.images for source in sources))
    return DataSource("coco", tuple(source.annotations for source in sources), images, plan.fingerprint)


def _describe_rule(plan: DatasetPlan) -> Rule | None:
    parameters = plan.rule.parameters
    if parameters is None or plan.boxes is not None:
        return None
    return Rule(plan.rule.id, str(parameters.quantity), parameters.min_area_fraction)


def _measure_objects(images: Iterable[FoundImage], label_names: Sequence[str], rule: Rule) -> ObjectSizes:
    fractions: dict[str, list[float]] = {name: [] for name in (*label_names, _DROPPED)}
    without: Counter[str] = Counter()
    for image in images:
        name = _DROPPED if image.label.label is None else label_names[image.label.label]
        if image.label.largest_fraction == 0.0:
            without[name] += 1
        else:
            fractions[name].append(image.label.largest_fraction)
    drops = bool(fractions[_DROPPED] or without[_DROPPED])
    if not drops:
        del fractions[_DROPPED]
    return ObjectSizes(
        histogram=measures.make_histogram(measures.fraction_edges(rule.min_area_fraction), fractions),
        without_object={name: without[name] for name in fractions},
        dropped_label=_DROPPED if drops else None,
    )


def _list_left_out(plan: DatasetPlan, bad: Sequence[Quarantined]) -> tuple[LeftOut, ...]:
    """By kind and reason, the most frequent first."""
    groups: dict[tuple[Kind, str, bool], list[BadRecordRef]] = {}

    def add(kind: Kind, reason: str, from_bytes: bool, entry_id: str, detail: str) -> None:
        groups.setdefault((kind, reason, from_bytes), []).append(BadRecordRef(entry_id, detail))

    for from_bytes, entries in ((False, plan.quarantined), (True, bad)):
        for entry in entries:
            kind = Kind.QUARANTINED_IMAGE if entry.kind == "image" else Kind.QUARANTINED_ANNOTATION
            add(kind, str(entry.reason), from_bytes, entry.id, entry.detail)
    for dropped in plan.dropped:
        add(Kind.DROPPED, str(dropped.reason), False, dropped.id, dropped.detail)
    found = [
        LeftOut(kind, reason, from_bytes, len(entries), tuple(entries[:_FIRST_RECORDS]))
        for (kind, reason, from_bytes), entries in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: (list(Kind).index(group.kind), -group.count, group.reason)))
