"""The label's object stays: exact areas, and no draw that loses it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from components.trainer.augmentation import places, visibility
from components.trainer.augmentation.augment import augment
from components.trainer.augmentation.options import AugmentationOptions, changes_of

SIDE = 48
KEPT = 0.5
HARSH = (
    {"name": "horizontal_flip"},
    {"name": "crop", "min_area_fraction": 0.02, "min_aspect": 0.3, "max_aspect": 3.0},
    {"name": "rotation", "max_degrees": 180},
    {"name": "zoom", "max_fraction": 0.7},
    {"name": "shift", "max_fraction": 0.5},
)


def changes(*listed):
    return changes_of(TypeAdapter(AugmentationOptions).validate_python(list(listed)))


def padded(boxes_of_images):
    objects = np.zeros((len(boxes_of_images), 3, 4), np.float32)
    for place, boxes in enumerate(boxes_of_images):
        objects[place, : len(boxes)] = boxes
    return objects


def drawn_boxes(random, count):
    """Of each image one to three boxes, down to 0.5 % of it."""
    found = []
    for _ in range(count):
        sizes = random.uniform(0.07, 0.9, (random.integers(1, 4), 2))
        corners = random.uniform(0, 1 - sizes)
        found.append(np.concatenate([corners, corners + sizes], axis=1))
    return found


def counted_inside(corners, rectangle, steps=400):
    """The area of a quadrilateral inside a rectangle, by counting points."""
    xmin, ymin, xmax, ymax = rectangle
    x, y = np.meshgrid(
        xmin + (np.arange(steps) + 0.5) / steps * (xmax - xmin), ymin + (np.arange(steps) + 0.5) / steps * (ymax - ymin)
    )
    sides = [
        (corners[(i + 1) % 4][0] - corners[i][0]) * (y - corners[i][1])
        - (corners[(i + 1) % 4][1] - corners[i][1]) * (x - corners[i][0])
        for i in range(4)
    ]
    inside = np.all(np.array(sides) >= 0, axis=0) | np.all(np.array(sides) <= 0, axis=0)
    return inside.mean() * (xmax - xmin) * (ymax - ymin)


def exact_area(corners):
    """In float64."""
    x, y = np.moveaxis(corners - corners[:, :1], -1, 0)
    return 0.5 * np.abs((x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y).sum(-1))


@settings(max_examples=60)
@given(
    box=st.tuples(*[st.floats(0.01, 0.98)] * 2, *[st.floats(0.01, 1.5)] * 2),
    angle=st.sampled_from([0.0, np.pi / 2, np.pi / 4, 1e-5]) | st.floats(0, 2 * np.pi),
    mirrored=st.booleans(),
    rectangle=st.sampled_from([visibility.VIEW, (-0.2, -0.4, 0.1, 0.3)]),
)
def test_area_inside_is_what_counting_points_gives(box, angle, mirrored, rectangle):
    ymin, xmin, height, width = box
    corners = visibility.corners_of(tf.constant([[ymin, xmin, ymin + height, xmin + width]], tf.float32)).numpy()[0]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (corners @ turn.T * (-1 if mirrored else 1, 1)).astype(np.float32)
    found = float(visibility.area_inside(tf.constant(corners), rectangle))
    assert found == pytest.approx(counted_inside(corners, rectangle), abs=4e-3)
    assert float(visibility.area(tf.constant(corners))) == pytest.approx(height * width, rel=1e-3)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    pixels=st.floats(0.5, 20),
    aspect=st.floats(0.1, 10),
    degrees=st.floats(0, 360) | st.just(0),
)
def test_areas_of_small_objects_are_exact_wherever_they_are(seed, pixels, aspect, degrees):
    """Against float64, of the same corners; in view, cut by an edge, and turned."""
    random = np.random.default_rng(seed)
    sizes = pixels / 640 * np.sqrt([1 / aspect, aspect])
    start = random.uniform(0, 1 - sizes, (200, 2))
    boxes = np.concatenate([start, start + sizes], axis=1).astype(np.float32)
    corners = visibility.corners_of(tf.constant(boxes)).numpy().astype(np.float64)
    np.testing.assert_allclose(visibility.area(tf.constant(corners, tf.float32)), exact_area(corners), rtol=1e-5)
    middle = corners.mean(axis=1, keepdims=True)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = ((corners - middle) @ turn.T + 0.9 * middle).astype(np.float32)
    kept = visibility.area_inside(tf.constant(turned), visibility.VIEW)
    np.testing.assert_allclose(kept, exact_area(turned.astype(np.float64)), rtol=1e-4)
    assert visibility.shows_object(turned[:, np.newaxis], kept[:, tf.newaxis], 1.0).numpy().all()
    low, high = corners.min(axis=1), corners.max(axis=1)
    cut = low + random.uniform(0, 1, (200, 2)) * (high - low)
    edges = tf.unstack(tf.constant(np.concatenate([cut, high + 0.1], axis=1), tf.float32), axis=1)
    expected = np.prod(high - np.stack(edges[:2], axis=1).astype(np.float64), axis=1)
    found = visibility.area_inside(tf.constant(corners, tf.float32), edges)
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(np.prod(sizes)), rtol=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), which=st.sets(st.integers(0, 4), min_size=1))
def test_places_of_any_draw_keep_one_object_in_view(seed, which):
    """Counted point by point through the drawn map, apart from the code that accepted it."""
    random = np.random.default_rng(seed)
    boxes = drawn_boxes(random, 24)
    corners = visibility.corners_of(tf.constant(padded(boxes)))
    listed = changes(*(HARSH[place] for place in sorted(which)))
    maps = places.draw_places(listed, tf.constant([seed, 1], tf.int64), 24, SIDE, corners).numpy()
    for found, affine in zip(boxes, maps, strict=True):
        shares = []
        for ymin, xmin, ymax, xmax in found:
            x, y = np.meshgrid(
                *((np.arange(60) + 0.5) / 60 * (b - a) + a - 0.5 for a, b in ((xmin, xmax), (ymin, ymax)))
            )
            seen = np.linalg.inv(affine) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
            shares.append((np.abs(seen[:2]) <= 0.5).all(axis=0).mean())
        assert max(shares) >= KEPT - 0.03


def test_places_without_a_draw_that_fits_leave_the_image_as_it_was():
    whole = np.array([[[0.0, 0.0, 1.0, 1.0]]] * 20, np.float32)
    crop = changes({"name": "crop", "min_area_fraction": 0.01, "max_area_fraction": 0.4})
    maps = places.draw_places(crop, tf.constant([1, 1], tf.int64), 20, SIDE, visibility.corners_of(tf.constant(whole)))
    np.testing.assert_array_equal(maps, np.broadcast_to(np.eye(3), (20, 3, 3)))


def test_places_of_images_without_an_object_are_free():
    objects = np.zeros((20, 3, 4), np.float32)
    crop = changes({"name": "crop", "min_area_fraction": 0.01, "max_area_fraction": 0.02})
    maps = places.draw_places(
        crop, tf.constant([1, 1], tf.int64), 20, SIDE, visibility.corners_of(tf.constant(objects))
    )
    assert (np.linalg.det(maps) < 0.021).all()


def test_places_that_show_everything_pass_the_strictest_limit():
    corners = visibility.corners_of(tf.constant([[[0.0, 0.0, 1.0, 1.0]]] * 20))
    zoom = changes({"name": "shift", "max_fraction": 0.001, "min_object_kept": 1.0})  # rounds to no pixel at all
    maps = places.draw_places(zoom, tf.constant([1, 1], tf.int64), 20, SIDE, corners)
    seen = places.move(corners, maps)
    kept = visibility.area_inside(seen, visibility.VIEW)
    assert visibility.shows_object(seen, kept, 1.0).numpy().all()


@pytest.mark.parametrize("seed", range(6))
def test_augment_crops_and_erases_without_losing_the_object(seed):
    """Half of the white object is left, whatever the mirrored edge may add to it."""
    random = np.random.default_rng(seed)
    boxes = [found[:1] for found in drawn_boxes(random, 32)]
    pixels = [np.rint(found[0] * SIDE).astype(int) for found in boxes]
    pictures = np.zeros((32, SIDE, SIDE, 1), np.uint8)
    for picture, (top, left, bottom, right) in zip(pictures, pixels, strict=True):
        picture[top:bottom, left:right] = 255
    objects = padded([np.array([box]) / SIDE for box in pixels])
    listed = changes({"name": "shift", "max_fraction": 0.5}, {"name": "erasing", "probability": 1.0})
    made, _ = augment(
        tf.constant(pictures), tf.zeros([32, 2]), tf.constant(objects), tf.constant([seed, 0], tf.int64), listed,
        side=SIDE, channels=1,
    )  # fmt: skip
    made = made.numpy()
    assert (made != pictures).any(axis=(1, 2, 3)).mean() > 0.9
    for picture, (top, left, bottom, right) in zip(made, pixels, strict=True):
        assert (picture == 255).sum() >= (KEPT - 0.02) * (bottom - top) * (right - left)
