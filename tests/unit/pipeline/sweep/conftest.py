import pytest

CONFIG = """\
name: tiny
run: {root: ROOT/run}
data: {annotations: ROOT/no.json, images: ROOT/no}
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


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG.replace("ROOT", str(tmp_path)))
    return str(path)
