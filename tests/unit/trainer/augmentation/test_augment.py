"""What each change does to pixels, alone and together."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from components.trainer.augmentation import places
from components.trainer.augmentation.augment import augment
from components.trainer.augmentation.options import AugmentationOptions, changes_of
from components.trainer.augmentation.values import to_gray

SIDE = 24
SEED = (7, 3)
PLACES = (
    {"name": "horizontal_flip"},
    {"name": "crop", "min_area_fraction": 0.3},
    {"name": "rotation", "max_degrees": 20},
    {"name": "zoom", "max_fraction": 0.2},
    {"name": "shift", "max_fraction": 0.2},
)
VALUES = ({"name": "brightness", "max_delta": 0.3}, {"name": "contrast", "max_delta": 0.4})
SATURATION = {"name": "saturation", "min_factor": 0.2, "max_factor": 2.0}
PICTURES = ({"name": "jpeg_noise", "min_quality": 20}, {"name": "erasing"})
MIXES = ({"name": "mixup", "alpha": 1.0}, {"name": "cutmix", "alpha": 1.0})
EVERYTHING = (*PLACES, *VALUES, SATURATION, *PICTURES, *MIXES)


def changes(*listed):
    return changes_of(TypeAdapter(AugmentationOptions).validate_python(list(listed)))


def rasters(count=16, channels=1, side=SIDE, *, same=False):
    drawn = np.random.default_rng(0).integers(0, 256, (1 if same else count, side, side, channels))
    return np.repeat(drawn, count if same else 1, axis=0).astype(np.uint8)


def labels(count):
    return np.eye(2, dtype=np.float32)[np.arange(count) % 2]


def augmented(images, *listed, seed=SEED, channels=None, objects=None, side=SIDE):
    """Images and labels, float32."""
    made = augment(
        tf.constant(images),
        tf.constant(labels(len(images))),
        None if objects is None else tf.constant(objects),
        tf.constant(seed, tf.int64),
        changes(*listed),
        side=side,
        channels=images.shape[-1] if channels is None else channels,
    )
    return tuple(tensor.numpy() for tensor in made)


def images_of(*arguments, **settings):
    return augmented(*arguments, **settings)[0]


# All together.


@pytest.mark.parametrize("channels", [1, 3])
def test_augment_everything_on_gives_the_models_raster_and_shares_of_labels(channels):
    made, mixed = augmented(rasters(channels=3, side=40), *EVERYTHING, channels=channels)
    assert made.shape == (16, SIDE, SIDE, channels)
    assert made.dtype == mixed.dtype == np.float32
    assert made.min() >= 0.0
    assert made.max() <= 255.0
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)


def test_augment_inside_tf_data_gives_what_it_gives_eagerly():
    def change(images, one_hot, seed):
        return augment(images, one_hot, None, seed, changes(*EVERYTHING), side=SIDE, channels=1)

    given = (rasters(channels=3), labels(16), tf.constant(SEED, tf.int64))
    dataset = tf.data.Dataset.from_tensors(given).map(tf.autograph.experimental.do_not_convert(change))
    assert dataset.element_spec[0] == tf.TensorSpec([16, SIDE, SIDE, 1], tf.float32)
    for found, expected in zip(
        dataset.get_single_element(), augmented(rasters(channels=3), *EVERYTHING, channels=1), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-2)


def test_augment_same_seed_gives_the_same_and_another_gives_other_changes():
    colour = rasters(channels=3)
    first = images_of(colour, *EVERYTHING)
    np.testing.assert_array_equal(first, images_of(colour, *EVERYTHING))
    for seed in ((7, 4), (8, 3)):
        assert not np.array_equal(first, images_of(colour, *EVERYTHING, seed=seed))


@pytest.mark.parametrize("change", [*PLACES[1:], *VALUES, SATURATION], ids=lambda change: change["name"])
def test_augment_equal_images_of_a_batch_are_changed_each_its_own_way(change):
    made = images_of(rasters(channels=3, same=True), change)
    assert len({image.tobytes() for image in made}) > 10  # a shift has few places to go


def test_augment_nothing_is_the_identity():
    np.testing.assert_array_equal(images_of(rasters()), rasters())


def test_augment_nothing_from_more_pixels_and_colour_is_the_smaller_gray_picture():
    big = np.full((2, 2 * SIDE, 2 * SIDE, 3), (200, 100, 50), np.uint8)
    np.testing.assert_allclose(images_of(big, channels=1), 0.299 * 200 + 0.587 * 100 + 0.114 * 50, atol=1e-3)


@pytest.mark.parametrize("change", EVERYTHING, ids=lambda change: change["name"])
def test_augment_with_a_probability_leaves_some_images_as_they_were(change):
    images = rasters(60, channels=3)
    made = images_of(images, {**change, "probability": 0.5})
    kept = sum(np.allclose(new, old, atol=0.01) for new, old in zip(made, images, strict=True))
    assert 12 <= kept <= 48


def test_augment_one_more_change_leaves_the_draws_of_the_others_as_they_were():
    images = np.clip(rasters(), 80, 175)
    flipped = images_of(images, PLACES[0])
    both = images_of(images, PLACES[0], {"name": "brightness", "max_delta": 0.1})
    np.testing.assert_allclose(np.ptp(both - flipped, axis=(1, 2, 3)), 0, atol=1e-4)


# Places.


def test_horizontal_flip_mirrors_about_half_of_the_images():
    images = rasters(200)
    made = images_of(images, {"name": "horizontal_flip"})
    flipped = [np.array_equal(new, old[:, ::-1]) for new, old in zip(made, images, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(made, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 70 <= sum(flipped) <= 130


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_shift_moves_by_whole_pixels_and_mirrors_the_edge(fraction):
    images = rasters(60, channels=3)
    limit = round(fraction * SIDE)
    padded = np.pad(images, ((0, 0), (limit, limit), (limit, limit), (0, 0)), mode="symmetric")
    offsets = set()
    made = images_of(images, {"name": "shift", "max_fraction": fraction})
    for new, old in zip(made, padded, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(old, new.shape)[:, :, 0]
        found = np.argwhere((windows == new).all(axis=(2, 3, 4)))
        assert len(found) == 1
        offsets.add(tuple(int(place) - limit for place in found[0]))
    for moved in zip(*offsets, strict=True):
        assert min(moved) < 0 < max(moved)
        assert max(map(abs, moved)) <= limit


def ramps(count, side):
    """In two channels the column and the row of each pixel, as numbers from -0.5 to 0.5 times 200 plus 100."""
    places = ((np.arange(side) + 0.5) / side - 0.5) * 200 + 100
    grid = np.stack([*np.meshgrid(places, places), np.zeros((side, side))], -1)
    return np.repeat(grid[np.newaxis], count, axis=0).astype(np.uint8)


def fitted_maps(made):
    """[n, 2, 3] from the result's places to the image's, measured on `ramps` well inside."""
    side = made.shape[1]
    inner = slice(side // 3, -side // 3)
    places = ((np.arange(side) + 0.5) / side - 0.5)[inner]
    x, y = np.meshgrid(places, places)
    design = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1)
    return np.stack(
        [
            np.linalg.lstsq(design, (image[inner, inner, :2].reshape(-1, 2) - 100) / 200, rcond=None)[0].T
            for image in made
        ]
    )


@pytest.mark.parametrize("size", [60, 90])
def test_rotation_turns_around_the_centre_within_its_limit(size):
    made = images_of(ramps(80, size), {"name": "rotation", "max_degrees": 20}, side=60)
    maps = fitted_maps(made)
    angles = np.degrees(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert -20.5 < angles.min() < -15
    assert 15 < angles.max() < 20.5
    np.testing.assert_allclose(np.linalg.det(maps[:, :, :2]), 1, atol=0.03)
    np.testing.assert_allclose(maps[:, :, 2], 0, atol=0.01)


@pytest.mark.parametrize("size", [60, 90])
def test_zoom_scales_rows_and_columns_each_within_its_limit(size):
    maps = fitted_maps(images_of(ramps(80, size), {"name": "zoom", "max_fraction": 0.2}, side=60))
    for scale in (maps[:, 0, 0], maps[:, 1, 1]):
        assert 0.79 < scale.min() < 0.85
        assert 1.15 < scale.max() < 1.21
    assert np.abs(maps[:, 0, 0] - maps[:, 1, 1]).max() > 0.1
    np.testing.assert_allclose(maps[:, :, 2], 0, atol=0.01)


@pytest.mark.parametrize("size", [60, 90])
def test_crop_takes_a_part_of_the_drawn_area_and_aspect_inside_the_image(size):
    change = {"name": "crop", "min_area_fraction": 0.2, "max_area_fraction": 0.6, "min_aspect": 0.5, "max_aspect": 2.0}
    maps = fitted_maps(images_of(ramps(80, size), change, side=60))
    width, height = maps[:, 0, 0], maps[:, 1, 1]
    assert 0.19 < (width * height).min() < 0.25
    assert 0.55 < (width * height).max() < 0.61
    assert 0.49 < (width / height).min() < 0.7
    assert 1.4 < (width / height).max() < 2.05
    assert (np.abs(maps[:, :, 2]) <= (1 - np.stack([width, height], -1)) / 2 + 0.01).all()


def test_places_are_changed_in_the_order_of_the_list():
    """What was shifted and then turned around the centre comes from a turned place plus the shift itself."""

    def maps(*listed):
        return places.draw_places(changes(*listed), tf.constant(SEED, tf.int64), 8, SIDE, None).numpy()

    shift, rotation = {"name": "shift", "max_fraction": 0.5}, {"name": "rotation", "max_degrees": 90}
    np.testing.assert_allclose(maps(shift, rotation), maps(shift) @ maps(rotation), atol=1e-6)
    np.testing.assert_allclose(maps(shift, rotation)[:, :2, 2], maps(shift)[:, :2, 2], atol=1e-6)
    assert not np.allclose(maps(rotation, shift), maps(shift, rotation), atol=0.1)


# Values.


def test_brightness_adds_one_number_to_an_image():
    images = np.full((100, 4, 4, 1), 100, np.uint8)
    images[:, 0] += 20
    added = images_of(images, {"name": "brightness", "max_delta": 0.1}, side=4) - images
    np.testing.assert_allclose(np.ptp(added, axis=(1, 2, 3)), 0, atol=1e-4)
    assert -25.5 <= added.min() < -20
    assert 20 < added.max() <= 25.5


def test_contrast_scales_the_distance_from_mid_gray():
    images = np.full((100, 4, 4, 1), 200, np.uint8)
    images[:, 0] = 100
    made = images_of(images, {"name": "contrast", "max_delta": 0.2}, side=4) - 127.5
    factors = made[:, 1, 0, 0] / 72.5
    np.testing.assert_allclose(made[:, 0, 0, 0], -27.5 * factors, rtol=1e-4)
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.5, 4.0])
def test_saturation_is_tensorflows(factor):
    images = rasters(channels=3)
    made = images_of(images, {"name": "saturation", "min_factor": factor, "max_factor": factor or 1e-9})
    expected = tf.image.adjust_saturation(images.astype(np.float32) / 255, factor).numpy() * 255
    np.testing.assert_allclose(made, expected, atol=0.05)


def test_saturation_comes_before_gray():
    made = images_of(rasters(channels=3), {"name": "saturation", "min_factor": 0.0, "max_factor": 1e-9}, channels=1)
    np.testing.assert_allclose(made, rasters(channels=3).max(axis=-1, keepdims=True), atol=0.01)


def test_to_gray_is_the_decoders_gray():
    colours = rasters(4, channels=3)
    decoded = [tf.io.decode_png(tf.io.encode_png(image), channels=1).numpy() for image in colours]
    assert np.abs(to_gray(tf.cast(colours, tf.float32)).numpy() - np.stack(decoded)).max() < 1.01  # it rounds down


# Pictures.


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_noise_is_what_a_jpeg_of_that_quality_leaves(channels):
    images = rasters(3, channels=channels)
    made = images_of(images, {"name": "jpeg_noise", "min_quality": 30, "max_quality": 30})
    for new, old in zip(made, images, strict=True):
        again = tf.io.decode_jpeg(tf.io.encode_jpeg(old, quality=30), channels=channels)
        assert np.abs(new - again.numpy()).max() <= 8  # two encoders' settings of one libjpeg
        assert np.abs(new - old).mean() > 5


def test_jpeg_noise_has_a_quality_of_its_own_for_each_image():
    made = images_of(rasters(12, same=True), {"name": "jpeg_noise", "min_quality": 1})
    assert len({image.tobytes() for image in made}) > 8


def test_erasing_fills_one_rectangle_of_the_drawn_area():
    images = np.full((80, SIDE, SIDE, 1), 300 // 2, np.uint8)
    erased = images_of(images, {"name": "erasing", "probability": 1.0}) != 150
    shares = []
    for mask in erased[..., 0]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
        assert np.count_nonzero(np.diff(rows.astype(int), prepend=0, append=0)) == 2
        shares.append(mask.mean())
    assert 0.0 < min(shares) < 0.08
    assert 0.3 < max(shares) < 0.46


# Mixes.


def test_mixup_mixes_images_and_labels_in_the_same_proportion():
    images = np.zeros((40, SIDE, SIDE, 1), np.uint8)
    images[1::2] = 200
    made, mixed = augmented(images, {"name": "mixup", "alpha": 1.0})
    np.testing.assert_allclose(made, np.broadcast_to(200 * mixed[:, 1, None, None, None], made.shape), atol=0.01)
    assert len(np.unique(mixed[:, 1].round(3))) > 10


def test_cutmix_mixes_labels_by_the_area_that_was_replaced():
    images = np.zeros((40, SIDE, SIDE, 1), np.uint8)
    images[1::2] = 200
    made, mixed = augmented(images, {"name": "cutmix", "alpha": 1.0})
    assert set(np.unique(made)) == {0.0, 200.0}
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)) / 200, mixed[:, 1], atol=1e-6)
    assert len(np.unique(mixed[:, 1].round(3))) > 10


@pytest.mark.parametrize("alpha", [1e-4, 100.0])
def test_mixup_of_an_extreme_alpha_stays_finite(alpha):
    made, mixed = augmented(rasters(64), {"name": "mixup", "alpha": alpha})
    assert np.isfinite(made).all()
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
