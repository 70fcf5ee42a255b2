"""Sets to report on: one that is drawn, and folders of pictures made by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from components.sample_data.writer import write_sample_data
from pipeline.config import read_config
from pipeline.console import RunView
from pipeline.report.data_report import gather_data_report

CONFIG = """\
name: tiny
run: {root: ROOT}
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
SAMPLE_IMAGES = 60


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory):
    """A drawn set of 60 images; the folder of `instances.json` and `images`."""
    folder = tmp_path_factory.mktemp("sample") / "set"
    write_sample_data(folder, images=SAMPLE_IMAGES, seed=3)
    return folder


@pytest.fixture(scope="session")
def config_of(tmp_path_factory):
    """Reads a config whose section `data` is given as keywords."""
    folder = tmp_path_factory.mktemp("config")
    path = folder / "tiny.yaml"
    path.write_text(CONFIG.replace("ROOT", json.dumps(str(folder / "run"))))

    def read(*overrides, **data):
        return read_config(str(path), [f"data={json.dumps(data)}", *overrides])

    read.path = path
    return read


@pytest.fixture(scope="session")
def sample_config(sample_set, config_of):
    return config_of(annotations=str(sample_set / "instances.json"), images=str(sample_set / "images"))


@pytest.fixture(scope="session")
def report_of():
    """Gathers a report."""

    def gather(config, limit=None):
        with RunView() as view:
            return gather_data_report(config, view, limit=limit)

    return gather


@pytest.fixture(scope="session")
def sample_report(sample_config, report_of):
    return report_of(sample_config)


class Folders:
    """Writes a folder per class and split."""

    def __init__(self, root):
        self.root = root
        self._drawn = 0

    def draw(self, seed, size=(160, 120), brightness=1.0):
        """A picture of coloured clouds; another seed draws one that looks different."""
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        return picture.point(lambda value: int(value * brightness))

    def save(self, name, picture):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=92)
        return path

    def fill(self, folder, count, **look):
        """Adds pictures that look different from all others."""
        for _ in range(count):
            self.save(f"{folder}/{self._drawn:04}.jpg", self.draw(1000 + self._drawn, **look))
            self._drawn += 1


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "images")


@pytest.fixture
def folder_config(folders, config_of):
    """The config of `folders`, with other settings of `data` as keywords."""

    def make(*overrides, **data):
        return config_of(*overrides, **{"format": "image_folder", "images": str(folders.root), **data})

    return make
