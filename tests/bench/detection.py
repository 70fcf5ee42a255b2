"""COCO's figures with their intervals against pycocotools without any, on drawn images."""

from components.detection.coco_metrics import measure_detections
from tests.bench.costs import cpu_seconds
from tests.unit.detection.by_pycocotools import evaluate_by_pycocotools
from tests.unit.detection.drawn_detections import NAMES, draw_images

IMAGES, DETECTIONS = 5_000, 100


def measure() -> None:
    """One row."""
    truths, found = draw_images(images=IMAGES, detections=DETECTIONS)
    ours = cpu_seconds(lambda: measure_detections(truths, found, NAMES))
    theirs = cpu_seconds(lambda: evaluate_by_pycocotools(truths, found, len(NAMES)))
    print(
        f"COCO's AP   {IMAGES:,} images, {DETECTIONS} detections each: {ours:.1f} CPU-s with intervals   pycocotools"
        f" {theirs:.1f} CPU-s   ratio {theirs / ours:.2f}",
        flush=True,
    )
