import io
import itertools
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageEnhance

from components.example_gen import plan
from components.example_gen.image_looks import look_at, look_at_images
from components.example_gen.near_duplicates import MAX_BITS, find_near_duplicates, group_pairs
from components.example_gen.options import ExampleGenOptions

COCO128 = Path(__file__).resolve().parents[4] / "shared/data/coco128"


def compare_all(hashes):
    """Every pair, looked at."""
    known = [(at, value) for at, value in enumerate(hashes) if value is not None and value.bit_count() > 1]
    return [
        (a, b, (x ^ y).bit_count())
        for (a, x), (b, y) in itertools.combinations(known, 2)
        if (x ^ y).bit_count() <= MAX_BITS
    ]


def assert_as_compared(hashes):
    """Every pair is one that a comparison of all finds, no group is torn, and different hashes are all compared."""
    found, every = find_near_duplicates(hashes), compare_all(hashes)
    assert found == sorted(set(found))
    assert set(found) <= set(every)
    assert sorted(group_pairs(found)) == sorted(group_pairs(every))
    first = {value: at for at, value in reversed(list(enumerate(hashes)))}
    assert {p for p in found if p[2]} == {p for p in every if p[2] and all(first[hashes[at]] == at for at in p[:2])}


def flip(value, bits):
    for bit in bits:
        value ^= 1 << int(bit)
    return value


# Pairs.


@pytest.mark.parametrize("seed", range(5))
def test_find_near_duplicates_planted_neighbours_match_a_comparison_of_all_pairs(seed):
    random = np.random.default_rng(seed)
    hashes = [int(value) for value in random.integers(0, 2**64, 150, np.uint64)]
    for distance in range(MAX_BITS + 3):
        hashes += [flip(hashes[n], random.choice(64, distance, replace=False)) for n in random.integers(0, 150, 12)]
    mixed = [hashes[n] for n in random.permutation(len(hashes))]
    pairs = find_near_duplicates(mixed)
    assert_as_compared(mixed)
    assert {bits for _, _, bits in pairs} == set(range(MAX_BITS + 1))


@pytest.mark.parametrize("distance", [MAX_BITS, MAX_BITS + 1])
def test_find_near_duplicates_limit_is_exact_wherever_the_bits_lie(distance):
    random = np.random.default_rng(distance)
    value = 0x0123456789ABCDEF
    spread = [range(at, 64, 64 // distance) for at in range(64 // distance)]
    runs = [range(at, at + distance) for at in range(64 - distance)]
    for bits in (*spread, *runs, *(random.choice(64, distance, replace=False) for _ in range(200))):
        flipped = list(bits)[:distance]
        expected = [(0, 1, distance)] if distance <= MAX_BITS else []
        assert find_near_duplicates([value, flip(value, flipped)]) == expected


@settings(max_examples=100)
@given(
    st.lists(
        st.none() | st.integers(0, 2**64 - 1) | st.integers(0, 255) | st.sampled_from([2**63, 2**64 - 1]), max_size=40
    )
)
def test_find_near_duplicates_any_hashes_match_a_comparison_of_all_pairs(hashes):
    assert_as_compared(hashes)


@pytest.mark.parametrize("hashes", [[], [5], [None, None], [0, 0, 0], [1 << 63, 1 << 63], [None, 7]])
def test_find_near_duplicates_of_nothing_to_compare_are_none(hashes):
    assert find_near_duplicates(hashes) == []


def test_find_near_duplicates_places_count_hashes_that_say_nothing():
    assert find_near_duplicates([None, 7, 0, 7]) == [(1, 3, 0)]


def test_find_near_duplicates_many_frames_of_one_scene_are_as_many_pairs():
    scene = 0x0123456789ABCDEF
    pairs = find_near_duplicates([scene] * 20_000 + [flip(scene, [3])] * 20_000)
    assert len(pairs) == 19_999 + 19_999 + 1
    assert len(group_pairs(pairs)) == 1


# Groups.


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda pair: pair[0] < pair[1]), max_size=40))
def test_group_pairs_are_the_connected_groups(pairs):
    groups = {frozenset(pair) for pair in pairs}
    while merging := next(((a, b) for a, b in itertools.combinations(groups, 2) if a & b), None):
        groups = groups - set(merging) | {merging[0] | merging[1]}
    found = group_pairs([(*pair, 0) for pair in pairs])
    assert {frozenset(group) for group in found} == groups
    assert len(found) == len(groups)
    assert found == sorted(sorted(group) for group in found)


def test_group_pairs_long_chain_is_one_group():
    assert group_pairs([(n, n + 1, 1) for n in range(5000)][::-1]) == [list(range(5001))]


# Looks.


