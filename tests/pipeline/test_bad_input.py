"""Images as they come off the internet, through the real nodes from CocoExampleGen to Transform."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from components import features
from components.dataset import QUARANTINE_FILE, DatasetSummary
from components.errors import DataError
from components.rasters import rasterize

# What is done to an image of the sample set, by its id; all of them train, for the eval split is small.
GOOD = {"plain": 101, "png_named_jpg": 102, "cmyk": 103, "gray": 104, "progressive": 105, "palette_gif": 106}
BAD_BYTES = {"truncated": 107, "size_mismatch": 108, "not_an_image": 109, "truncated_header": 110}
BAD_RECORDS = {"missing_file": 111, "bad_size": 112}


def encode(image, kind):
    buffer = io.BytesIO()
    options = {"progressive": True} if kind == "progressive" else {}
    converted = image.convert({"cmyk": "CMYK", "gray": "L", "palette_gif": "P"}.get(kind, "RGB"))
    converted.save(buffer, {"png_named_jpg": "PNG", "palette_gif": "GIF"}.get(kind, "JPEG"), **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def crafted(sample_set, tmp_path_factory):
    """The sample set with one image for every kind of trouble."""
    folder = tmp_path_factory.mktemp("crafted") / "set"
    shutil.copytree(sample_set, folder)
    document = json.loads((folder / "instances.json").read_text())
    entries = {entry["id"]: entry for entry in document["images"]}
    path = {number: folder / "images" / entry["file_name"] for number, entry in entries.items()}
    for kind, number in GOOD.items():
        path[number].write_bytes(encode(Image.open(io.BytesIO(path[number].read_bytes())), kind))
    whole = path[BAD_BYTES["truncated"]].read_bytes()
    path[BAD_BYTES["truncated"]].write_bytes(whole[: len(whole) // 2])
    path[BAD_BYTES["truncated_header"]].write_bytes(path[BAD_BYTES["truncated_header"]].read_bytes()[:100])
    path[BAD_BYTES["not_an_image"]].write_text("<html>404 Not Found</html>")
    entries[BAD_BYTES["size_mismatch"]]["width"] += 1
    path[BAD_RECORDS["missing_file"]].unlink()
    entries[BAD_RECORDS["bad_size"]]["height"] = 0
    document["annotations"] += [
        {"id": 90001, "image_id": 10**9, "category_id": 1, "area": 9.0, "bbox": [1, 1, 3, 3], "iscrowd": 0},
        {"id": 90002, "image_id": 101, "category_id": 12, "area": 9.0, "bbox": [1, 1, 3, 3], "iscrowd": 0},
        {"id": 90003, "image_id": 101, "category_id": 18, "area": 9.0, "bbox": [1, 1, -3, 3], "iscrowd": 0},
    ]
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


class Ingested:
    """What the nodes up to Transform made of the crafted set."""

    def __init__(self, root):
        import tensorflow as tf

        def newest(node, key):
            return max((root / "artifacts" / node / key).iterdir(), key=lambda path: int(path.name))

        def read(folder, compression):
            files = sorted(str(file) for file in folder.glob("Split-*/*"))
            records = tf.data.TFRecordDataset(files, compression_type=compression)
            return [tf.train.Example.FromString(r.numpy()).features.feature for r in records]

        folder = newest("CocoExampleGen", "examples")
        self.summary = DatasetSummary.read(str(folder))
        self.quarantine = [json.loads(line) for line in (folder / QUARANTINE_FILE).read_text().splitlines()]
        self.raw = {int(e[features.SOURCE_ID].bytes_list.value[0]): e for e in read(folder, "")}
        transformed = read(newest("Transform", "transformed_examples"), "GZIP")
        self.rasters = {
            int(e[features.TRANSFORMED_SOURCE_ID].bytes_list.value[0]): (
                tf.io.parse_tensor(e[features.RASTER].bytes_list.value[0], tf.uint8).numpy(),
                e[features.TRANSFORMED_LABEL].int64_list.value[0],
            )
            for e in transformed
        }


@pytest.fixture(scope="module")
def ingested(crafted, warm_run, tiny_config, tmp_path_factory):
    pytest.importorskip("tensorflow")
    root = tmp_path_factory.mktemp("ingested") / "run"
    config = tiny_config(crafted, root, "data.max_quarantined_fraction=0.1")
    assert warm_run(config, until="Transform").ran[-1] == "Transform"
    return Ingested(root)


def test_example_gen_bad_images_are_quarantined_with_their_reason(ingested):
    found = {int(line["id"]): line["reason"] for line in ingested.quarantine if line["kind"] == "image"}
    assert found == {
        BAD_BYTES["truncated"]: "truncated",
        BAD_BYTES["truncated_header"]: "truncated",
        BAD_BYTES["size_mismatch"]: "size_mismatch",
        BAD_BYTES["not_an_image"]: "not_an_image",
        BAD_RECORDS["missing_file"]: "missing_file",
        BAD_RECORDS["bad_size"]: "bad_size",
    }
    assert all(line["detail"] for line in ingested.quarantine)


def test_example_gen_bad_annotations_are_quarantined_with_their_reason(ingested):
    found = {line["id"]: line["reason"] for line in ingested.quarantine if line["kind"] == "annotation"}
    assert found == {"90001": "unknown_image", "90002": "unknown_category", "90003": "bad_box"}


def test_example_gen_every_image_is_written_once_or_quarantined(ingested):
    quarantined = {int(line["id"]) for line in ingested.quarantine if line["kind"] == "image"}
    assert set(ingested.raw) | quarantined == set(range(1, 121))
    assert not set(ingested.raw) & quarantined
    assert set(ingested.rasters) == set(ingested.raw)
    assert sum(sum(counts.values()) for counts in ingested.summary.counts.values()) == len(ingested.raw)
    assert sum(ingested.summary.quarantined.values()) == len(ingested.quarantine)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [("plain", "jpeg"), ("gray", "jpeg"), ("progressive", "jpeg"), ("png_named_jpg", "png"), ("cmyk", "png"),
     ("palette_gif", "png")],
)  # fmt: skip
def test_example_gen_odd_image_is_kept_in_a_format_that_tensorflow_decodes(ingested, crafted, kind, stored):
    import tensorflow as tf

    example = ingested.raw[GOOD[kind]]
    encoded = example[features.ENCODED].bytes_list.value[0]
    assert example[features.FORMAT].bytes_list.value[0].decode() == stored
    decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    size = example[features.HEIGHT].int64_list.value[0], example[features.WIDTH].int64_list.value[0]
    assert tuple(decoded.shape) == (*size, 3)
    # The same picture, but for what a JPEG decoder may round, or CMYK's other white.
    name = example[features.FILENAME].bytes_list.value[0].decode()
    original = np.asarray(Image.open(crafted / "images" / name).convert("RGB"), np.int16)
    assert np.abs(decoded.numpy().astype(np.int16) - original).mean() < 2


def test_example_gen_summary_counts_the_images_that_were_encoded_again(ingested):
    assert ingested.summary.reencoded == 2  # CMYK and GIF


def test_transform_rasters_are_those_of_the_eager_function(ingested):
    import tensorflow as tf

    assert len(ingested.raw) > 100
    for number, example in ingested.raw.items():
        raster, label = ingested.rasters[number]
        eager = rasterize(tf.constant(example[features.ENCODED].bytes_list.value[0]), 32, 1)
        np.testing.assert_array_equal(raster, eager, err_msg=f"image {number}")
        assert label == example[features.LABEL].int64_list.value[0]


def test_example_gen_more_bad_bytes_than_allowed_stop_the_run_and_name_the_images(
    crafted, warm_run, tiny_config, tmp_path
):  # fmt: skip
    # 2 of 120 lie in the records, 4 come to light when the bytes are read.
    config = tiny_config(crafted, tmp_path / "run", "data.max_quarantined_fraction=0.03")
    with pytest.raises(DataError) as caught:
        warm_run(config)
    message = str(caught.value)
    assert "6 of 120 images are bad (5.0%): truncated 2" in message
    assert f"image {BAD_BYTES['truncated']}: truncated, " in message
    assert "expected: at most 3 % (data.max_quarantined_fraction)" in message
    assert not (tmp_path / "run" / "releases").exists()


def test_example_gen_image_deleted_after_the_plan_is_quarantined_not_lost(
    sample_set, warm_run, tiny_config, tmp_path
):  # fmt: skip
    shutil.copytree(sample_set, tmp_path / "set")
    config = tiny_config(tmp_path / "set", tmp_path / "run")
    doomed = sorted((tmp_path / "set" / "images").iterdir())[4]

    def on_event(event, worker):
        if event.kind == "node_started" and event.node == "CocoExampleGen":
            doomed.unlink()

    warm_run(config, on_event=on_event, until="CocoExampleGen")
    (folder,) = (tmp_path / "run" / "artifacts" / "CocoExampleGen" / "examples").iterdir()
    (line,) = [json.loads(line) for line in (folder / QUARANTINE_FILE).read_text().splitlines()]
    assert (line["id"], line["reason"]) == ("5", "missing_file")
