"""Whether a detector's anchors fit the boxes at all, asked before anything is spent on them."""

import shlex

import numpy as np

from components.detection.anchor_fit import best_ious
from components.detection.feature_maps import anchor_maps
from components.detection.options import DetectorOptions
from components.errors import ConfigError
from components.example_gen.box_counts import MAYBE_NORMALISED
from components.example_gen.boxes import BoxTable
from components.example_gen.plan import DatasetPlan
from pipeline.config import RunConfig
from pipeline.numerals import show_percent
from pipeline.report.box_measures import find_proposal, train_boxes


def check_anchors(config: RunConfig, detector: DetectorOptions, plan: DatasetPlan) -> str:
    """Refuses anchors of which none matches any train box; each box would be learned from one that fits it badly.

    Returns:
      How many boxes are matched, in words.

    Raises:
      ConfigError: with anchors that fit better.
    """
    table = train_boxes(plan)
    ious = best_ious(table.boxes_yxyx, anchor_maps(config.trainer.backbone, config.transform.side, detector))
    matched, boxes = int(np.count_nonzero(ious >= detector.match_iou)), len(ious)
    if matched == 0:
        raise ConfigError(
            f"no anchor has an IoU of trainer.detector.match_iou={detector.match_iou:g} or more with any of the"
            f" {boxes:,} train boxes; the best has {ious.max():.2f}",
            expected="anchors of the objects' sizes and shapes",
            hint=_advise(config, table),
        )
    words = f"{matched:,} of {boxes:,} train boxes ({show_percent(matched / boxes)}) match one by IoU"
    return words if 2 * matched >= boxes else f"{words}, the others their best alone; vww data report proposes others"


def _advise(config: RunConfig, table: BoxTable) -> str:
    if table.in_a_pixel.all():
        return f"no box is larger than a pixel: {MAYBE_NORMALISED}; multiply them by their image's width and height"
    found = find_proposal(config, table)
    matched = 0 if found is None else len(table.labels) - found.unmatched
    if found is None or matched == 0:
        return (
            "lower trainer.detector.match_iou; or raise transform.side where boxes are small, which does nothing for"
            " hairlines; vww data report shows the boxes' sizes"
        )
    settings = " ".join(f"--set {shlex.quote(setting)}" for setting in found.settings)
    return f"{settings} lets {matched:,} of them match; vww data report shows the boxes' sizes"
