"""Images with boxes and detections near them, drawn from a seed."""

import numpy as np

from components.detection.detections import Detections, GroundTruth

NAMES = ("background", "bird", "boat", "bus")


def make_truth(boxes, labels, crowds=None, areas=None, height=100, width=100):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    own = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * height * width
    return GroundTruth(
        boxes,
        np.asarray(labels, np.int64),
        np.zeros(len(boxes), bool) if crowds is None else np.asarray(crowds, bool),
        np.asarray(own if areas is None else areas, np.float32),
        height,
        width,
    )


def make_found(boxes=(), scores=(), labels=()):
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32), np.asarray(labels, np.int64)
    )


def draw_image(generator, detections=20, max_boxes=6, score_steps=None, crowd_share=0.1, label_count=4):
    """Truth and detections: one near each box, the others anywhere."""
    count = int(generator.integers(0, max_boxes + 1))
    boxes, labels = draw_boxes(generator, count), generator.integers(1, label_count, count)
    height, width = generator.integers(200, 640, 2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * height * width * generator.uniform(0.4, 1, count)
    truth = make_truth(boxes, labels, generator.uniform(size=count) < crowd_share, areas, int(height), int(width))
    near = np.sort((boxes + generator.normal(0, 0.02, boxes.shape)).clip(0, 1).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    others = max(detections - count, 0)
    scores = np.concatenate([generator.beta(4, 2, count), generator.beta(1, 4, others)])[:detections]
    if score_steps is not None:
        scores = np.round(scores * score_steps) / score_steps
    all_labels = np.concatenate([labels, generator.integers(1, label_count, others)])[:detections]
    order = np.lexsort((all_labels, -scores))
    return truth, make_found(
        np.concatenate([near, draw_boxes(generator, others)])[:detections][order], scores[order], all_labels[order]
    )


def draw_boxes(generator, count):
    corners = generator.uniform(0, 0.7, (count, 2))
    return np.concatenate([corners, corners + generator.uniform(0.02, 0.3, (count, 2))], axis=1).astype(np.float32)


def draw_images(images=40, seed=1, **options):
    """Two lists: ground truths and detections."""
    generator = np.random.default_rng(seed)
    pairs = [draw_image(generator, **options) for _ in range(images)]
    return [truth for truth, _ in pairs], [found for _, found in pairs]
