"""Matching and losses of detectors, against a slow reference in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from components.detection.anchor_boxes import anchors_yxhw, to_yxyx
from components.detection.anchors import AnchorMap
from components.detection.coding import encode_boxes, iou_yxyx
from components.detection.options import DecoderOptions, FocalLoss, HardNegativeMining
from components.trainer.box_split import BoxSplit
from components.trainer.box_targets import BoxTargets
from components.trainer.objectives.box_losses import box_losses, score_losses
from components.trainer.objectives.detection import DetectorObjective
from components.trainer.objectives.matching import assign
from components.trainer.options import TrainerOptions

MAPS = (AnchorMap(3, 3, ((0.4, 0.3), (0.3, 0.4))), AnchorMap(1, 1, ((0.8, 0.8),)))
ANCHORS = anchors_yxhw(MAPS)
ANCHORS_YXYX = to_yxyx(ANCHORS)
LABELS = 3  # the background included


def draw_targets(seed, images=6, most=7):
    """Boxes of all sizes, crowds among them, and twice the same box; some images have none."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.7, (images, most, 2))
    boxes = np.concatenate([low, np.minimum(low + random.uniform(0.02, 0.6, low.shape), 1)], -1).astype(np.float32)
    labels = random.integers(0, LABELS, (images, most)).astype(np.int32)
    labels[0] = 0
    boxes[1, 1] = boxes[1, 0]
    labels[1, :2] = 1, 2
    crowds = (random.random((images, most)) < 0.2) & (labels > 0)
    crowds[1, :2] = False
    return BoxTargets(np.where(labels[..., None] > 0, boxes, 0).astype(np.float32), labels, crowds)


def in_tensorflow(function, *arguments):
    """What it gives inside a `tf.function`, as arrays."""
    return tf.nest.map_structure(lambda t: t.numpy(), tf.function(function)(*arguments))


def tensors(targets):
    return BoxTargets(*(tf.constant(part) for part in targets))


def assign_slowly(boxes, labels, crowds, match_iou):
    """One image: for each anchor the row of its box, -1 for the background, -2 for what is ignored."""
    found = np.full(len(ANCHORS), -1)
    overlaps = iou_yxyx(boxes, ANCHORS_YXYX)
    objects = [row for row in range(len(boxes)) if labels[row] > 0 and not crowds[row]]
    for anchor in range(len(ANCHORS)):
        for row in objects:
            if overlaps[row, anchor] >= match_iou and (
                found[anchor] == -1 or overlaps[row, anchor] > overlaps[found[anchor], anchor]
            ):
                found[anchor] = row
    for row in reversed(objects):  # so that the first of several has the last word
        if overlaps[row].max() > 0:
            found[overlaps[row].argmax()] = row
    for anchor, (ymin, xmin, ymax, xmax) in enumerate(ANCHORS_YXYX.clip(0, 1)):
        for row in range(len(boxes)):
            if found[anchor] == -1 and labels[row] > 0 and crowds[row]:
                height = min(ymax, boxes[row, 2]) - max(ymin, boxes[row, 0])
                width = min(xmax, boxes[row, 3]) - max(xmin, boxes[row, 1])
                if min(height, width) > 0 and height * width >= match_iou * (ymax - ymin) * (xmax - xmin):
                    found[anchor] = -2
    return found


def assigned(targets, match_iou=0.5):
    """As `assign_slowly`, of a batch."""
    box, is_matched, is_ignored = in_tensorflow(
        lambda t: assign(t, tf.constant(ANCHORS_YXYX), match_iou), tensors(targets)
    )
    return np.where(is_matched, box, np.where(is_ignored, -2, -1))


@pytest.mark.parametrize("match_iou", [0.3, 0.5, 0.9])
def test_assign_of_any_boxes_is_that_of_the_slow_rule(match_iou):
    seen = set()
    for seed in range(40):
        targets = draw_targets(seed)
        expected = np.stack([assign_slowly(*image, match_iou) for image in zip(*targets, strict=True)])
        np.testing.assert_array_equal(assigned(targets, match_iou), expected, f"seed {seed}")
        seen |= set(np.unique(expected))
    assert {-2, -1, 0, 5} <= seen