def save(image, image_format="PNG", **options):
    data = io.BytesIO()
    image.save(data, image_format, **options)
    return data.getvalue()


def look(image, image_format="PNG", **options):
    found = look_at(save(image, image_format, **options))
    assert found is not None
    return found


def paint(seed, size=(320, 240)):
    """A picture of blurred patches with some grain, unlike that of any other seed."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(0, 200, (8, 8, 3)).astype(np.uint8))
    pixels = np.asarray(patches.resize(size, Image.Resampling.BICUBIC)) + random.normal(10, 4, (size[1], size[0], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def pictures():
    return [paint(seed) for seed in range(6)]


def test_look_at_says_size_brightness_and_contrast():
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 255
    found = look(Image.fromarray(half))
    assert (found.width, found.height) == (60, 40)
    assert (found.brightness, found.contrast) == pytest.approx((0.5, 0.5), abs=1e-6)
    flat = look(Image.new("RGB", (600, 400), (51, 51, 51)))
    assert (flat.width, flat.height) == (600, 400)
    assert (flat.brightness, flat.contrast) == pytest.approx((0.2, 0.0), abs=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_look_at_reads_every_mode(pictures, mode):
    found = look(pictures[0].convert(mode), "TIFF")
    assert (found.width, found.height) == (320, 240)
    assert 0 < found.brightness < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_look_at_thin_images_are_looked_at(size):
    assert (look(Image.new("RGB", size)).width, look(Image.new("RGB", size)).height) == size


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_look_at_cut_or_no_image_is_none(pictures, image_format):
    data = save(pictures[0], image_format)
    assert look_at(data) is not None
    for end in (0, 1, 10, len(data) // 2):
        assert look_at(data[:end]) is None
    assert look_at(b"x" + data) is None


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P6"]
)
def test_look_at_broken_bytes_are_none(data):
    assert look_at(data) is None


def test_look_at_pixels_beyond_the_limit_are_none():
    assert look_at(save(Image.new("1", (60_000, 6_000)))) is None


def test_look_at_postscript_is_not_given_to_ghostscript(tmp_path, monkeypatch):
    script = tmp_path / "gs"
    script.write_text(f"#!/bin/sh\necho 10\ntouch {tmp_path}/ran\n")
    script.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    assert look_at(save(Image.new("RGB", (20, 10)), "EPS")) is None
    assert not (tmp_path / "ran").exists()


def test_look_at_image_without_structure_has_a_hash_that_says_nothing():
    for value in (0, 1, 77, 128, 255):
        for image_format in ("PNG", "JPEG"):
            assert look(Image.new("L", (100, 37), value), image_format).hash.bit_count() <= 1


CHANGES = {
    "half": lambda image: save(image.resize((image.width // 2, image.height // 2))),
    "double": lambda image: save(image.resize((image.width * 2, image.height * 2))),
    "quarter": lambda image: save(image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX)),
    "jpeg_30": lambda image: save(image, "JPEG", quality=30),
    "jpeg_95": lambda image: save(image, "JPEG", quality=95),
    "webp": lambda image: save(image, "WEBP", quality=60),
    "brighter": lambda image: save(ImageEnhance.Brightness(image).enhance(1.2)),
    "gray": lambda image: save(image.convert("L")),
}


def distances(images, change):
    return [(look(image).hash ^ look_at(CHANGES[change](image)).hash).bit_count() for image in images]


@pytest.mark.parametrize("change", CHANGES)
def test_look_at_changed_picture_keeps_its_hash(pictures, change):
    assert max(distances(pictures, change)) <= MAX_BITS


def test_look_at_unlike_pictures_have_unlike_hashes(pictures):
    assert find_near_duplicates([look(picture).hash for picture in pictures]) == []
    mirrored = [look(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).hash for picture in pictures]
    assert min((a ^ look(b).hash).bit_count() for a, b in zip(mirrored, pictures, strict=True)) > MAX_BITS


@pytest.mark.skipif(not COCO128.exists(), reason="needs the shared coco128 set")
def test_look_at_real_photos_keep_their_hash_and_differ_from_each_other():
    paths = sorted((COCO128 / "images").iterdir())
    hashes = [found.hash for found in look_at_images([str(path) for path in paths])]
    assert find_near_duplicates(hashes) == []
    photos = [Image.open(path).convert("RGB") for path in paths[::8]]
    for change in ("half", "jpeg_30", "brighter"):
        assert max(distances(photos, change)) <= MAX_BITS


def test_look_at_images_keeps_the_order_and_reports_every_image(pictures, tmp_path):
    paths = []
    for n in range(40):
        path = tmp_path / f"{n}.png"
        path.write_bytes(b"broken" if n % 7 == 3 else save(pictures[0].resize((10 + n, 8))))
        paths.append(str(path))
    (tmp_path / "5.png").unlink()
    reports = []
    looks = list(look_at_images(paths, lambda done, total: reports.append((done, total))))
    assert [None if found is None else found.width for found in looks] == [
        None if n % 7 == 3 or n == 5 else 10 + n for n in range(40)
    ]
    assert reports == [(n, 40) for n in range(1, 41)]


# The plan.


class Classes:
    """Class folders of unlike pictures."""

    def __init__(self, root, *folders, count=12):
        self.root = root
        self.seed = 0
        for folder in folders:
            for n in range(count):
                self.seed += 1
                self.write(f"{folder}/{n}.png", save(paint(100 + self.seed, (96, 80))))

    def write(self, name, data):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def copy(self, source, name):
        """Another file that looks the same: smaller, and a JPEG."""
        with Image.open(self.root / source) as image:
            self.write(name, save(image.resize((72, 60)), "JPEG", quality=60))

    def splits(self, **changes):
        options = ExampleGenOptions(format="image_folder", images=str(self.root), **changes)
        result = plan.plan_dataset(options)
        return {image.record.file_name: image.split for image in result.records}


def test_plan_dataset_look_alikes_share_a_split_where_asked_to(tmp_path):
    classes = Classes(tmp_path / "images", "cat", "dog")
    for n in range(12):
        for copy in "abc":
            classes.copy(f"cat/{n}.png", f"cat/copy-{n}-{copy}.jpg")
    for n in range(12):
        for number, copy in enumerate("abc"):
            path = classes.root / f"cat/copy-{n}-{copy}.jpg"
            path.write_bytes(path.read_bytes() + bytes(number))  # else they would be copies, and dropped
    groups = [[f"cat/{n}.png", *(f"cat/copy-{n}-{copy}.jpg" for copy in "abc")] for n in range(12)]
    apart = classes.splits()
    assert any(len({apart[name] for name in group}) > 1 for group in groups)
    together = classes.splits(group_near_duplicates=True)
    assert together.keys() == apart.keys()
    assert all(len({together[name] for name in group}) == 1 for group in groups)
    assert {together[group[0]] for group in groups} == {"train", "eval"}
    assert all(together[name] == apart[name] for name in apart if name.startswith("dog/"))


def test_plan_dataset_look_alikes_follow_the_held_out_one(tmp_path):
    folders = [f"{split}/{label}" for split in ("train", "eval", "test") for label in ("cat", "dog")]
    classes = Classes(tmp_path / "images", *folders, count=3)
    classes.copy("eval/cat/0.png", "train/cat/like-eval.jpg")
    classes.copy("train/dog/0.png", "eval/dog/like-train.jpg")
    classes.copy("test/dog/0.png", "eval/dog/like-test.jpg")
    splits = classes.splits(group_near_duplicates=True)
    moved = {name: split for name, split in splits.items() if not name.startswith(split)}
    assert moved == {
        "train/cat/like-eval.jpg": "eval",
        "train/dog/0.png": "eval",
        "eval/dog/like-test.jpg": "test",
    }
    assert len(splits) == 21
    assert all(name.startswith(split) for name, split in classes.splits().items())


def test_plan_dataset_look_alikes_follow_the_one_that_an_id_list_names(tmp_path):
    classes = Classes(tmp_path / "images", "cat", "dog")
    classes.copy("cat/3.png", "cat/like-3.jpg")
    stated = {"split_ids": {"eval": str(tmp_path / "eval.txt")}}
    for named, other in (("cat/3.png", "cat/like-3.jpg"), ("cat/like-3.jpg", "cat/3.png")):
        (tmp_path / "eval.txt").write_text(f"{named}\ndog/7.png\n")
        assert classes.splits(**stated)[other] == "train"
        splits = classes.splits(**stated, group_near_duplicates=True)
        assert {name for name, split in splits.items() if split == "eval"} == {named, other, "dog/7.png"}


def test_plan_dataset_images_without_structure_are_not_grouped(tmp_path):
    classes = Classes(tmp_path / "images", "cat", "dog")
    for n in range(30):
        classes.write(f"cat/flat-{n}.png", save(Image.new("L", (20 + n, 30), 8 * n)))
    assert classes.splits(group_near_duplicates=True) == classes.splits()


def test_plan_dataset_images_that_cannot_be_decoded_are_left_where_they_are(tmp_path):
    classes = Classes(tmp_path / "images", "cat", "dog")
    for n in range(10):
        classes.write(f"cat/broken-{n}.png", b"broken" * (n + 1))
    assert classes.splits(group_near_duplicates=True) == classes.splits()
