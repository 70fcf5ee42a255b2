"""The fixed-point decoder against the one in floating point, and at the ends of its ranges."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import AnchorMap, lay_anchors
from components.detection.coding import decode_boxes, decode_detections, encode_boxes, sigmoid
from components.detection.fixed_decoder import FixedDecoder
from components.detection.fixed_point import fix_outputs
from components.detection.options import LEAST_SCORE, AnchorOptions, DecoderOptions
from components.errors import ConfigError, ModelError
from components.quantization.contracts import TensorContract

MAPS = lay_anchors(AnchorOptions(), (6, 3, 2, 1))
PUBLISHED = lay_anchors(AnchorOptions(), (19, 10, 5, 3, 2, 1))
ALL = DecoderOptions(min_score=LEAST_SCORE, max_iou=1.0, max_candidates=1000, max_detections=1000)
LOWEST, HIGHEST = -128, 127


@dataclass(frozen=True)
class Scales:
    """Quantization of a model's outputs: for all maps, or one of each for each map."""

    boxes: tuple[tuple[float, int], ...]
    scores: tuple[tuple[float, int], ...]

    def contracts(self, maps, labels):
        counts = [sum(each.count for each in maps)] if len(self.boxes) == 1 else [each.count for each in maps]
        return tuple(
            [
                TensorContract(name="", shape=(1, count, width), dtype="int8", scale=scale, zero_point=zero_point)
                for count, (scale, zero_point) in zip(counts, scales, strict=True)
            ]
            for width, scales in ((4, self.boxes), (labels, self.scores))
        )


ONE = Scales(((0.05, 3),), ((0.06, 40),))
EACH = Scales(((0.05, 3), (0.04, -20), (0.06, 0), (0.03, 10)), ((0.06, 40), (0.05, 50), (0.07, 30), (0.1, 60)))


def random_codes(random, maps, scales, labels):
    """Boxes like those of a trained model, scores of which few are high."""
    boxes, scores = scales.contracts(maps, labels)
    return (
        [random.normal(c.zero_point, 30, c.shape[1:]).clip(LOWEST, HIGHEST).astype(np.int8) for c in boxes],
        [random.normal(-60, 40, c.shape[1:]).clip(LOWEST, HIGHEST).astype(np.int8) for c in scores],
    )


def real(codes, contracts):
    parts = [
        (each.astype(np.float32) - c.zero_point) * np.float32(c.scale) for each, c in zip(codes, contracts, strict=True)
    ]
    return np.concatenate(parts)


@pytest.mark.parametrize("scales", [ONE, EACH], ids=["concatenated", "per_map"])
def test_every_box_is_within_a_thousandth_of_the_float_decoders(scales):
    anchors, options = anchors_yxhw(MAPS), DecoderOptions(min_score=0.5, max_detections=1000)
    boxes, scores = scales.contracts(MAPS, len(anchors))
    decoder = FixedDecoder.of(MAPS, options, boxes, scores)
    # Of every anchor a label of its own, so that nothing is suppressed and each box is known by its label.
    logits = np.where(np.eye(len(anchors)), HIGHEST, LOWEST).astype(np.int8)
    columns = np.split(logits, np.cumsum([each.shape[1] for each in boxes])[:-1])
    random, distances = np.random.default_rng(0), []
    for _ in range(20):
        codes, _ = random_codes(random, MAPS, scales, 1)
        found = decoder.decode(codes, columns)
        expected = decode_boxes(real(codes, boxes), anchors).clip(0, 1)[found.labels - 1]
        distances.append(np.abs(found.boxes_yxyx - expected).max())
    assert len(found.labels) == len(anchors)
    assert 0 < max(distances) < 1e-3


def test_every_score_is_the_sigmoid_in_q15():
    boxes, scores = ONE.contracts(MAPS[:1], 256)
    logits = np.tile(np.arange(LOWEST, HIGHEST + 1, dtype=np.int8), (MAPS[0].count, 1))
    found = FixedDecoder.of(MAPS[:1], ALL, boxes, scores).decode([np.zeros(boxes[0].shape[1:], np.int8)], [logits])
    np.testing.assert_allclose(found.scores, sigmoid(real([logits], scores)[0])[found.labels - 1], atol=2**-16 + 1e-7)


