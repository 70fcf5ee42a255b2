"""`vww augment preview` as a person meets it, on a small drawn set."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components import features
from components.errors import StorageError
from components.example_gen.plan import plan_dataset
from components.rasters import rasterize
from components.sample_data.writer import write_sample_data
from pipeline.augment_preview import Row, augment_images, write_sheet
from pipeline.cli import main
from pipeline.config import read_config

CONFIG = """\
name: tiny
run: {root: ROOT}
data: {annotations: SET/instances.json, images: SET/images}
transform: {side: 32}
trainer:
  optimizer: {name: adam}
  schedule: {name: cosine}
  learning_rate: 0.003
  batch_size: 32
  epochs: 2
gates:
  float: {min_accuracy: 0.5}
  int8: {min_accuracy: 0.5}
"""
LIST = "trainer.augmentation=[{name: horizontal_flip}, {name: crop, min_area_fraction: 0.2}]"
PROBE = """
import sys
from pipeline.cli import main
sys.argv = ["vww", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print("exit code", end.code, file=sys.stderr)
print("imported:", *(name for name in ("tensorflow", "keras", "tfx") if name in sys.modules), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preview")
    write_sample_data(folder / "set", images=40, seed=3)
    path = folder / "tiny.yaml"
    path.write_text(CONFIG.replace("ROOT", json.dumps(str(folder / "run"))).replace("SET", str(folder / "set")))
    return path


@pytest.fixture
def command(config_file, monkeypatch, capfd):
    """Runs `vww augment preview` on the set; gives exit code, stdout and stderr."""
    on_interrupt = signal.getsignal(signal.SIGINT)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vww", "augment", "preview", str(config_file), *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return (code, *capfd.readouterr())

    yield run
    signal.signal(signal.SIGINT, on_interrupt)


def test_command_writes_a_sheet_and_tensorboard_images(command, tmp_path):
    sheet, events = tmp_path / "new" / "sheet.jpg", tmp_path / "events"
    code, stdout, stderr = command("--set", LIST, "--images", 4, "--columns", 3, "-o", sheet, "--tensorboard", events)
    assert (code, stdout.splitlines()) == (0, [str(sheet)]), stderr
    with Image.open(sheet) as image:
        assert image.size[0] == 4 * 148 + 4
        assert image.size[1] > 4 * 148
    accumulator = EventAccumulator(str(events), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["tensors"]
    assert sorted(tag.split("/")[0] for tag in tags) == ["not-person", "not-person", "person", "person"]
    (shown,) = accumulator.Tensors(tags[0])
    assert len(shown.tensor_proto.string_val) == 2 + 1 + 3  # width, height, the image and its versions


def test_augment_images_shows_training_images_of_all_labels_as_the_model_sees_them(config_file):
    config = read_config(str(config_file), [LIST, "transform.training_raster={side: 48, channels: 3}"])
    plan = plan_dataset(config.data)
    rows = augment_images(config, plan, images=6, versions=2)
    records = {image.record.source_id: image for image in plan.records}
    assert [row.label for row in rows] == ["person", "not-person"] * 3
    for row in rows:
        image = records[row.source_id]
        assert image.split == features.TRAIN
        np.testing.assert_array_equal(row.raster, rasterize(tf.io.read_file(image.path), 32, 1))
        assert bool(len(row.boxes_yxyx)) == (row.label == "person")
        assert row.versions.shape == (2, 32, 32, 1)
        assert row.captions == (row.label, row.label)


def test_augment_images_of_a_mix_says_what_share_each_label_has(config_file):
    config = read_config(str(config_file), ["trainer.augmentation=[{name: mixup, alpha: 20.0}]"])
    rows = augment_images(config, plan_dataset(config.data), images=8, versions=3)
    captions = {caption for row in rows for caption in row.captions}
    assert any("person\n" in caption and "% not-person" in caption for caption in captions)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "trainer.augmentation: received none; there is nothing to preview"),
        (["--set", "trainer.augmentation=slim"], 2, "--set transform.training_raster='{side: 32, channels: 3}'"),
        (["--set", LIST, "--set", "data.images=/no/such/folder"], 1, "/no/such/folder"),
    ],
)
def test_command_mistakes_are_named_before_tensorflow_is_imported(config_file, tmp_path, arguments, code, words):
    finished = subprocess.run(
        [sys.executable, "-c", PROBE, "augment", "preview", str(config_file), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert words in finished.stderr
    assert finished.stderr.splitlines()[-2:] == [f"exit code {code}", "imported:"]
    assert finished.stdout == ""


def test_write_sheet_where_nothing_can_be_written_is_a_storage_error():
    gray = np.zeros((32, 32, 1), np.uint8)
    row = Row("1", "person", gray, np.zeros((0, 4), np.float32), gray[np.newaxis], ("person",))
    with pytest.raises(StorageError, match="/dev/null"):
        write_sheet([row], Path("/dev/null/sheet.jpg"))
