import itertools
import resource

import numpy as np
import pytest

from components import pixels
from components.errors import ConfigError, StorageError
from components.trainer import input_pipeline
from components.trainer.augmentation.options import (
    Brightness,
    Contrast,
    Crop,
    CutMix,
    HorizontalFlip,
    MixUp,
    Shift,
)
from components.trainer.input_pipeline import DataOrder, Split, evaluation_batches, read_split, training_batches

COUNT = 22
SIDE = 8
MOVED = (
    HorizontalFlip(name="horizontal_flip"),
    Shift(name="shift", max_fraction=0.3),
    Brightness(name="brightness", max_delta=0.5),
    Contrast(name="contrast", max_delta=0.5),
)


@pytest.fixture(scope="module")
def data():
    """Images that are told apart by their first pixel, and their labels."""
    rasters = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 1)).astype(np.uint8)
    rasters[:, 0, 0, 0] = np.arange(COUNT)
    return rasters, np.arange(COUNT) % 2


@pytest.fixture(scope="module")
def files(write_transformed, data, tmp_path_factory):
    return write_transformed(tmp_path_factory.mktemp("examples"), *data, counts=[10, 0, 12])


@pytest.fixture
def split(files, tmp_path):
    return read_split(files, (SIDE, SIDE, 1), tmp_path / "rasters")


def take(split, batches, **options):
    settings = {
        "batch_size": 5,
        "label_count": 2,
        "augmentation": "none",
        "seed": 1,
        "shape": (SIDE, SIDE, 1),
        **options,
    }
    return list(itertools.islice(training_batches(split, **settings).as_numpy_iterator(), batches))


def numbers(images):
    """Which images these are, by their first pixel."""
    return [round((float(value) + 1) * pixels.HALF_RANGE) for value in images[:, 0, 0, 0]]