@pytest.mark.parametrize("scales", [ONE, EACH], ids=["concatenated", "per_map"])
def test_suppression_agrees_with_the_float_decoder_on_nearly_every_image(scales):
    options = DecoderOptions(min_score=0.1)
    boxes, scores = scales.contracts(MAPS, 3)
    decoder, anchors = FixedDecoder.of(MAPS, options, boxes, scores), anchors_yxhw(MAPS)
    random, same = np.random.default_rng(0), 0
    for _ in range(50):
        codes = random_codes(random, MAPS, scales, 3)
        found = decoder.decode(*codes)
        expected = decode_detections(real(codes[0], boxes), real(codes[1], scores), anchors, options)
        same += sorted(found.labels.tolist()) == sorted(expected.labels.tolist())
        assert 0 < len(found.labels) <= options.max_detections
    assert same >= 45


def test_a_box_that_was_encoded_comes_back():
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.6, (len(anchors_yxhw(MAPS)), 2))
    truth = np.concatenate([low, low + random.uniform(0.1, 0.4, low.shape)], 1).astype(np.float32)
    encoded = encode_boxes(truth, anchors_yxhw(MAPS))
    is_near = np.abs(encoded).max(1) < 6
    scales = Scales(((0.05, 0),), ((0.1, 0),))
    codes = np.rint(encoded / 0.05).clip(LOWEST, HIGHEST).astype(np.int8)
    boxes, scores = scales.contracts(MAPS, 1)
    falling = np.arange(HIGHEST, HIGHEST - len(codes), -1)
    assert len(codes) <= 256
    found = FixedDecoder.of(MAPS, ALL, boxes, scores).decode([codes], [falling[:, np.newaxis].astype(np.int8)])
    # Half a code is 0.0025 of the anchor for a centre and 0.5 % of its size.
    assert np.abs(found.boxes_yxyx - truth)[is_near].max() < 0.01
    assert is_near.sum() > 20


@pytest.mark.parametrize("code", [LOWEST, HIGHEST])
@pytest.mark.parametrize("scale", [1e-9, 0.05, 1.0, 1e6])
@pytest.mark.parametrize("zero_point", [LOWEST, 0, HIGHEST])
def test_saturated_codes_and_wild_scales_stay_within_the_image(code, scale, zero_point):
    """With int32 in the place of NumPy's int64, no product would be another one: see `test_products_fit_32_bits`."""
    boxes, scores = Scales(((scale, zero_point),), ((scale, zero_point),)).contracts(PUBLISHED, 1)
    codes = [np.full(each.shape[1:], code, np.int8) for each in (boxes[0], scores[0])]
    found = FixedDecoder.of(PUBLISHED, ALL, boxes, scores).decode_to_integers([codes[0]], [codes[1]])
    edges = found.boxes_yxyx
    assert (edges >= 0).all()
    assert (edges <= 32768).all()
    assert (edges[:, :2] <= edges[:, 2:]).all()
    assert (found.scores <= 32768).all()


def test_products_fit_32_bits():
    wild, largest = TensorContract(name="", shape=(1, 1, 4), dtype="int8", scale=1e9, zero_point=-128), 3.9999
    (output,) = fix_outputs(
        [AnchorMap(1, 1, ((largest, largest),))], [wild], [wild.model_copy(update={"shape": (1, 1, 1)})]
    )
    (shape,) = output.maps[0].shapes
    assert 255 * shape.step_y + 128 < 2**31
    assert 255 * output.logit_step < 2**31
    assert shape.half_height * max(output.factors) + 1024 < 2**32
    # A centre at its farthest, and a size at its greatest, in Q15.
    assert 32768 + (255 * shape.step_y >> 8) + (shape.half_height * max(output.factors) >> 11) < 2**31


def test_equal_codes_everywhere_give_the_lowest_labels_and_anchors():
    options = DecoderOptions(max_iou=1.0, max_candidates=3, max_detections=5)
    boxes, scores = ONE.contracts(MAPS, 2)
    anchors = len(anchors_yxhw(MAPS))
    decoder = FixedDecoder.of(MAPS, options, boxes, scores)
    found = decoder.decode([np.full((anchors, 4), 3, np.int8)], [np.full((anchors, 2), 100, np.int8)])
    assert found.labels.tolist() == [1, 1, 1, 2, 2]
    np.testing.assert_array_equal(found.boxes_yxyx[:2], found.boxes_yxyx[3:])
    centred = decode_boxes(np.zeros((3, 4), np.float32), anchors_yxhw(MAPS)[:3]).clip(0, 1)
    np.testing.assert_allclose(found.boxes_yxyx[:3], centred, atol=1e-4)


