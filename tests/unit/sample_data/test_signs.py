import json
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from components.sample_data.sign_scenes import MIN_SIDE
from components.sample_data.writer import write_sample_data

IMAGES = 80
NAMES = ["stop", "yield", "speed limit 50", "no entry", "pedestrian crossing"]


@pytest.fixture(scope="module")
def sign_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signs") / "set"
    write_sample_data(folder, images=IMAGES, seed=5, which="signs")
    return folder


@pytest.fixture(scope="module")
def document(sign_set):
    return json.loads((sign_set / "instances.json").read_text())


def test_write_sample_data_signs_has_five_categories_all_of_them_drawn(document):
    assert [(entry["id"], entry["name"]) for entry in document["categories"]] == list(enumerate(NAMES, start=1))
    assert set(Counter(a["category_id"] for a in document["annotations"])) == {1, 2, 3, 4, 5}


def test_write_sample_data_signs_some_images_have_none_some_several(document):
    signs = Counter(a["image_id"] for a in document["annotations"])
    counts = Counter(signs[image["id"]] for image in document["images"])
    assert 0.05 * IMAGES < counts[0] < 0.3 * IMAGES
    assert sum(counts[number] for number in counts if number > 1) > 0.25 * IMAGES


def test_write_sample_data_signs_boxes_lie_inside_and_vary_in_size(document):
    sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
    shares = []
    for a in document["annotations"]:
        left, top, width, height = a["bbox"]
        assert 0 <= left < left + width <= sizes[a["image_id"]][0]
        assert 0 <= top < top + height <= sizes[a["image_id"]][1]
        assert 0.3 * width * height < a["area"] <= width * height
        shares.append(max(width, height) / min(sizes[a["image_id"]]))
    assert min(shares) < 2 * MIN_SIDE
    assert max(shares) > 0.4


def test_write_sample_data_signs_pixels_in_a_box_are_those_of_the_sign(sign_set, document):
    """A sign stands out: with it, the colours of its box differ from those around it more than any two places do."""
    contrasts = []
    files = {image["id"]: image["file_name"] for image in document["images"]}
    for a in document["annotations"]:
        with Image.open(sign_set / "images" / files[a["image_id"]]) as image:
            pixels = np.asarray(image.convert("RGB")).astype(float)
        left, top, width, height = map(int, a["bbox"])
        contrasts.append(pixels[top : top + height, left : left + width].std() / pixels.std())
    assert np.median(contrasts) > 0.7


def test_write_sample_data_signs_same_seed_gives_same_bytes_in_any_number_of_processes(sign_set, tmp_path):
    write_sample_data(tmp_path / "again", images=IMAGES, seed=5, which="signs", workers=2)
    one, other = (
        {path.name: zlib.crc32(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
        for folder in (sign_set, tmp_path / "again")
    )
    assert one == other
