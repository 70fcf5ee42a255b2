"""TensorFlow's decoder against the NumPy one, which is the definition."""

import numpy as np
import pytest
import tensorflow as tf

from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import lay_anchors
from components.detection.coding import decode_detections
from components.detection.options import AnchorOptions, DecoderOptions
from components.trainer.decoder import decode_batch

ANCHORS = anchors_yxhw(lay_anchors(AnchorOptions(), (6, 3, 2, 1)))


def outputs(seed, images=3, labels=3):
    """Boxes around the anchors and beyond the image, and logits of which about one in five passes."""
    random = np.random.default_rng(seed)
    encoded = random.normal(0, 2, (images, len(ANCHORS), 4)).astype(np.float32)
    return encoded, random.normal(-5, 2.5, (images, len(ANCHORS), labels)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        DecoderOptions(),
        DecoderOptions(max_candidates=7, max_detections=200, max_iou=0.3),
        DecoderOptions(max_candidates=300, max_detections=5, max_iou=1.0),
        DecoderOptions(min_score=0.5, max_iou=0.0),
        DecoderOptions(min_score=0.999),
    ],
    ids=str,
)
def test_decode_batch_finds_what_the_numpy_decoder_finds_in_every_image(options):
    decode = tf.function(
        lambda encoded, logits: decode_batch(encoded, logits, ANCHORS, options),
        input_signature=[tf.TensorSpec([None, len(ANCHORS), 4]), tf.TensorSpec([None, len(ANCHORS), 3])],
    )
    for images in (3, 1, 0):
        encoded, logits = outputs(images, images)
        found = {name: value.numpy() for name, value in decode(encoded, logits).items()}
        assert found["detection_boxes"].shape == (images, options.max_detections, 4)
        assert found["detection_labels"].dtype == np.int64
        for image in range(images):
            expected = decode_detections(encoded[image], logits[image], ANCHORS, options)
            count = len(expected.scores)
            assert (count > 0) == (options.min_score < 0.99)
            for name, value in (
                ("boxes", expected.boxes_yxyx), ("scores", expected.scores), ("labels", expected.labels),
            ):  # fmt: skip
                given = found[f"detection_{name}"][image]
                np.testing.assert_allclose(given[:count], value, atol=1e-5)
                assert not given[count:].any()


def test_decode_batch_score_at_the_limit_is_a_detection():
    encoded = np.zeros((1, len(ANCHORS), 4), np.float32)
    logits = np.full((1, len(ANCHORS), 1), -9, np.float32)
    logits[0, 5] = 0
    found = decode_batch(encoded, logits, ANCHORS, DecoderOptions(min_score=0.5, max_detections=2))
    assert found["detection_scores"].numpy().tolist() == [[0.5, 0.0]]
    assert found["detection_labels"].numpy().tolist() == [[1, 0]]
