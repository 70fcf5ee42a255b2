"""Boxes and pixels stay together: rectangles are drawn, changed, found again in the pixels and held against boxes."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from components.trainer.augmentation.boxes import SSD_KEPT, _draw_limits, augment_boxes
from components.trainer.augmentation.options import AugmentationOptions, changes_of
from components.trainer.box_targets import BoxTargets

SIDE = 96
COUNT = 48
BRIGHT, DARK, BACKGROUND = 240, 0, 70
FLIP = {"name": "horizontal_flip"}
PLACES = (
    FLIP,
    {"name": "crop", "min_area_fraction": 0.3},
    {"name": "rotation", "max_degrees": 15},
    {"name": "zoom", "max_fraction": 0.4},
    {"name": "shift", "max_fraction": 0.4},
    {"name": "ssd_random_crop"},
    {"name": "expand", "max_factor": 2.5, "probability": 1.0},
)
VALUES = (
    {"name": "brightness", "max_delta": 0.05},
    {"name": "contrast", "max_delta": 0.1},
    {"name": "jpeg_noise", "min_quality": 80},
)
CHAINS = {
    **{change["name"]: (change,) for change in PLACES},
    "ssd": "ssd",
    "expand, then crop": (PLACES[6], PLACES[5], FLIP),
    "all but rotation": (*PLACES[:2], *PLACES[3:], *VALUES),
    "rotation and shift": (PLACES[2], PLACES[4], *VALUES),
}


def changes(listed):
    chosen = listed if isinstance(listed, str) else list(listed)
    return changes_of(TypeAdapter(AugmentationOptions).validate_python(chosen))


def draw_scenes(seed, side=SIDE):
    """Images of a bright object at the left and a dark one at the right, whole pixels; labels 1 and 2."""
    random = np.random.default_rng(seed)
    rasters = np.full((COUNT, side, side, 1), BACKGROUND, np.uint8)
    boxes = np.zeros((COUNT, 4, 4), np.float32)  # with two rows of padding
    half = side // 2
    for image in range(COUNT):
        for row, value in enumerate((BRIGHT, DARK)):
            height, width = random.integers(side // 8, side // 2 - 4, 2)
            top, left = random.integers(0, side - height), row * half + random.integers(1, half - width - 1)
            rasters[image, top : top + height, left : left + width] = value
            boxes[image, row] = np.array([top, left, top + height, left + width]) / side
    labels = np.tile(np.array([1, 2, 0, 0], np.int32), (COUNT, 1))
    return rasters, BoxTargets(boxes, labels, np.zeros((COUNT, 4), bool))


def change(rasters, targets, listed, seed=1, side=SIDE):
    """As a training does it: in a graph."""
    made = tf.function(lambda given, t, s: augment_boxes(given, t, s, changes(listed), side=side, channels=1))(
        tf.constant(rasters), BoxTargets(*map(tf.constant, targets)), tf.constant([seed, 2], tf.int64)
    )
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), made)


def extent(mask):
    """The edges of what is set, in pixels; None of nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return None if len(rows) == 0 else np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def in_pixels(image, label):
    return extent(image[..., 0] > 185 if label == 1 else image[..., 0] < 30)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("larger", [1, 2], ids=["same_side", "from_twice_the_side"])
def test_boxes_of_any_change_are_around_the_pixels_that_they_were_around(chain, larger):
    rasters, targets = draw_scenes(3, side=larger * SIDE)
    images, found = change(rasters, targets, CHAINS[chain])
    seen = 0
    # The tips of a turned rectangle fade over the last pixels, and a sliver of one altogether.
    least, near = (8, 2.5) if "rotation" in chain else (2, 1.0)
    for image, boxes, labels in zip(images, found.boxes_yxyx, found.labels, strict=True):
        for row, label in ((0, 1), (1, 2)):
            pixels, box = in_pixels(image, label), boxes[row] * SIDE
            if labels[row] == 0:
                assert not boxes[row].any()
                assert pixels is None or (pixels[2:] - pixels[:2]).min() <= 1
            elif (box[2:] - box[:2]).min() > least:
                assert labels[row] == label
                np.testing.assert_allclose(pixels, box, atol=near)
                seen += 1
        assert not labels[2:].any()
        assert not boxes[2:].any()
    assert seen > COUNT
    assert 0 <= found.boxes_yxyx.min() <= found.boxes_yxyx.max() <= 1


def test_no_change_gives_back_what_it_was_given():
    rasters, targets = draw_scenes(1)
    images, found = change(rasters, targets, "none")
    np.testing.assert_array_equal(images, rasters)
    for part, given in zip(found, targets, strict=True):
        np.testing.assert_array_equal(part, given)


