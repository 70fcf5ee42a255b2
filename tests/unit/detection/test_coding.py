"""The box coder against its inverse and Keras', the float decoder against a plain transcription of its rule."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import VARIANCES, lay_anchors
from components.detection.coding import decode_boxes, decode_detections, encode_boxes, iou_yxyx, sigmoid
from components.detection.options import AnchorOptions, DecoderOptions

ANCHORS = anchors_yxhw(lay_anchors(AnchorOptions(), (6, 3, 2, 1)))


def random_boxes(random, count):
    low = random.uniform(0, 0.7, (count, 2))
    return np.concatenate([low, low + random.uniform(0.05, 0.3, (count, 2))], -1).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
def test_decode_boxes_is_the_inverse_of_encode_boxes(seed):
    boxes = random_boxes(np.random.default_rng(seed), len(ANCHORS))
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, ANCHORS), ANCHORS), boxes, atol=2e-6)


@given(st.integers(0, 2**32 - 1))
def test_coding_moves_with_box_and_anchor_and_ignores_their_common_scale(seed):
    random = np.random.default_rng(seed)
    boxes, shift = random_boxes(random, len(ANCHORS)), random.uniform(-1, 1, 2).astype(np.float32)
    moved = ANCHORS + np.array([*shift, 0, 0], np.float32)
    plain = encode_boxes(boxes, ANCHORS)
    np.testing.assert_allclose(encode_boxes(boxes + np.tile(shift, 2), moved), plain, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(encode_boxes(boxes * 4, ANCHORS * 4), plain, rtol=1e-4, atol=1e-4)


def test_encode_boxes_the_anchor_itself_is_zero_and_one_of_half_the_size_is_its_logarithm():
    anchor = np.array([[0.5, 0.5, 0.4, 0.2]], np.float32)
    same = np.array([[0.3, 0.4, 0.7, 0.6]], np.float32)
    assert encode_boxes(same, anchor).tolist() == [pytest.approx([0] * 4, abs=1e-5)]
    half = np.array([[0.4, 0.4, 0.6, 0.6]], np.float32)
    assert encode_boxes(half, anchor).tolist() == [pytest.approx([0, 0, np.log(0.5) / 0.2, 0], abs=1e-5)]


def test_coding_is_float32_and_of_an_empty_box_finite():
    encoded = encode_boxes(np.full((1, 4), 0.5, np.float32), ANCHORS)
    assert encoded.dtype == decode_boxes(encoded, ANCHORS).dtype == np.float32
    assert encoded.shape == ANCHORS.shape
    assert np.isfinite(encoded).all()


def test_coding_is_that_of_keras():
    from keras.utils import bounding_boxes

    boxes = random_boxes(np.random.default_rng(0), len(ANCHORS))
    boxes[0, 2:] = boxes[0, :2]
    coder = {"anchor_format": "center_yxhw", "box_format": "yxyx", "variance": VARIANCES}
    encoded = encode_boxes(boxes, ANCHORS)
    np.testing.assert_allclose(bounding_boxes.encode_box_to_deltas(ANCHORS, boxes, **coder), encoded, atol=2e-5)
    np.testing.assert_allclose(
        bounding_boxes.decode_deltas_to_boxes(ANCHORS, encoded, **coder), decode_boxes(encoded, ANCHORS), atol=1e-6
    )


def plain_decode(encoded, logits, anchors, options):
    """The rule of DecoderOptions, word by word; gives (score, label, anchor)."""
    boxes = np.clip(decode_boxes(encoded, anchors), 0, 1)
    found = []
    for label in range(1, logits.shape[1] + 1):
        scores = sigmoid(logits[:, label - 1])
        ranked = sorted((-score, anchor) for anchor, score in enumerate(scores) if score >= options.min_score)
        kept = []
        for score, anchor in ranked[: options.max_candidates]:
            if all(iou_yxyx(boxes[[anchor]], boxes[[other]])[0, 0] <= options.max_iou for _, _, other in kept):
                kept.append((score, label, anchor))
        found += kept
    return [(-score, label, anchor) for score, label, anchor in sorted(found)[: options.max_detections]], boxes


@pytest.mark.parametrize("max_iou", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("decimals", [0, 6])  # of the logits: with none, most are equal to others
def test_decode_detections_is_the_rule_of_the_options(max_iou, labels, decimals):
    random = np.random.default_rng(labels)
    options = DecoderOptions(min_score=0.3, max_iou=max_iou, max_candidates=40, max_detections=30)
    encoded = random.normal(0, 3, ANCHORS.shape).astype(np.float32)
    logits = random.normal(0, 2, (len(ANCHORS), labels)).astype(np.float32).round(decimals)
    found = decode_detections(encoded, logits, ANCHORS, options)
    expected, boxes = plain_decode(encoded, logits, ANCHORS, options)
    assert list(zip(found.scores.tolist(), found.labels.tolist(), strict=True)) == [row[:2] for row in expected]
    np.testing.assert_array_equal(found.boxes_yxyx, boxes[[anchor for _, _, anchor in expected]])
    assert 0 < len(found.scores) <= 30


def test_decode_detections_nothing_above_the_score_is_empty_and_typed():
    found = decode_detections(
        np.zeros_like(ANCHORS), np.full((len(ANCHORS), 2), -9, np.float32), ANCHORS, DecoderOptions()
    )
    assert (found.boxes_yxyx.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert (found.boxes_yxyx.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)


def test_decode_detections_boxes_are_clipped_to_the_image():
    encoded = np.full_like(ANCHORS, 8)
    found = decode_detections(encoded, np.zeros((len(ANCHORS), 1), np.float32), ANCHORS, DecoderOptions(max_iou=1))
    assert (found.boxes_yxyx.min(), found.boxes_yxyx.max()) == (0, 1)


def test_decode_detections_of_70_images_takes_less_than_a_second():
    random = np.random.default_rng(0)
    encoded = random.normal(0, 2, ANCHORS.shape).astype(np.float32)
    logits = random.normal(0, 2, (len(ANCHORS), 1)).astype(np.float32)
    start = time.perf_counter()
    for _ in range(70):
        decode_detections(encoded, logits, ANCHORS, DecoderOptions())
    assert time.perf_counter() - start < 1.0


def test_iou_yxyx_of_known_boxes():
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0.25, 0.5, 0.75], [0.9, 0.9, 0.9, 0.9]], np.float32)
    np.testing.assert_allclose(iou_yxyx(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]], rtol=1e-6)


def test_sigmoid_of_large_logits_has_no_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-200, 0, 200], np.float32)).tolist() == [0, 0.5, 1]
