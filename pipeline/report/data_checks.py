"""Whether a set is balanced, diverse and large enough: every check, its threshold, and where the number comes from.

The thresholds are rules of thumb, each with its reason; they warn and never refuse.
"""

import shlex
from collections.abc import Iterator

from components import features
from components.example_gen.box_counts import MAYBE_CORNERS, MAYBE_NORMALISED
from components.example_gen.quarantine import DropReason
from components.intervals import wilson_interval
from pipeline.numerals import show_percent
from pipeline.report.box_findings import TINY_PX, BoxFindings
from pipeline.report.findings import Check, CheckVerdict, Cue, CueFindings, DataReport, Kind

# Balance. Of two labels that is a tenth: a model that never says the rarer one is then 90 % right, and accuracy, which
# the gates hold, says little.
MIN_PART_OF_EQUAL_SHARE = 0.2

# Size. Training starts from random weights. CIFAR-10, which networks of this size are commonly trained on from
# scratch, has 5,000 images a class; a fifth of that is where a first try makes sense.
MIN_TRAIN_IMAGES = 1_000
# At 80 % accuracy, about what the recipe reaches on COCO, 400 images give a 95 % interval of +-4 points.
MIN_EVAL_IMAGES = 400
ASSUMED_ACCURACY = 0.8

# Boxes. A detector learns each by itself: as many as there are images where one image has one object.
MIN_TRAIN_BOXES = 1_000
# A box that no anchor matches is learned from the one that fits it best alone: fewer positives, and of larger offsets
# than the others. Of SSD's published anchors at 300x300, 54 % of coco128's boxes are such, and small objects are what
# that network is known to miss.
MAX_UNMATCHED_SHARE = 0.3
# Below 8 pixels a side there is hardly a shape to see; the finest map of the published layers has 16 pixels a cell.
MAX_TINY_SHARE = 0.1
MAX_NOT_LEARNED_SHARE = 0.01
# As much as may be quarantined: objects at the edge are cut off by who draws them.
MAX_CLIPPED_SHARE = 0.01

# Labels. At 640x480, slim's threshold is an object of 39x39 pixels; an outline two pixels off changes its area by a
# fifth, and with that the label. Labels that are a matter of taste in one image of twenty cap what can be measured.
THRESHOLD_MARGIN = 0.25
MAX_NEAR_THRESHOLD_SHARE = 0.05

# Diversity.
MAX_COPIES_SHARE = 0.01  # as much as may be quarantined; beyond it, the set is smaller than it seems
MAX_LOOK_ALIKE_SHARE = 0.05  # a burst of photographs teaches hardly more than one of them
MIN_BRIGHTNESS_DEVIATION = 0.06  # half of what 128 images of COCO show: 0.119

# What the model sees. Images are squeezed into a square of `transform.side` pixels.
MAX_SMALL_SHARE = 0.05  # what is scaled up looks like nothing that a camera delivers
MAX_ASPECT = 2.0  # cameras deliver 4:3 to 16:9; beyond 2:1, proportions are off by more than a factor of two
MAX_ELONGATED_SHARE = 0.05

# Shortcuts. 0.65 is the AUC of two normal distributions that lie half a standard deviation apart; what can be told
# that easily, a network learns first, and it is rarely what the camera will see.
MAX_CUE_AUC = 0.65


def check_data(report: DataReport) -> tuple[Check, ...]:
    """Every check that a report has the findings for; a set without annotated objects has fewer."""
    size = _check_size if report.boxes is None else _check_boxes
    groups = (size, _check_labels, _check_diversity, _check_what_is_seen, _check_shortcuts, _check_bad, _check_refusals)
    return tuple(check for group in groups for check in group(report))


def _at_least(name: str, value: float, limit: float, *, shown: str, wanted: str, about: str, advice: str) -> Check:
    verdict = CheckVerdict.FINE if value >= limit else CheckVerdict.WARN
    return Check(name, value, limit, shown, f"at least {wanted}", verdict, about, advice)


def _at_most(name: str, value: float, limit: float, *, shown: str, wanted: str, about: str, advice: str) -> Check:
    verdict = CheckVerdict.FINE if value <= limit else CheckVerdict.WARN
    return Check(name, value, limit, shown, wanted, verdict, about, advice)


def _at_most_share(name: str, part: int, whole: int, limit: float, *, about: str, advice: str) -> Check:
    share = part / whole if whole else 0.0
    return _at_most(
        name,
        share,
        limit,
        shown=f"{show_percent(share)} ({part:,} of {whole:,})",
        wanted=f"at most {100 * limit:g} %",
        about=about,
        advice=advice,
    )


def _none(name: str, count: int, *, about: str, advice: str) -> Check:
    return _at_most(name, count, 0, shown=f"{count:,}", wanted="none", about=about, advice=advice)