def test_same_seed_gives_the_same_and_another_seed_something_else():
    rasters, targets = draw_scenes(1)
    first, again, other = (change(rasters, targets, "ssd", seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1].boxes_yxyx, again[1].boxes_yxyx)
    assert not np.array_equal(first[1].boxes_yxyx, other[1].boxes_yxyx)


def test_object_stays_one_while_its_centre_and_enough_of_its_box_are_in_view():
    """Shifts keep sizes, so that the box in view says what was cut off, and on which side."""
    rasters, targets = draw_scenes(4)
    _, found = change(rasters, targets, ({"name": "shift", "max_fraction": 0.5, "min_object_kept": 0.7},))
    checked = {True: 0, False: 0}
    for given, boxes, labels, crowds in zip(targets.boxes_yxyx, *found, strict=True):
        sizes = given[:, 2:] - given[:, :2]
        left = boxes[:, 2:] - boxes[:, :2]
        for row in range(2):
            kept, is_centred = np.prod(left[row] / sizes[row]), (left[row] > sizes[row] / 2).all()
            if labels[row] == 0:
                assert not crowds[row]
            elif abs(kept - 0.7) > 1e-3:
                assert crowds[row] == (kept < 0.7 or not is_centred)
                checked[bool(crowds[row])] += 1
        assert (labels > 0)[~crowds].any()  # one object at least
    assert min(checked.values()) > 3


def test_beyond_the_edge_is_mid_gray_and_nobody_is_mirrored():
    rasters = np.full((COUNT, SIDE, SIDE, 1), BRIGHT, np.uint8)
    none = BoxTargets(np.zeros((COUNT, 1, 4), np.float32), np.zeros((COUNT, 1), np.int32), np.zeros((COUNT, 1), bool))
    for listed in (
        ({"name": "expand", "max_factor": 3, "probability": 1.0},),
        ({"name": "shift", "max_fraction": 0.4},),
    ):
        images, _ = change(rasters, none, listed)
        inside, beyond = images > 230, np.abs(images - 127.5) <= 0.5
        assert (inside | beyond).mean() > 0.96  # the rest are the edges between
        assert 0.1 < beyond.mean() < 0.8


def test_crowd_goes_with_the_image_and_stays_a_crowd():
    rasters, targets = draw_scenes(2)
    targets.crowds[:, 0] = True
    _, found = change(rasters, targets, (FLIP, PLACES[3]))
    _, expected = change(rasters, targets._replace(crowds=np.zeros_like(targets.crowds)), (FLIP,))
    assert found.crowds[found.labels[:, 0] > 0, 0].all()
    assert expected.labels[:, 0].all()
    assert not found.crowds[:, 2:].any()


def test_what_erasing_covers_too_much_of_is_no_object_any_more():
    rasters, targets = draw_scenes(6)
    listed = ({"name": "erasing", "min_area_fraction": 0.3, "max_area_fraction": 0.6, "probability": 1.0},)
    images, found = change(rasters, targets, listed)
    np.testing.assert_array_equal(found.labels, targets.labels)
    lost = 0
    for image, raster, boxes, crowds in zip(images, rasters, found.boxes_yxyx, found.crowds, strict=True):
        for row in range(2):
            ymin, xmin, ymax, xmax = np.rint(boxes[row] * SIDE).astype(int)
            covered = (image != raster)[ymin:ymax, xmin:xmax].mean()
            if abs(covered - 0.5) > 0.1:
                assert crowds[row] == (covered > 0.5)
                lost += crowds[row]
        assert not crowds[:2].all()
    assert lost > 5


def test_ssd_random_crop_draws_how_much_has_to_stay_from_seven_values():
    limits = _draw_limits(changes("ssd"), tf.constant([1, 2], tf.int64), 700).numpy()
    values, counts = np.unique(limits, return_counts=True)
    np.testing.assert_allclose(values, SSD_KEPT)
    assert counts.min() > 60
    stricter = _draw_limits(
        changes(({"name": "zoom", "max_fraction": 0.2}, PLACES[5])), tf.constant([1, 2], tf.int64), 50
    )
    assert stricter.numpy().min() == 0.5


def test_colour_turns_gray_after_saturation_and_boxes_stay():
    rasters, targets = draw_scenes(2)
    images, found = change(
        np.repeat(rasters, 3, -1), targets, ({"name": "saturation", "min_factor": 0.5, "max_factor": 1.5}, FLIP)
    )
    assert images.shape == (COUNT, SIDE, SIDE, 1)
    np.testing.assert_allclose(in_pixels(images[0], 1), found.boxes_yxyx[0, 0] * SIDE, atol=0.01)
