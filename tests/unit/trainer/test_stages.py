"""Staged unfreezing: the names of blocks, what a stage trains, and what it leaves as it is."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.errors import ModelError
from components.trainer.input_pipeline import Split
from components.trainer.loop import TrainingLoop
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.objectives.classification import ClassifierObjective
from components.trainer.options import Adam, CosineSchedule, EarlyStopping, TrainerOptions
from components.trainer.stages import BLOCKS, Stage, block_of, check_frozen_are_loaded, freeze_below

BACKBONES = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}
STEPS = 2
HEAD_ONLY = {"train_from": "head", "epochs": 1, "learning_rate": 0.01}
TOP = {"train_from": "block_12", "epochs": 2, "learning_rate": 0.003}
EVERYTHING = {"train_from": "all", "epochs": 1, "learning_rate": 0.001}


def make_options(stages, **changes):
    settings = {
        "optimizer": {"name": "adam"},
        "schedule": {"name": "cosine"},
        "batch_size": 4,
        "weight_decay": 4e-5,
        "initial_weights": "weights.h5",
        "stages": stages,
        **changes,
    }
    return TrainerOptions.model_validate_json(json.dumps(settings))


def small_model(dropout):
    """Four blocks of a MobileNet v1 by their names, so that a test need not wait for all of them."""
    x = inputs = keras.Input((8, 8, 1))
    for name in ("conv1", "conv_pw_11", "conv_pw_12", "conv_pw_13"):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name=name)(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"{name}_bn")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(keras.layers.Flatten(name="features")(x))
    return keras.Model(inputs, keras.layers.Dense(2, name="conv_preds")(x))


def make_loop(options, seed=1):
    keras.utils.set_random_seed(seed)
    model = small_model(options.dropout)
    judged = keras.models.clone_model(model)
    strategy = tf.distribute.get_strategy()
    objective = ClassifierObjective(options, np.ones(2, np.float32))
    return TrainingLoop(model, options, STEPS, objective, strategy=strategy, judged=judged)


def batch(step):
    images = np.random.default_rng(step).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    return tf.constant(images), tf.constant(np.eye(2, dtype=np.float32)[[0, 1, 1, 0]])


EVAL = Split(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8), np.arange(8) % 2)


def train_epoch(loop):
    for _ in range(STEPS):
        loop.step(*batch(loop.position.step))
    loop.finish_epoch(EVAL)


def train(loop):
    while not loop.is_finished:
        train_epoch(loop)


# Names.


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("border", ["gray", "black"])
def test_blocks_are_those_that_the_layers_of_a_model_belong_to(backbone, border):
    model = BACKBONES[backbone](side=32, channels=3, classes=2, alpha=0.25, border=border)
    found = [block_of(layer.name, backbone) for layer in model.layers if layer.weights]
    assert tuple(dict.fromkeys(found)) == BLOCKS[backbone]
    assert set(found) == set(BLOCKS[backbone])


@pytest.mark.parametrize(
    ("backbone", "layer", "block"),
    [
        ("mobilenet_v1", "conv_dw_1", "block_1"),
        ("mobilenet_v1", "conv_pw_13_bn", "block_13"),
        ("mobilenet_v1", "conv1_bn", "conv1"),
        ("mobilenet_v1", "conv_preds", "head"),
        ("mobilenet_v2", "bn_Conv1", "Conv1"),
        ("mobilenet_v2", "block_1_expand_BN", "block_1"),
        ("mobilenet_v2", "block_16_project", "block_16"),
        ("mobilenet_v2", "Conv_1_bn", "Conv_1"),
        ("mobilenet_v2", "predictions", "head"),
    ],
)
def test_block_of_a_layer(backbone, layer, block):
    assert block_of(layer, backbone) == block


# Bad schedules.


@pytest.mark.parametrize(
    ("stages", "changes", "said"),
    [
        (
            [{**HEAD_ONLY, "train_from": "block_14"}],
            {},
            r"mobilenet_v1 has no block 'block_14' \(stage 0\); from the top it has head, block_13, .*, conv1, and",
        ),
        ([{**HEAD_ONLY, "train_from": "Conv_1"}], {}, "has no block 'Conv_1'"),
        ([TOP, HEAD_ONLY], {}, "stage 1 trains from head, above block_12 of the stage before"),
        ([EVERYTHING, {**TOP, "train_from": "conv1"}, TOP], {}, "stage 2 trains from block_12, above conv1"),
        ([], {}, "at least 1 item"),
        ([{**HEAD_ONLY, "epochs": 0}], {}, "greater than or equal to 1"),
        ([HEAD_ONLY], {"epochs": 3}, "epochs: each of the stages has its own"),
        ([HEAD_ONLY], {"learning_rate": 0.1, "epochs": 3}, "epochs, learning_rate: each of the stages has its own"),
        ([HEAD_ONLY], {"initial_weights": None}, "the blocks below head would keep random weights"),
        (
            [HEAD_ONLY],
            {"schedule": {"name": "piecewise", "at_epochs": [1], "rates": [0.1]}},
            "schedule: piecewise states its own rates",
        ),
        (None, {"epochs": 3}, "learning_rate: missing; pass --set trainer.learning_rate=VALUE .* or stages"),
        (None, {}, "epochs, learning_rate: missing"),
    ],
)
def test_stages_that_make_no_sense_are_refused(stages, changes, said):
    with pytest.raises(ValidationError, match=said):
        make_options(stages, **changes)


def test_stages_from_random_weights_may_begin_with_everything():
    assert make_options([EVERYTHING], initial_weights=None).course == (Stage(**EVERYTHING),)


def test_options_without_stages_have_one_of_everything():
    options = make_options(None, epochs=5, learning_rate=0.1)
    assert options.course == (Stage(train_from="all", epochs=5, learning_rate=0.1),)


def test_first_stage_that_freezes_layers_without_weights_is_refused():
    stages = (Stage(**TOP),)
    check_frozen_are_loaded(["conv_preds", "conv_dw_12"], stages, "mobilenet_v1")
    with pytest.raises(ModelError, match=r"train_from=block_12 freezes conv_dw_3, conv_pw_3,") as caught:
        check_frozen_are_loaded(["conv_dw_3", "conv_pw_3", "conv_preds"], stages, "mobilenet_v1")
    assert "train_from: block_3" in caught.value.hint


# What learns.


def changed_blocks(model, before):
    """Blocks of which any weight is another one, split into kernels and the like, and BatchNorm's statistics."""
    learned, moved = set(), set()
    for layer in model.layers:
        for weight in layer.weights:
            if not np.array_equal(weight.numpy(), before[weight.path]):
                (moved if "moving" in weight.path else learned).add(block_of(layer.name, "mobilenet_v1"))
    return learned, moved