def test_assign_gives_every_box_its_best_anchor_however_bad_and_the_first_of_several_wins():
    tiny = [0.49, 0.49, 0.51, 0.51]  # touches the middle anchors and the large one
    boxes = np.array([[tiny, tiny, [0, 0, 0, 0]]], np.float32)
    found = assigned(BoxTargets(boxes, np.array([[2, 1, 0]], np.int32), np.zeros((1, 3), bool)))[0]
    assert found.tolist() == [-1] * 8 + [0] + [-1] * 10


def test_assign_of_a_box_that_touches_no_anchor_gives_it_none():
    maps = anchors_yxhw((AnchorMap(1, 1, ((0.2, 0.2),)),))
    targets = BoxTargets(np.array([[[0, 0, 0.1, 0.1]]], np.float32), np.ones((1, 1), np.int32), np.zeros((1, 1), bool))
    assert not assign(tensors(targets), tf.constant(to_yxyx(maps)), 0.5).is_matched.numpy().any()


def outputs_for(targets, seed):
    random = np.random.default_rng(seed)
    count = len(targets.labels)
    return (
        random.normal(0, 2, (count, len(ANCHORS), 4)).astype(np.float32),
        random.normal(-1, 3, (count, len(ANCHORS), LABELS - 1)).astype(np.float32),
    )


def score_losses_slowly(logits, targets, found, options):
    """Anchor by anchor, by the formulas of the papers, float64 [n, anchors]."""
    losses = np.zeros(found.shape)
    for image, anchor in np.ndindex(*found.shape):
        row = found[image, anchor]
        for label in range(1, LABELS):
            p = 1 / (1 + np.exp(-np.float64(logits[image, anchor, label - 1])))
            is_right = row >= 0 and targets.labels[image, row] == label
            p, alpha = (p, 0.75) if is_right else (1 - p, 0.25)
            focal = alpha * (1 - p) ** 2 if isinstance(options, FocalLoss) else 1.0
            losses[image, anchor] += -focal * np.log(p)
    losses[found == -2] = 0
    if isinstance(options, HardNegativeMining):
        for image, row in enumerate(found):
            positives = np.count_nonzero(row >= 0)
            negatives = sorted(np.flatnonzero(row == -1), key=lambda a: -losses[image, a])
            losses[image, negatives[3 * positives if positives else 3 :]] = 0
    return losses