def test_maps_of_different_scales_are_ranked_by_logit():
    boxes, scores = Scales(((0.05, 0),) * 2, ((0.1, 0), (0.05, 0))).contracts(MAPS[2:], 1)
    decoder = FixedDecoder.of(MAPS[2:], DecoderOptions(max_iou=1.0), boxes, scores)
    codes = [np.full(each.shape[1:], -128, np.int8) for each in scores]
    codes[0][0], codes[1][0] = 50, 99  # 5.0 and 4.95
    found = decoder.decode([np.zeros(each.shape[1:], np.int8) for each in boxes], codes)
    assert found.scores.tolist() == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(-4.95))], abs=2e-5)


def test_two_boxes_that_overlap_by_exactly_max_iou_both_stay():
    # Centres at 0.25 and 0.75, each moved by 0.1875 towards the other: 0.25 of 0.5 is in both.
    maps = [AnchorMap(1, 2, ((1.0, 0.375),))]
    boxes, scores = Scales(((0.05, 0),), ((0.1, 0),)).contracts(maps, 1)
    codes = [np.array([[0, 100, 0, 0], [0, -100, 0, 0]], np.int8)], [np.full((2, 1), 50, np.int8)]
    for max_iou, count in ((0.5, 2), (0.4999, 1)):
        decoder = FixedDecoder.of(maps, DecoderOptions(max_iou=max_iou), boxes, scores)
        assert len(decoder.decode(*codes).labels) == count


def test_decode_all_gives_each_image_what_decode_gives_it():
    boxes, scores = EACH.contracts(MAPS, 2)
    decoder, random = FixedDecoder.of(MAPS, DecoderOptions(), boxes, scores), np.random.default_rng(3)
    images = [random_codes(random, MAPS, EACH, 2) for _ in range(4)]
    codes = ([np.stack([image[kind][number] for image in images]) for number in range(len(MAPS))] for kind in (0, 1))
    for found, image in zip(decoder.decode_all(*codes), images, strict=True):
        np.testing.assert_array_equal(found.boxes_yxyx, decoder.decode(*image).boxes_yxyx)
        np.testing.assert_array_equal(found.scores, decoder.decode(*image).scores)


@pytest.mark.parametrize(("maps", "labels", "limit_s"), [(MAPS, 1, 0.5), (PUBLISHED, 90, 5.0)])
def test_ten_images_take_less_than(maps, labels, limit_s):
    boxes, scores = ONE.contracts(maps, labels)
    decoder = FixedDecoder.of(maps, DecoderOptions(), boxes, scores)
    images = [random_codes(np.random.default_rng(n), maps, ONE, labels) for n in range(10)]
    start = time.perf_counter()
    for image in images:
        decoder.decode(*image)
    assert time.perf_counter() - start < limit_s


def test_shapes_take_less_than_a_table_of_anchors_would():
    """Twelve bytes a shape, eight a map, against eight an anchor: why there is no table in the generated C."""
    for maps in (MAPS, PUBLISHED, lay_anchors(AnchorOptions(), (2, 1))):
        generator = sum(8 + 12 * len(each.shapes_hw) for each in maps)
        assert generator < 8 * sum(each.count for each in maps)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(1, 108, 4)], r"received boxes \[\(1, 108, 4\)\]"),
        ([(1, 6 * 6 * 3, 4), (1, 54, 4)], "one pair for all feature maps, or one for each, of 108, 54, 24, 6 anchors"),
        ([(1, 192, 5)], "192 anchors"),
        ([], "192 anchors"),
    ],
)
def test_outputs_of_another_model_are_refused(shapes, words):
    boxes = [TensorContract(name="", shape=shape, dtype="int8", scale=0.1, zero_point=0) for shape in shapes]
    scores = [each.model_copy(update={"shape": (*each.shape[:2], 1)}) for each in boxes]
    with pytest.raises(ModelError, match=words):
        FixedDecoder.of(MAPS, DecoderOptions(), boxes, scores)


def test_float_outputs_are_refused():
    boxes, scores = ONE.contracts(MAPS, 1)
    scores = [scores[0].model_copy(update={"dtype": "float32", "scale": None, "zero_point": None})]
    with pytest.raises(ModelError, match=r"not quantized: received .*float32"):
        FixedDecoder.of(MAPS, DecoderOptions(), boxes, scores)


@pytest.mark.parametrize(
    ("rows", "size", "received"), [(300, 0.5, "90,000"), (1, 4.0, "to 4 sides"), (1, 1e-5, "1e-05 to")]
)
def test_anchors_beyond_what_16_bits_hold_are_refused(rows, size, received):
    maps = [AnchorMap(rows, rows, ((size, 0.5),))]
    boxes, scores = ONE.contracts(maps, 1)
    with pytest.raises(ConfigError, match=received):
        FixedDecoder.of(maps, DecoderOptions(), boxes, scores)
