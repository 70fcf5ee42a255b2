"""COCO's figures of a detector: by faster-coco-eval, to the last bit what pycocotools gives, with 95 % intervals.

Where scores are equal, as they often are of an int8 model, the figures depend on the order of the images. They are
sorted by what they hold, so that equal sets have equal figures in whatever order they arrive.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.detection.bootstrap import draw_images, interval, mean_of_labels, resample_ap
from components.detection.detections import Detections, GroundTruth
from components.detection.matches import match_label
from components.detection.records import CategoryFigure, CategoryQuality, DetectionLoss, DetectionQuality

Floats = npt.NDArray[np.float64]


def measure_detections(
    truths: Sequence[GroundTruth], found: Sequence[Detections], label_names: Sequence[str]
) -> DetectionQuality:
    """Measures a detector on images.

    Args:
      truths: one for each image; labels that `label_names` lacks, 0 among them, are left out.
      found: likewise, the best first.
      label_names: the background first.
    """
    order = image_order(truths, found)
    truths, found = [truths[i] for i in order], [found[i] for i in order]
    precision, recall = _evaluate(truths, found, len(label_names))
    by_label, mean = _resample(truths, found, len(label_names))
    ap, ap50 = _mean(precision[:, :, :, 0, 2]), _mean(precision[0, :, :, 0, 2])
    return DetectionQuality(
        images=len(truths),
        boxes=sum(_boxes(truths, label) for label in range(1, len(label_names))),
        ap=ap,
        ap50=ap50,
        ap75=_mean(precision[5, :, :, 0, 2]),
        ap_small=_mean(precision[:, :, :, 1, 2]),
        ap_medium=_mean(precision[:, :, :, 2, 2]),
        ap_large=_mean(precision[:, :, :, 3, 2]),
        ar_1=_mean(recall[:, :, 0, 0]),
        ar_10=_mean(recall[:, :, 0, 1]),
        ar_100=_mean(recall[:, :, 0, 2]),
        ap_interval=interval(ap, mean.mean(axis=1)),
        ap50_interval=interval(ap50, mean[:, 0]),
        categories={
            name: _category(precision[:, :, label - 1, 0, 2], by_label[label - 1][:, 0], _boxes(truths, label))
            for label, name in enumerate(label_names)
            if label > 0
        },
    )


def measure_drop(
    truths: Sequence[GroundTruth], before: Sequence[Detections], after: Sequence[Detections], label_names: Sequence[str]
) -> DetectionLoss:
    """How far AP falls from one detector to another on the same images; arguments as for `measure_detections`."""
    order = image_order(truths, before, after)
    images = [truths[i] for i in order]
    first, second = (_resample(images, [found[i] for i in order], len(label_names))[1] for found in (before, after))
    (ap, ap50), (other, other50) = (average_precision(truths, found, len(label_names)) for found in (before, after))
    drop = None if ap is None or other is None else ap - other
    drop50 = None if ap50 is None or other50 is None else ap50 - other50
    return DetectionLoss(
        drop=drop,
        drop50=drop50,
        drop_interval=interval(drop, (first - second).mean(axis=1), lowest=-1.0),
        drop50_interval=interval(drop50, (first - second)[:, 0], lowest=-1.0),
    )


def image_order(truths: Sequence[GroundTruth], *found: Sequence[Detections]) -> list[int]:
    """The images' indices, sorted by what is in them and what was found there."""

    def content(index: int) -> bytes:
        truth = truths[index]
        parts = [np.asarray([truth.height, truth.width]), truth.boxes_yxyx, truth.labels, truth.crowds, truth.areas_px]
        for detections in found:
            parts += [detections[index].boxes_yxyx, detections[index].scores, detections[index].labels]
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()

    return sorted(range(len(truths)), key=content)


def _category(precision: Floats, drawn_ap50: Floats, boxes: int) -> CategoryQuality:
    """Of one label, from precision [ious, recalls] and its AP50 on every draw."""
    ap50 = _mean(precision[0])
    return CategoryQuality(boxes=boxes, ap=_mean(precision), ap50=ap50, ap50_interval=interval(ap50, drawn_ap50))


def average_precision(
    truths: Sequence[GroundTruth], found: Sequence[Detections], labels: int
) -> tuple[CategoryFigure, CategoryFigure]:
    """AP and AP50 as in `DetectionQuality`, alone, in a fraction of the time; `labels` counts the background."""
    order = image_order(truths, found)
    precision, _ = _evaluate([truths[i] for i in order], [found[i] for i in order], labels)
    return _mean(precision[:, :, :, 0, 2]), _mean(precision[0, :, :, 0, 2])


def _resample(truths: Sequence[GroundTruth], found: Sequence[Detections], labels: int) -> tuple[list[Floats], Floats]:
    """AP on every draw, float64 [draws, ious]: of each label, and the mean over them."""
    draws = draw_images(len(truths))
    by_label = [resample_ap(match_label(truths, found, label), draws) for label in range(1, labels)]
    return by_label, mean_of_labels(by_label)


def _evaluate(truths: Sequence[GroundTruth], found: Sequence[Detections], labels: int) -> tuple[Floats, Floats]:
    """COCO's precision [ious, recalls, labels, areas, limits] and recall [ious, labels, areas, limits], -1 for none."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(
        {
            "images": [{"id": i, "height": t.height, "width": t.width} for i, t in enumerate(truths)],
            "categories": [{"id": label, "name": str(label)} for label in range(1, labels)],
            "annotations": [box | {"id": number} for number, box in enumerate(_annotations(truths, labels), 1)],
        }
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(list(_results(truths, found, labels))), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def _annotations(truths: Sequence[GroundTruth], labels: int) -> Iterator[dict[str, Any]]:
    for image, truth in enumerate(truths):
        columns = truth.labels, _xywh_px(truth.boxes_yxyx, truth), truth.crowds, truth.areas_px
        for label, box, crowd, area in zip(*(column.tolist() for column in columns), strict=True):
            if 0 < label < labels:
                yield {"image_id": image, "category_id": label, "bbox": box, "iscrowd": int(crowd), "area": area}


def _results(truths: Sequence[GroundTruth], found: Sequence[Detections], labels: int) -> Iterator[dict[str, Any]]:
    for image, (truth, detections) in enumerate(zip(truths, found, strict=True)):
        columns = detections.labels, _xywh_px(detections.boxes_yxyx, truth), detections.scores
        for label, box, score in zip(*(column.tolist() for column in columns), strict=True):
            if 0 < label < labels:
                # Without an outline of its own, the library draws one around the box.
                yield {"image_id": image, "category_id": label, "bbox": box, "score": score, "segmentation": ()}


def _xywh_px(boxes_yxyx: npt.NDArray[np.float32], truth: GroundTruth) -> Floats:
    corners = boxes_yxyx.reshape(-1, 4).astype(np.float64) * [truth.height, truth.width, truth.height, truth.width]
    return np.concatenate([corners[:, 1::-1], corners[:, 3:1:-1] - corners[:, 1::-1]], axis=1)


def _boxes(truths: Sequence[GroundTruth], label: int) -> int:
    return sum(int(np.count_nonzero((truth.labels == label) & ~truth.crowds)) for truth in truths)


def _mean(figures: Floats) -> CategoryFigure:
    """The mean over what is defined."""
    known = figures[figures > -1]
    return float(known.mean()) if len(known) else None
