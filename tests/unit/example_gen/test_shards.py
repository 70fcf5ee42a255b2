import random

import pytest

from components.example_gen.image_records import ImageRecord
from components.example_gen.plan import LabeledImage
from components.example_gen.shards import SHARD_BYTES, cut_shards


def images(count, size_bytes=10, first=0):
    return [
        LabeledImage(
            record=ImageRecord(n, f"{n}.jpg", 10, 10, ()),
            split="eval" if n % 5 == 0 else "train",
            label=n % 2,
            bucket="none",
            path=f"/images/{n}.jpg",
            size_bytes=size_bytes,
        )
        for n in range(first, first + count)
    ]


def ids(shard):
    return [image.record.id for image in shard.images]


def test_cut_shards_puts_every_image_into_one_shard_of_its_split():
    shards = cut_shards(images(100), seed=0, shard_bytes=55)
    assert sorted(n for shard in shards for n in ids(shard)) == list(range(100))
    assert all(image.split == shard.split for shard in shards for image in shard.images)


def test_cut_shards_gives_the_same_for_any_order_of_the_images():
    shuffled = images(100)
    random.Random(0).shuffle(shuffled)
    assert cut_shards(shuffled, seed=3, shard_bytes=55) == cut_shards(images(100), seed=3, shard_bytes=55)


def test_cut_shards_fills_every_shard_but_the_last_of_a_split():
    shards = cut_shards(images(100), seed=0, shard_bytes=55)
    for split, total in (("eval", 20), ("train", 80)):
        counts = [len(shard.images) for shard in shards if shard.split == split]
        assert counts[:-1] == [6] * (len(counts) - 1)  # the first number of tens that reaches 55
        assert 0 < counts[-1] <= 6
        assert sum(counts) == total


def test_cut_shards_small_set_is_one_shard_a_split():
    shards = cut_shards(images(100), seed=0)
    assert [shard.file_name for shard in shards] == [
        "Split-eval/data_tfrecord-00000-of-00001",
        "Split-train/data_tfrecord-00000-of-00001",
    ]
    assert SHARD_BYTES == 128 * 2**20


def test_cut_shards_names_count_up_to_the_splits_own_number():
    shards = [shard for shard in cut_shards(images(100), seed=0, shard_bytes=200) if shard.split == "train"]
    assert [shard.file_name for shard in shards] == [f"Split-train/data_tfrecord-{n:05d}-of-00004" for n in range(4)]


@pytest.mark.parametrize("shard_bytes", [1, 10])
def test_cut_shards_image_of_a_whole_shard_stands_alone(shard_bytes):
    assert [len(shard.images) for shard in cut_shards(images(10), seed=0, shard_bytes=shard_bytes)] == [1] * 10


def test_cut_shards_order_is_shuffled_by_the_seed():
    orders = [ids(cut_shards(images(100), seed=seed)[1]) for seed in range(3)]
    assert all(sorted(order) != order for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_cut_shards_added_images_leave_the_others_in_their_order():
    before = ids(cut_shards(images(50), seed=0)[1])
    after = ids(cut_shards(images(100), seed=0)[1])
    assert [n for n in after if n < 50] == before


def test_cut_shards_of_nothing_is_nothing():
    assert cut_shards([], seed=0) == []
