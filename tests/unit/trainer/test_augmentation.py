import numpy as np
import pytest
import tensorflow as tf

from components.trainer.augmentation import augment
from components.trainer.options import AugmentationOptions

SIDE = 24
OFF = AugmentationOptions(horizontal_flip=False)
EVERYTHING = AugmentationOptions(max_shift_fraction=0.25, max_brightness_delta=0.3, max_contrast_delta=0.4)
SEED = (7, 3)


def rasters(count=16, channels=1, *, same=False):
    random = np.random.default_rng(0)
    drawn = random.integers(0, 256, (1 if same else count, SIDE, SIDE, channels))
    return np.repeat(drawn, count if same else 1, axis=0).astype(np.float32)


def augmented(images, options, seed=SEED):
    return augment(tf.constant(images), tf.constant(seed, tf.int64), options).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_augment_everything_on_keeps_shape_type_and_range(channels):
    changed = augmented(rasters(channels=channels), EVERYTHING)
    assert changed.shape == (16, SIDE, SIDE, channels)
    assert changed.dtype == np.float32
    assert changed.min() == 0.0  # clipped, both ways
    assert changed.max() == 255.0


def test_augment_inside_tf_data_gives_what_it_gives_eagerly():
    dataset = tf.data.Dataset.from_tensors((rasters(), tf.constant(SEED, tf.int64))).map(
        lambda images, seed: augment(images, seed, EVERYTHING)
    )
    assert dataset.element_spec == tf.TensorSpec([16, SIDE, SIDE, 1], tf.float32)
    np.testing.assert_allclose(dataset.get_single_element(), augmented(rasters(), EVERYTHING), atol=1e-3)


def test_augment_same_seed_gives_the_same_and_another_gives_other_changes():
    first = augmented(rasters(), EVERYTHING)
    np.testing.assert_array_equal(first, augmented(rasters(), EVERYTHING))
    for seed in ((7, 4), (8, 3)):
        assert not np.array_equal(first, augmented(rasters(), EVERYTHING, seed))


def test_augment_equal_images_of_a_batch_are_changed_each_its_own_way():
    changed = augmented(rasters(same=True), EVERYTHING)
    assert len({image.tobytes() for image in changed}) == len(changed)


def test_augment_everything_off_is_the_identity():
    np.testing.assert_array_equal(augmented(rasters(), OFF), rasters())


def test_augment_flip_only_mirrors_about_half_of_the_images():
    images = rasters(200)
    changed = augmented(images, AugmentationOptions())
    flipped = [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, images, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 70 <= sum(flipped) <= 130


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_augment_shift_only_moves_by_whole_pixels_and_mirrors_the_edge(fraction):
    images = rasters(60, channels=3)
    limit = round(fraction * SIDE)
    padded = np.pad(images, ((0, 0), (limit, limit), (limit, limit), (0, 0)), mode="reflect")
    options = AugmentationOptions(horizontal_flip=False, max_shift_fraction=fraction)
    offsets = set()
    for new, old in zip(augmented(images, options), padded, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(old, new.shape)[:, :, 0]
        places = np.argwhere((windows == new).all(axis=(2, 3, 4)))
        assert len(places) == 1
        offsets.add(tuple(int(place) - limit for place in places[0]))
    rows, columns = zip(*offsets, strict=True)
    assert len(offsets) > 20 if fraction == 0.5 else len(offsets) > 10
    for moved in (rows, columns):
        assert min(moved) < 0 < max(moved)
        assert max(map(abs, moved)) <= limit


def test_augment_brightness_only_adds_one_number_to_an_image():
    images = np.full((100, 4, 4, 1), 100.0, np.float32)
    images[:, 0] += 20
    options = AugmentationOptions(horizontal_flip=False, max_brightness_delta=0.1)
    added = augmented(images, options) - images
    np.testing.assert_allclose(np.ptp(added, axis=(1, 2, 3)), 0, atol=1e-4)
    assert -25.5 <= added.min() < -20
    assert 20 < added.max() <= 25.5


def test_augment_contrast_only_scales_the_distance_from_mid_gray():
    images = np.full((100, 4, 4, 1), 127.5, np.float32)
    images[:, 0] += 100
    images[:, 1] -= 50
    options = AugmentationOptions(horizontal_flip=False, max_contrast_delta=0.2)
    changed = augmented(images, options) - 127.5
    factors = changed[:, 0, 0, 0] / 100
    np.testing.assert_allclose(changed[:, 1], np.broadcast_to(-50 * factors[:, None, None], (100, 4, 1)), rtol=1e-4)
    np.testing.assert_allclose(changed[:, 2:], 0, atol=1e-4)
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2


def test_augment_switching_one_change_on_leaves_the_others_as_they_were():
    images = np.clip(rasters(), 80, 175)
    flip = augmented(images, AugmentationOptions())
    both = augmented(images, AugmentationOptions(max_brightness_delta=0.1))
    np.testing.assert_allclose(np.ptp(both - flip, axis=(1, 2, 3)), 0, atol=1e-4)