def _check_size(report: DataReport) -> Iterator[Check]:
    train, held_out = report.counts[features.TRAIN], report.counts[features.EVAL]
    rarest = min(train, key=lambda label: train[label])
    share = train[rarest] / sum(train.values())
    least = MIN_PART_OF_EQUAL_SHARE / len(report.labels)
    yield _at_least(
        "class_balance",
        share,
        least,
        shown=f"{show_percent(share)} ({rarest})",
        wanted=show_percent(least),
        about=f"The smallest label's share of train; equal shares would be {show_percent(1 / len(report.labels))}.",
        advice=f"Collect images of {rarest}, or leave out some of the others; judge by AUC rather than accuracy.",
    )
    yield _at_least(
        "train_images",
        train[rarest],
        MIN_TRAIN_IMAGES,
        shown=f"{train[rarest]:,} ({rarest})",
        wanted=f"{MIN_TRAIN_IMAGES:,}",
        about="Images of the smallest label in train. Training starts from random weights, so it needs many.",
        advice="Collect more, or add a public set's images of the same label; expect a gate to refuse otherwise.",
    )
    images = sum(held_out.values())
    low, high = wilson_interval(ASSUMED_ACCURACY, images)
    yield _at_least(
        "eval_images",
        images,
        MIN_EVAL_IMAGES,
        shown=f"{images:,}",
        wanted=f"{MIN_EVAL_IMAGES:,}",
        about=f"An accuracy of {100 * ASSUMED_ACCURACY:.0f} % measured on {images:,} images means"
        f" {show_percent(low)} to {show_percent(high)} (95 % interval).",
        advice="Raise data.splits.eval or add images; until then, differences within that interval say nothing.",
    )


def _check_boxes(report: DataReport) -> Iterator[Check]:
    found = report.boxes
    assert found is not None
    train = found.counts[features.TRAIN]
    rarest = min(train, key=lambda label: train[label])
    yield _at_least(
        "train_boxes",
        train[rarest],
        MIN_TRAIN_BOXES,
        shown=f"{train[rarest]:,} ({rarest})",
        wanted=f"{MIN_TRAIN_BOXES:,}",
        about="Boxes of the rarest label in train, crowds aside.",
        advice="Collect more, or start from weights that have seen such objects (trainer.initial_weights).",
    )
    images = sum(report.counts[features.EVAL].values())
    yield _at_least(
        "eval_images",
        images,
        MIN_EVAL_IMAGES,
        shown=f"{images:,}",
        wanted=f"{MIN_EVAL_IMAGES:,}",
        about="Images that AP is measured on; of fewer, its 95 % interval is wide.",
        advice="Raise data.splits.eval or add images; until then, small differences of AP say nothing.",
    )
    yield _at_most_share(
        "unmatched_boxes",
        found.unmatched,
        found.boxes,
        MAX_UNMATCHED_SHARE,
        about=f"Train boxes that no anchor reaches an IoU of {found.match_iou:g} with; they are learned worst.",
        advice=_advise_anchors(found),
    )
    yield _at_most_share(
        "tiny_boxes",
        found.tiny,
        found.boxes,
        MAX_TINY_SHARE,
        about=f"Train boxes with a side below {TINY_PX} pixels of the model's input of {report.side}.",
        advice=_maybe_normalised(found)
        or "Raise transform.side, have the camera nearer, or leave them out of what is asked.",
    )
    yield _at_most_share(
        "boxes_beyond_max",
        found.not_learned,
        found.boxes + found.crowds[features.TRAIN],
        MAX_NOT_LEARNED_SHARE,
        about=f"Boxes beyond the {found.max_boxes} largest of their train image, which are taught as background.",
        advice="Raise transform.max_boxes.",
    )
    yield _at_most_share(
        "clipped_boxes",
        found.clipped,
        found.labelled,
        MAX_CLIPPED_SHARE,
        about="Boxes that reach beyond their image by more than a pixel; what is inside is learned.",
        advice=f"Convert them: {MAYBE_CORNERS}."
        if 2 * found.clipped > found.labelled
        else "Look whether they are of another size or turning of their images; data.boxes.outside=quarantine leaves"
        " them out.",
    )


def _maybe_normalised(found: BoxFindings) -> str:
    """What to do where no box is larger than a pixel; empty elsewhere."""
    if found.in_a_pixel < found.boxes:
        return ""
    return f"Multiply them by their image's width and height: {MAYBE_NORMALISED}."


def _advise_anchors(found: BoxFindings) -> str:
    if advice := _maybe_normalised(found):
        return advice
    if found.proposal is None:
        return "No anchors were found that fit better; where objects are small, raise transform.side."
    settings = " ".join(f"--set {shlex.quote(setting)}" for setting in found.proposal.settings)
    return f"Try {settings}; where objects are tiny, raise transform.side too."


def _check_labels(report: DataReport) -> Iterator[Check]:
    if report.sensitivity is not None and report.rule is not None:
        yield _at_most_share(
            "near_threshold",
            report.sensitivity.near_threshold,
            report.sensitivity.images,
            MAX_NEAR_THRESHOLD_SHARE,
            about="Images whose label would change if the rule's threshold of"
            f" {100 * report.rule.min_area_fraction:g} % moved by {100 * THRESHOLD_MARGIN:g} % of itself:"
            " there the label is a matter of taste.",
            advice="Choose a rule that drops small objects, such as data.label_rule=mlperf, or another threshold.",
        )
    yield _none(
        "look_alikes_across_labels",
        report.near_duplicates.across_labels,
        about="Groups of images that look the same and have different labels.",
        advice="Look at the groups on the page: where the object is not what differs, one label is wrong.",
    )