def test_stages_train_their_blocks_and_leave_the_rest_with_its_statistics_alone():
    loop = make_loop(make_options([HEAD_ONLY, TOP, EVERYTHING]))

    def epoch():
        before = {weight.path: weight.numpy() for weight in loop.model.weights}
        train_epoch(loop)
        return changed_blocks(loop.model, before)

    assert epoch() == ({"head"}, set())
    top = {"block_12", "block_13"}
    assert epoch() == ({"head"} | top, top)
    assert epoch() == ({"head"} | top, top)
    every = {"conv1", "block_11", "head"} | top
    assert epoch() == (every, every - {"head"})
    assert loop.is_finished


def test_frozen_layers_answer_as_in_evaluation_and_ask_no_penalty():
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25, dropout=0.0, weight_decay=1.0)
    freeze_below(model, "mobilenet_v1", "head")
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    assert len(model.losses) == 1
    freeze_below(model, "mobilenet_v1", "all")
    assert not np.allclose(model(images, training=True), model(images, training=False))
    assert len(model.losses) == 15  # conv1, 13 pointwise convolutions, the head


def test_stage_begins_with_a_fresh_optimizer_and_its_own_rate():
    loop = make_loop(make_options([HEAD_ONLY, TOP]))

    def slots():
        return [v for v in loop._optimizer.variables if "momentum" in v.path or "velocity" in v.path]

    assert loop.learning_rate == pytest.approx(0.01)
    loop.step(*batch(0))
    loop.step(*batch(1))
    head = loop.model.get_layer("conv_preds").kernel
    assert any(np.any(variable.numpy()) for variable in slots())
    loop.finish_epoch(EVAL)
    assert loop.learning_rate == pytest.approx(0.003)
    assert int(loop._optimizer.iterations) == 0
    assert not any(np.any(variable.numpy()) for variable in slots())
    # Adam's first step is the rate times the gradient's sign; without its bias correction it would be three times that.
    kernel = loop.model.get_layer("conv_pw_13").kernel
    before = {id(v): v.numpy() for v in (head, kernel)}
    loop.step(*batch(2))
    for variable in (head, kernel):
        moved = np.abs(variable.numpy() - before[id(variable)])
        assert moved.max() == pytest.approx(0.003, rel=0.02)


