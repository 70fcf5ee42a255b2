"""The config section `tuner`: what may be searched, and every space that may not."""

import pytest

from components.errors import ConfigError
from components.trainer.options import SGD, Adam
from components.trainer.tuner_options import apply_values
from pipeline.config import read_config

CONFIG = """\
name: tiny
run: {root: runs}
data: {annotations: a.json, images: images}
trainer: {optimizer: {name: adam}, schedule: {name: cosine}, learning_rate: 0.003, batch_size: 32, epochs: 2}
gates: {float: {min_accuracy: 0.5}, int8: {min_accuracy: 0.5}}
"""


@pytest.fixture
def read(tmp_path):
    def make(*overrides):
        (tmp_path / "tiny.yaml").write_text(CONFIG)
        return read_config(str(tmp_path / "tiny.yaml"), overrides)

    return make


def tuner(space, more="max_trials: 2, epochs: 1"):
    return f"tuner={{space: {space}, {more}}}"


def test_tuner_section_is_left_out_by_default(read):
    assert read().tuner is None


def test_tuner_space_takes_ranges_numbers_words_and_sections(read):
    space = (
        "{trainer.learning_rate: {min: 1e-3, max: 3e-2, sampling: log}, "
        "trainer.batch_size: {min: 16, max: 64, step: 16}, "
        "trainer.optimizer: {values: [{name: adam}, {name: sgd, momentum: 0.5}]}, "
        "trainer.ema_decay: {values: [null, 0.99]}}"
    )
    found = read(tuner(space)).tuner.space
    assert not found["trainer.learning_rate"].is_whole
    assert found["trainer.batch_size"].is_whole
    assert found["trainer.optimizer"].values[1] == {"name": "sgd", "momentum": 0.5}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{}", "tuner.space: dictionary should have at least 1 item"),
        ("{transform.side: {values: [48, 96]}}", "tuner.space: transform.side is not below trainer"),
        ("{transform.side: {values: [48, 96]}}", "vww sweep --over transform.side="),
        ("{trainer.lerning_rate: {values: [0.1]}}", "trainer.lerning_rate cannot be 0.1: there is no such key"),
        ("{trainer.learning_rate: {min: -1, max: 1}}", "trainer.learning_rate cannot be -1: input should be greater"),
        ("{trainer.batch_size: {values: [16, many]}}", 'trainer.batch_size cannot be "many"'),
        ("{trainer.alpha: {values: [0.25, 0.5]}}", "trainer.alpha cannot be searched: it decides the footprint"),
        ("{trainer.backbone: {values: [mobilenet_v2]}}", "trainer.backbone cannot be searched: it decides"),
        ("{trainer.activation: {values: [relu]}}", "trainer.activation cannot be searched: it decides"),
        ("{trainer.border: {values: [black]}}", "trainer.border cannot be searched: it decides"),
        ("{trainer.ema_decay: {values: [0.5, 1.0]}}", "trainer.ema_decay cannot be 1.0: input should be less than 1"),
        ("{trainer.epochs: {values: [1, 2]}}", "trainer.epochs cannot be searched: a trial has tuner.epochs"),
        ("{trainer.best_by: {values: [{metric: auc}]}}", "trials are compared by it"),
        ("{trainer.initial_weights: {values: [a.h5]}}", "sweep them"),
        (
            "{trainer.optimizer.beta_1: {values: [0.8]}, trainer.optimizer: {values: [{name: adam}]}}",
            "tuner.space: trainer.optimizer.beta_1 is a part of trainer.optimizer; search one of them",
        ),
        ("{trainer.dropout: {min: 0.5, max: 0.1}}", "min must be below max, received 0.5 and 0.1"),
        ("{trainer.dropout: {min: 0, max: 0.1, sampling: log}}", "min must be above 0, received 0"),
        ("{trainer.dropout: {min: 1e-3, max: 0.1, sampling: log, step: 1e-3}}", "must be above 1, received 0.001"),
        ("{trainer.batch_size: {min: 1, max: 10, step: 0.5}}", "step must be whole, received 0.5"),
        ("{trainer.dropout: {min: 0.1}}", "either values, or both min and max"),
        ("{trainer.dropout: {values: [0.1], max: 0.2}}", "either values, or min and max"),
        ("{trainer.dropout: {values: []}}", "at least 1 item"),
        ("{trainer.dropout: {value: [0.1]}}", "unknown key; did you mean values?"),
    ],
)
def test_tuner_space_that_cannot_be_searched_is_refused(read, space, message):
    with pytest.raises(ConfigError) as caught:
        read(tuner(space))
    assert message.lower() in str(caught.value).lower()


DETECTION = ("task=detection", "data.category=[a, b]", "gates={float: {min_ap50: 0.5}, int8: {min_ap50: 0.5}}")


def test_tuner_space_of_a_detector_takes_what_it_learns_from(read):
    space = (
        "{trainer.detector.loss.gamma: {min: 1.0, max: 3.0}, trainer.detector.match_iou: {values: [0.4, 0.5]}, "
        "trainer.detector.class_prior: {min: 0.01, max: 0.1, sampling: log}}"
    )
    assert set(read(*DETECTION, tuner(space)).tuner.space) == {
        "trainer.detector.loss.gamma", "trainer.detector.match_iou", "trainer.detector.class_prior",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trainer.detector.anchors.scales", "[0.2, 0.3]"),
        ("trainer.detector.anchors", "{min_scale: 0.1}"),
        ("trainer.detector.outputs", "per_map"),
        ("trainer.detector.extra_filters", "[64]"),
        ("trainer.detector", "{pyramid: ssd}"),
    ],
)
def test_tuner_space_of_a_detector_leaves_its_network_alone(read, path, value):
    with pytest.raises(ConfigError, match=rf"{path} cannot be searched: it decides the footprint"):
        read(*DETECTION, tuner(f"{{{path}: {{values: [{value}]}}}}"))


def test_tuner_space_with_saturation_needs_colour_to_train_on(read):
    space = tuner("{trainer.augmentation: {values: [none, slim]}}")
    with pytest.raises(ConfigError, match=r'augmentation cannot be "slim": .*saturation needs colour'):
        read(space)
    for colour in ("transform.channels=3", "transform.training_raster={side: 96, channels: 3}"):
        assert read(space, colour).tuner.space["trainer.augmentation"].values == ("none", "slim")


@pytest.mark.parametrize("more", ["max_trials: 0, epochs: 1", "max_trials: 1, epochs: 0", "epochs: 1", "max_trials: 1"])
def test_tuner_without_a_budget_is_refused(read, more):
    with pytest.raises(ConfigError, match=r"tuner\.(max_trials|epochs)"):
        read(tuner("{trainer.dropout: {values: [0.1]}}", more))


def test_tuner_beside_stages_is_refused(read):
    with pytest.raises(ConfigError, match=r"trainer\.stages have epochs of their own"):
        read(
            "trainer.epochs=null",
            "trainer.learning_rate=null",
            "trainer.stages=[{train_from: all, epochs: 1, learning_rate: 0.1}]",
            tuner("{trainer.dropout: {values: [0.1]}}"),
        )


def test_apply_values_changes_numbers_and_whole_sections(read):
    options = read().trainer
    changed = apply_values(
        options, {"trainer.learning_rate": 0.5, "trainer.optimizer": {"name": "sgd"}, "trainer.optimizer.momentum": 0.1}
    )
    assert (changed.learning_rate, changed.optimizer) == (0.5, SGD(name="sgd", momentum=0.1))
    assert options.optimizer == Adam(name="adam")
    assert apply_values(options, {}) == options