def _check_diversity(report: DataReport) -> Iterator[Check]:
    seen = report.coverage.looked_at
    yield _none(
        "look_alikes_across_splits",
        report.near_duplicates.across_splits,
        about="Groups of images that look the same and are in different splits: eval then measures memory.",
        advice="Set data.group_near_duplicates=true, which puts each such group into one split.",
    )
    yield _at_most_share(
        "look_alikes",
        report.near_duplicates.images,
        seen,
        MAX_LOOK_ALIKE_SHARE,
        about="Images that look the same as another one, such as a burst's or a film's.",
        advice="Keep one of each group, and collect at other places and times instead.",
    )
    copies = sum(group.count for group in report.left_out if group.reason == DropReason.DUPLICATE)
    yield _at_most_share(
        "copies",
        copies,
        report.coverage.listed,
        MAX_COPIES_SHARE,
        about="Files with the very same bytes as another; all but one of each are left out already.",
        advice="Nothing leaks, but the set is smaller than it seems: count what is left, and mend the export.",
    )
    for found in report.cues:
        if found.cue is Cue.BRIGHTNESS:
            yield _at_least(
                "brightness_spread",
                found.overall.deviation,
                MIN_BRIGHTNESS_DEVIATION,
                shown=f"{found.overall.deviation:.3f}",
                wanted=f"{MIN_BRIGHTNESS_DEVIATION:g}",
                about="Standard deviation of the images' mean brightness, 0 to 1: one light, or many?",
                advice="Collect by day and by night, in lamp light and against the light, for every label alike.",
            )


def _check_what_is_seen(report: DataReport) -> Iterator[Check]:
    seen = report.coverage.looked_at
    shape = report.shape
    yield _at_most_share(
        "small_images",
        shape.small,
        seen,
        MAX_SMALL_SHARE,
        about=f"Images whose shorter side is below the model's input of {report.side} pixels.",
        advice="Replace them by larger ones, or lower transform.side.",
    )
    yield _at_most_share(
        "elongated_images",
        shape.elongated,
        seen,
        MAX_ELONGATED_SHARE,
        about=f"Images wider or taller than {MAX_ASPECT:g}:1; the whole image is squeezed into a square.",
        advice="Crop them to the shape that the camera will deliver.",
    )


_CUE_WORDS = {
    Cue.BRIGHTNESS: "brightness",
    Cue.CONTRAST: "contrast",
    Cue.ASPECT: "width / height",
    Cue.SHORTER_SIDE: "size in pixels",
}


def _check_shortcuts(report: DataReport) -> Iterator[Check]:
    for found in report.cues:
        if found.separation is not None:
            yield _check_shortcut(found)


def _check_shortcut(found: CueFindings) -> Check:
    assert found.separation is not None
    limit = max(MAX_CUE_AUC, found.separation.chance)
    word = _CUE_WORDS[found.cue]
    luck = "" if limit == MAX_CUE_AUC else f", and in a set this small up to {limit:.2f} may be luck"
    return _at_most(
        f"{found.cue}_gap",
        found.separation.auc,
        limit,
        shown=f"AUC {found.separation.auc:.2f} ({found.separation.label})",
        wanted=f"at most {limit:.2f}",
        about=f"How well {word} alone tells a label from the others; 0.5 is not at all{luck}.",
        advice=f"Collect every label with the same cameras, places and light; a network learns {word} first.",
    )


def _check_bad(report: DataReport) -> Iterator[Check]:
    if report.source.format == "coco":
        yield _none(
            "exif_ignored",
            report.exif_ignored,
            about="Images that EXIF turns on screens; with annotations that state sizes, pixels are taken as stored.",
            advice="Look whether the objects are where the annotations have them. If not, those are of the turned"
            " images: turn the pixels (mogrify -auto-orient). If they are, only take the tag off (exiftool"
            " -Orientation= -n).",
        )
    bad = {Kind.QUARANTINED_IMAGE: 0, Kind.QUARANTINED_ANNOTATION: 0}
    for group in report.left_out:
        if group.kind in bad:
            bad[group.kind] += group.count
    images, annotations = bad.values()
    words = [f"{count:,} {noun}" for count, noun in ((images, "images"), (annotations, "annotations")) if count]
    yield _at_most(
        "quarantined",
        images + annotations,
        0,
        shown=" and ".join(words) or "0",
        wanted="none",
        about="Bad records that are left out, those included whose bytes turned out bad just now.",
        advice="Mend them: their reasons are on the page, and past data.max_quarantined_fraction a run is refused.",
    )


def _check_refusals(report: DataReport) -> Iterator[Check]:
    yield _none(
        "run_refusals",
        len(report.refusals),
        about="What a run with this config would refuse of this data before it trains.",
        advice="\n".join(report.refusals),
    )
