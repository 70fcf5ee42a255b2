"""A tuned run's config in its release: what was trained, run again without a search."""

from components.pusher.tuned_config import tuned_config
from pipeline.config import read_config

CONFIG = """\
name: tiny
run: {root: runs}
data: {annotations: a.json, images: images}
trainer: {optimizer: {name: adam}, schedule: {name: cosine}, learning_rate: 0.003, batch_size: 32, epochs: 2}
tuner:
  space:
    trainer.learning_rate: {min: 1e-3, max: 3e-2, sampling: log}
    trainer.optimizer: {values: [{name: adam}, {name: sgd}]}
  max_trials: 7
  epochs: 1
gates: {float: {min_accuracy: 0.5}, int8: {min_accuracy: 0.5}}
"""


def test_tuned_config_is_what_was_trained_and_says_how_it_was_found(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    config = read_config(str(tmp_path / "tiny.yaml"))
    chosen = {"trainer.learning_rate": 0.0123, "trainer.optimizer": {"name": "sgd", "momentum": 0.5}}
    text = tuned_config(config.to_yaml(), chosen)
    (tmp_path / "released.yaml").write_text(text)
    released = read_config(str(tmp_path / "released.yaml"))
    assert released.tuner is None
    assert (released.trainer.learning_rate, released.trainer.optimizer.momentum) == (0.0123, 0.5)
    assert released.model_copy(update={"trainer": config.trainer, "tuner": config.tuner}) == config
    assert text.startswith("# trainer.learning_rate, trainer.optimizer: chosen by the Tuner, out of\n# tuner:\n")
    assert "#   max_trials: 7\n" in text


def test_tuned_config_without_a_tuner_is_the_config():
    assert tuned_config("a: 1\n", None) == "a: 1\n"