@pytest.mark.parametrize("options", [FocalLoss(name="focal"), HardNegativeMining(name="hard_negatives")])
@pytest.mark.parametrize("seed", range(4))
def test_score_losses_are_those_of_the_papers(options, seed):
    targets = draw_targets(seed)
    _, logits = outputs_for(targets, seed)

    def calculate(t):
        return score_losses(tf.constant(logits), t, assign(t, tf.constant(ANCHORS_YXYX), 0.5), options)

    expected = score_losses_slowly(logits, targets, assigned(targets), options)
    np.testing.assert_allclose(in_tensorflow(calculate, tensors(targets)), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_a_model_that_is_quite_sure_has_a_finite_gradient(gamma):
    targets = tensors(draw_targets(1))
    logits = tf.Variable(tf.where(tf.random.stateless_uniform([6, len(ANCHORS), 2], [1, 2]) < 0.5, -200.0, 200.0))
    with tf.GradientTape() as tape:
        assignment = assign(targets, tf.constant(ANCHORS_YXYX), 0.5)
        loss = tf.reduce_sum(score_losses(logits, targets, assignment, FocalLoss(name="focal", gamma=gamma)))
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_box_losses_are_smooth_l1_of_the_coded_boxes_of_matched_anchors():
    targets = draw_targets(3)
    encoded, _ = outputs_for(targets, 3)

    def calculate(t):
        return box_losses(tf.constant(encoded), t, assign(t, tf.constant(ANCHORS_YXYX), 0.5), tf.constant(ANCHORS))

    found = assigned(targets)
    expected = np.zeros(found.shape)
    for image, anchor in zip(*np.nonzero(found >= 0), strict=True):
        off = np.abs(
            encoded[image, anchor] - encode_boxes(targets.boxes_yxyx[image, found[image, anchor]], ANCHORS[anchor])
        )
        expected[image, anchor] = np.where(off < 1, off**2 / 2, off - 0.5).sum()
    np.testing.assert_allclose(in_tensorflow(calculate, tensors(targets)), expected, rtol=1e-4)


# The objective.


def make_objective(**detector):
    options = TrainerOptions.model_validate(
        {
            "optimizer": {"name": "sgd"},
            "schedule": {"name": "cosine"},
            "learning_rate": 0.1,
            "batch_size": 4,
            "epochs": 1,
            "detector": detector,
        }
    )
    return DetectorObjective(options, MAPS, DecoderOptions(), LABELS)


def test_loss_is_divided_by_the_matched_anchors_of_the_batch_and_weighs_the_boxes():
    targets = draw_targets(5)
    encoded, logits = outputs_for(targets, 5)
    outputs = {"boxes": tf.constant(encoded), "scores": tf.constant(logits)}
    loss, figures = make_objective(localization_weight=1.5).loss(
        outputs, tensors(targets), tf.constant(float(np.count_nonzero(assigned(targets) >= 0)))
    )
    found = assigned(targets)
    scores = score_losses_slowly(logits, targets, found, FocalLoss(name="focal")).sum() / np.count_nonzero(found >= 0)
    assert float(figures["score_loss"]) == pytest.approx(scores, rel=1e-4)
    assert float(loss) == pytest.approx(scores + 1.5 * float(figures["box_loss"]), rel=1e-4)


def test_loss_of_images_without_any_box_is_finite():
    none = BoxTargets(np.zeros((2, 1, 4), np.float32), np.zeros((2, 1), np.int32), np.zeros((2, 1), bool))
    encoded, logits = outputs_for(none, 1)
    objective, outputs = make_objective(), {"boxes": tf.constant(encoded), "scores": tf.constant(logits)}
    loss, figures = objective.loss(outputs, tensors(none), objective.size(tensors(none)))
    assert np.isfinite(float(loss))
    assert float(figures["box_loss"]) == 0


def perfect(targets):
    """Outputs that say of every anchor what it was matched to."""
    found = assigned(targets)
    encoded = np.zeros((*found.shape, 4), np.float32)
    logits = np.full((*found.shape, LABELS - 1), -9, np.float32)
    for image, anchor in zip(*np.nonzero(found >= 0), strict=True):
        row = found[image, anchor]
        encoded[image, anchor] = encode_boxes(targets.boxes_yxyx[image, row], ANCHORS[anchor])
        logits[image, anchor, targets.labels[image, row] - 1] = 9
    return encoded, logits


def test_evaluate_of_perfect_outputs_has_an_ap_of_1_and_the_loss_of_the_whole_split():
    targets = draw_targets(2, images=10, most=2)
    targets = targets._replace(labels=np.where(targets.crowds, 0, targets.labels), crowds=np.zeros_like(targets.crowds))
    targets.labels[1, 1] = 0  # the same box twice, of which an anchor can learn one
    split = BoxSplit(np.zeros((10, 8, 8, 1), np.uint8), *targets)
    encoded, logits = perfect(targets)
    places = iter(range(0, 10, 4))

    def predict(images):
        at = next(places)
        chosen = slice(at, at + len(images))
        return {"boxes": tf.constant(encoded[chosen]), "scores": tf.constant(logits[chosen])}

    objective = make_objective()
    evaluation = objective.evaluate(predict, split)
    assert evaluation.figures["ap50"] == pytest.approx(1.0)
    assert evaluation.figures["ap"] == pytest.approx(1.0)
    outputs = {"boxes": tf.constant(encoded), "scores": tf.constant(logits)}
    whole, _ = objective.loss(outputs, tensors(targets), objective.size(tensors(targets)))
    assert evaluation.figures["loss"] == pytest.approx(float(whole), rel=1e-5)
    assert objective.describe({"loss": 0.5}, evaluation.figures) == "loss 0.500, AP 1.000"


def test_evaluate_of_a_split_without_boxes_has_a_loss_and_no_ap():
    split = BoxSplit(
        np.zeros((2, 8, 8, 1), np.uint8),
        np.zeros((2, 1, 4), np.float32),
        np.zeros((2, 1), np.int32),
        np.zeros((2, 1), bool),
    )
    encoded, logits = outputs_for(split.targets(slice(None)), 1)
    outputs = {"boxes": tf.constant(encoded), "scores": tf.constant(logits)}
    assert set(make_objective().evaluate(lambda _: outputs, split).figures) == {"loss"}
