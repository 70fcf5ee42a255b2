from types import SimpleNamespace

import pytest
from PIL import Image

from components.errors import ReleaseError
from pipeline.config import read_config
from pipeline.console import RunView
from pipeline.run import run_pipeline

CONFIG = """
name: tiny
run: {{root: {folder}/run}}
data: {{format: image_folder, images: {folder}/images, splits: {{train: 0.5, eval: 0.5}}, split_seed: 1}}
transform: {{side: 48, channels: 1}}
trainer:
  backbone: mobilenet_v1
  alpha: 0.25
  optimizer: {{name: adam}}
  learning_rate: 0.001
  schedule: {{name: cosine}}
  batch_size: 2
  epochs: 1
gates:
  on: point
  float: {{min_accuracy: 0.0}}
  int8: {{min_accuracy: 0.0, max_accuracy_drop: 1.0}}
"""


@pytest.fixture
def config_of(tmp_path):
    """The config of a folder per class, with eight images in each."""

    def make(*classes):
        for place, name in enumerate(classes):
            folder = tmp_path / "images" / name
            folder.mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (60, 60), (30 * number, 100 * place, 0)).save(folder / f"{number}.png")
        (tmp_path / "tiny.yaml").write_text(CONFIG.format(folder=tmp_path))
        return read_config(str(tmp_path / "tiny.yaml"))

    return make


def test_run_pipeline_label_that_c_cannot_name_is_refused_before_the_worker_is_asked(config_of):
    config, worker = config_of("cat", "😀"), SimpleNamespace(run_id="unused")
    with pytest.raises(ReleaseError, match="received label='😀'") as caught, RunView() as view:
        run_pipeline(config, view, worker)
    assert "such as 'dining table'" in caught.value.expected
    assert caught.value.hint.startswith("rename the class folder")
