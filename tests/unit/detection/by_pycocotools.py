"""What pycocotools makes of the same images."""

import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.detection.coco_metrics import image_order


def xywh_px(boxes, truth):
    height, width = truth.height, truth.width
    return [[x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height] for y0, x0, y1, x1 in boxes.tolist()]


def evaluate_by_pycocotools(truths, found, label_count):
    """COCOeval after `accumulate`, of images that are numbered in our order."""
    annotations, results = [], []
    for number, index in enumerate(image_order(truths, found), 1):
        truth, detections = truths[index], found[index]
        for label, box, crowd, area in zip(
            truth.labels.tolist(), xywh_px(truth.boxes_yxyx, truth), truth.crowds, truth.areas_px.tolist(), strict=True
        ):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label, "bbox": box}
                | {"iscrowd": int(crowd), "area": area}
            )
        for label, box, score in zip(
            detections.labels.tolist(), xywh_px(detections.boxes_yxyx, truth), detections.scores.tolist(), strict=True
        ):
            results.append({"image_id": number, "category_id": label, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = COCO()
        truth_set.dataset = {
            "images": [{"id": number} for number in range(1, len(truths) + 1)],
            "categories": [{"id": label} for label in range(1, label_count)],
            "annotations": annotations,
        }
        truth_set.createIndex()
        evaluation = COCOeval(truth_set, truth_set.loadRes(results) if results else COCO(), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