def epochs(split, count, **options):
    """The order of the images in each of the first epochs."""
    images = [n for batch, _ in take(split, -(-count * COUNT // 5), **options) for n in numbers(batch)]
    return [images[at : at + COUNT] for at in range(0, count * COUNT, COUNT)]


def test_read_split_decodes_the_images_of_all_files(split, data):
    rasters, labels = data
    assert split.count == COUNT
    np.testing.assert_array_equal(split.rasters, rasters)
    np.testing.assert_array_equal(split.labels, labels)
    assert split.objects is None


def test_read_split_holds_the_boxes_of_each_image(write_transformed, data, tmp_path):
    boxes = [np.linspace(0.1, 0.8, 4 * (number % 3)).reshape(-1, 4) for number in range(COUNT)]
    files = write_transformed(tmp_path / "examples", *data, counts=[10, 12], boxes=boxes)
    found = read_split(files, (SIDE, SIDE, 1), tmp_path / "rasters").objects
    assert found.shape == (COUNT, 8, 4)
    for image, expected in zip(found, boxes, strict=True):
        np.testing.assert_allclose(image[: len(expected)], expected)
        assert not image[len(expected) :].any()


def test_evaluation_batches_are_one_pass_in_file_order_every_time(split, data):
    batches = evaluation_batches(split, batch_size=5)
    assert int(batches.cardinality()) == 5
    for _ in range(2):
        found = list(batches.as_numpy_iterator())
        assert [len(images) for images in found] == [5, 5, 5, 5, 2]
        images = np.concatenate(found)
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, data[0] / 127.5 - 1, atol=1e-6)


def test_training_batches_without_augmentation_stay_on_the_8_bit_grid(split, data):
    images = np.concatenate([images for images, _ in take(split, 9)])
    assert images.min() >= -1
    assert images.max() <= 1
    levels = (images.astype(np.float64) + 1) * 127.5
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    rasters, _ = data
    for image, number in zip(images, numbers(images), strict=True):
        np.testing.assert_allclose(image, rasters[number] / 127.5 - 1, atol=1e-6)


def test_training_batches_are_whole_and_go_on_over_the_end_of_an_epoch(split):
    batches = take(split, 30)
    assert {images.shape for images, _ in batches} == {(5, SIDE, SIDE, 1)}
    assert {(one_hot.shape, one_hot.dtype.name) for _, one_hot in batches} == {((5, 2), "float32")}


def test_training_batches_larger_than_the_split_are_refused(split):
    with pytest.raises(ConfigError, match=r"trainer\.batch_size=23 is more than the 22 images") as caught:
        take(split, 1, batch_size=23)
    assert "--set trainer.batch_size=5" in caught.value.hint


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_training_batches_of_one_label_cannot_be_mixed(split, name):
    alike = Split(split.rasters, np.ones(COUNT, np.int64))
    change = {"mixup": MixUp, "cutmix": CutMix}[name](name=name, alpha=1.0)
    message = rf"trainer\.augmentation: {name}: all 22 images of the train split have the label 1"
    with pytest.raises(ConfigError, match=message) as caught:
        take(alike, 1, augmentation=(change,))
    assert caught.value.expected == "training images of two labels or more"


def test_training_batches_of_larger_colour_rasters_are_the_models_size_and_gray():
    colours = np.full((COUNT, 2 * SIDE, 2 * SIDE, 3), (250, 0, 0), np.uint8)
    (images, _), *_ = take(Split(colours, np.arange(COUNT) % 2), 1, augmentation=MOVED[:2])
    assert images.shape == (5, SIDE, SIDE, 1)
    np.testing.assert_allclose(images, 0.299 * 250 / 127.5 - 1, atol=1e-5)


def test_training_batches_crop_around_the_object_of_each_image():
    """Objects in the lower right corner, of which no crop may show less than half."""
    rasters = np.zeros((COUNT, 32, 32, 1), np.uint8)
    rasters[:, 24:, 24:] = 255
    objects = np.zeros((COUNT, 2, 4), np.float32)
    objects[:, 0] = 0.75, 0.75, 1.0, 1.0
    crop = (Crop(name="crop", min_area_fraction=0.05, max_area_fraction=0.2),)
    settings = {"augmentation": crop, "batch_size": COUNT, "shape": (32, 32, 1)}
    (kept, _), *_ = take(Split(rasters, np.arange(COUNT) % 2, objects), 1, **settings)
    (free, _), *_ = take(Split(rasters, np.arange(COUNT) % 2), 1, **settings)
    assert ((kept > 0.99).sum(axis=(1, 2, 3)) >= 32).all()
    assert ((free > 0.99).sum(axis=(1, 2, 3)) == 0).any()


def test_training_batches_show_every_image_once_an_epoch_in_another_order(split):
    orders = epochs(split, 3)
    for order in orders:
        assert sorted(order) == list(range(COUNT))
    assert len({tuple(order) for order in [*orders, range(COUNT)]}) == 4


def test_training_batches_keep_image_and_label_together(split):
    for images, one_hot in take(split, 9):
        assert [number % 2 for number in numbers(images)] == one_hot.argmax(axis=1).tolist()


def test_training_batches_augmented_keep_their_labels(split):
    plain, changed = take(split, 9), take(split, 9, augmentation=MOVED)
    for (images, labels), (changed_images, changed_labels) in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(labels, changed_labels)
        assert not np.array_equal(images, changed_images)
        assert np.abs(changed_images).max() <= 1


def test_training_batches_augment_an_image_anew_in_every_epoch(split):
    augmentation = (Brightness(name="brightness", max_delta=0.3),)
    means = [images.mean() for images, _ in take(split, 4, batch_size=COUNT, augmentation=augmentation)]
    assert len({round(float(mean), 6) for mean in means}) == 4


@pytest.mark.parametrize("first_step", [1, 4, 5, 13])
@pytest.mark.parametrize("balanced", [False, True])
def test_training_batches_from_a_later_step_are_those_of_the_whole_stream(split, first_step, balanced):
    settings = {
        "augmentation": (*MOVED, MixUp(name="mixup", alpha=0.5)),
        "balanced": balanced,
    }
    whole = take(split, 15, **settings)[first_step:]
    for found, expected in zip(take(split, 15 - first_step, first_step=first_step, **settings), whole, strict=True):
        for part, expected_part in zip(found, expected, strict=True):
            np.testing.assert_array_equal(part, expected_part)


def test_data_order_balanced_draws_labels_equally_and_every_image_of_each_before_one_again():
    labels = np.array([0] * 10 + [2] * 3)
    order = DataOrder(labels, 6, seed=1, balanced=True)
    drawn = np.concatenate([order.batch(step) for step in range(10)])
    assert np.bincount(labels[drawn], minlength=3).tolist() == [30, 0, 30]
    for label, size in ((0, 10), (2, 3)):
        row = drawn[labels[drawn] == label]
        passes = [tuple(row[at : at + size]) for at in range(0, 30, size)]
        assert all(sorted(each) == np.flatnonzero(labels == label).tolist() for each in passes)
        assert len(set(passes)) > 1


def test_training_batches_same_seed_gives_the_same_and_another_gives_another_order(files, tmp_path):
    def stream(seed):
        split = read_split(files, (SIDE, SIDE, 1), tmp_path / "rasters")
        return b"".join(images.tobytes() for images, _ in take(split, 9, seed=seed, augmentation=MOVED))

    assert stream(1) == stream(1) != stream(2)


@pytest.mark.parametrize("spare", [-1, 0])
def test_read_split_too_large_for_memory_is_the_same_from_a_file(files, split, tmp_path, monkeypatch, spare):
    monkeypatch.setattr(input_pipeline, "MEMORY_LIMIT_BYTES", COUNT * SIDE * SIDE + spare)
    path = tmp_path / "made" / "rasters"
    found = read_split(files, (SIDE, SIDE, 1), path)
    assert path.exists() == (spare < 0)
    np.testing.assert_array_equal(found.rasters, split.rasters)
    assert [sorted(order) for order in epochs(found, 2)] == [list(range(COUNT))] * 2


def test_read_split_without_room_for_its_file_is_a_storage_error(files, tmp_path, monkeypatch):
    monkeypatch.setattr(input_pipeline, "MEMORY_LIMIT_BYTES", 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(StorageError, match="the decoded rasters of a split need 1,408 bytes"):
            read_split(files, (SIDE, SIDE, 1), tmp_path / "rasters")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "rasters").exists()