def test_stages_resumed_at_any_epoch_and_step_reach_the_same_bits():
    options = make_options([HEAD_ONLY, TOP, EVERYTHING], ema_decay=0.9, dropout=0.2)
    whole = make_loop(options)
    checkpoints = []
    while not whole.is_finished:
        whole.step(*batch(whole.position.step))
        if whole.is_epoch_over:
            whole.finish_epoch(EVAL)
        checkpoints.append(whole.checkpoint())
    assert [c.position.stage for c in checkpoints] == [0, 1, 1, 1, 1, 2, 2, 3]
    for checkpoint in checkpoints[1:6:2]:
        other = make_loop(options, seed=7)
        other.restore(checkpoint)
        while not other.is_finished:
            other.step(*batch(other.position.step))
            if other.is_epoch_over:
                other.finish_epoch(EVAL)
        assert other.position == whole.position
        for found, expected in zip(other.checkpoint().variables, whole.checkpoint().variables, strict=True):
            np.testing.assert_array_equal(found, expected)
        for found, expected in zip(other.best, whole.best, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_early_stopping_ends_the_stage_and_not_the_training():
    stages = [{**HEAD_ONLY, "epochs": 5}, {**EVERYTHING, "epochs": 4}]
    stopping = EarlyStopping(patience_epochs=1, min_delta=1.0)
    loop = make_loop(make_options(stages).model_copy(update={"early_stopping": stopping}))
    assert loop.total_steps == 9 * STEPS
    train_epoch(loop)
    train_epoch(loop)
    assert (loop.position.stage, loop.position.stage_step, loop.total_steps) == (1, 0, 6 * STEPS)
    train(loop)
    assert len(loop.position.history) == 4


def test_divergence_in_a_stage_names_it():
    options = make_options([HEAD_ONLY, {**EVERYTHING, "learning_rate": 1e30}]).model_copy(
        update={"optimizer": Adam(name="adam"), "schedule": CosineSchedule(name="cosine")}
    )
    with pytest.raises(ModelError, match=r"loss=\S+ at step \d of 4, epoch 2") as caught:
        train(make_loop(options))
    assert "a learning_rate of 3.3e+29 in trainer.stages, stage 1" in caught.value.hint


def test_weight_that_is_not_finite_at_the_end_of_a_stage_is_that_stages_fault():
    loop = make_loop(make_options([HEAD_ONLY, EVERYTHING]))
    for _ in range(STEPS):
        loop.step(*batch(0))
    loop.model.get_layer("conv1_bn").moving_variance.assign(np.full(4, np.inf))  # x / sqrt(inf) is finite
    with pytest.raises(ModelError, match=r"epoch 1, learning rate") as caught:
        loop.finish_epoch(EVAL)
    assert "a learning_rate of 0.0033 in trainer.stages, stage 0" in caught.value.hint
    assert loop.position.stage == 0
