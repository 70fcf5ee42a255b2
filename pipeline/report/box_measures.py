"""Measures a detector's boxes, and how well the configured anchors fit them."""

import numpy as np
import numpy.typing as npt

from components.detection.anchor_fit import best_ious
from components.detection.anchor_proposal import propose_anchors
from components.detection.anchors import AnchorMap
from components.detection.feature_maps import anchor_maps
from components.example_gen.boxes import BoxTable
from components.example_gen.plan import DatasetPlan
from components.features import TRAIN
from pipeline.config import RunConfig
from pipeline.report import measures
from pipeline.report.box_findings import TINY_PX, BoxFindings, LabelRow, ProposalFindings, SizeRow

# Square pixels, of COCO's metrics: small below the first, large from the second on.
_SIZE_EDGES = (32**2, 96**2)
_SIZES = ("small", "medium", "large")


def train_boxes(plan: DatasetPlan) -> BoxTable:
    """The boxes that a detector learns from, crowds aside."""
    records = [image.record for image in plan.records if image.split == TRAIN]
    return BoxTable.of(records, plan.inventory.category_ids).without_crowds()


def measure_boxes(config: RunConfig, plan: DatasetPlan) -> BoxFindings | None:
    """Holds the boxes against the configured input and anchors; None for a classifier."""
    detector = config.trainer.detector
    if detector is None:
        return None
    assert plan.boxes is not None
    side = config.transform.side
    table = train_boxes(plan)
    maps = anchor_maps(config.trainer.backbone, side, detector)
    ious = best_ious(table.boxes_yxyx, maps)
    sizes_px = (table.boxes_yxyx[:, 2:] - table.boxes_yxyx[:, :2]) * side
    is_unmatched = ious < detector.match_iou
    crowded, not_learned = plan.boxes.beyond(TRAIN, config.transform.max_boxes)
    names = plan.label_names[1:]
    return BoxFindings(
        counts=plan.boxes.labels,
        crowds=plan.boxes.crowds,
        max_boxes=config.transform.max_boxes,
        labelled=plan.boxes.total,
        clipped=plan.boxes.clipped_in_all,
        crowded_images=crowded,
        not_learned=not_learned,
        match_iou=detector.match_iou,
        anchors=_count(maps),
        cell_px=side / maps[0].rows,
        boxes=len(ious),
        in_a_pixel=int(np.count_nonzero(table.in_a_pixel)),
        tiny=int(np.count_nonzero(sizes_px.min(axis=1) < TINY_PX)),
        unmatched=int(np.count_nonzero(is_unmatched)),
        mean_best_iou=float(ious.mean()),
        histogram=measures.make_histogram(
            measures.IOU_EDGES, {name: ious[table.labels == label] for label, name in enumerate(names, start=1)}
        ),
        at_input=_by_size(table.area_fractions * side**2, is_unmatched),
        at_image=_by_size(table.areas_px, is_unmatched),
        by_label=tuple(
            _of_label(name, ious[own], is_unmatched[own], sizes_px[own])
            for label, name in enumerate(names, start=1)
            for own in (table.labels == label,)
        ),
        width_px=float(np.median(sizes_px[:, 1])),
        height_px=float(np.median(sizes_px[:, 0])),
        proposal=find_proposal(config, table),
    )


def find_proposal(config: RunConfig, table: BoxTable) -> ProposalFindings | None:
    """Better anchors for these boxes, if there are any."""
    detector, side = config.trainer.detector, config.transform.side
    assert detector is not None
    backbone = config.trainer.backbone
    found = propose_anchors(table.boxes_yxyx, backbone, side, detector, detector.match_iou)
    if found is None:
        return None
    maps = anchor_maps(backbone, side, found.network)
    ious = best_ious(table.boxes_yxyx, maps)
    unmatched = int(np.count_nonzero(ious < detector.match_iou))
    return ProposalFindings(found.settings, _count(maps), unmatched, float(ious.mean()))


def _count(maps: tuple[AnchorMap, ...]) -> int:
    return sum(each.count for each in maps)


def _by_size(areas_px: npt.NDArray[np.float64], is_unmatched: npt.NDArray[np.bool_]) -> tuple[SizeRow, ...]:
    places = np.searchsorted(_SIZE_EDGES, areas_px, side="right")
    return tuple(
        SizeRow(size, int(np.count_nonzero(places == at)), int(np.count_nonzero(is_unmatched[places == at])))
        for at, size in enumerate(_SIZES)
    )


def _of_label(
    name: str,
    ious: npt.NDArray[np.float64],
    is_unmatched: npt.NDArray[np.bool_],
    sizes_px: npt.NDArray[np.float64],
) -> LabelRow:
    height, width = np.median(sizes_px, axis=0)
    return LabelRow(
        name, len(ious), int(np.count_nonzero(is_unmatched)), float(ious.mean()), float(width), float(height)
    )
