import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.ema import MovingAverages, decay_at
from components.trainer.input_pipeline import Split
from components.trainer.loop import TrainingLoop
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.objectives.classification import ClassifierObjective
from components.trainer.options import SGD, CosineSchedule, TrainerOptions


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 2 / 11), (10, 11 / 20), (1_800, 1_801 / 1_810), (89_990, 89_991 / 90_000), (89_992, 0.9999), (10**6, 0.9999)],
)
def test_decay_warms_up_to_slims(step, expected):
    assert float(decay_at(0.9999, tf.constant(step, tf.int64))) == pytest.approx(expected, abs=1e-7)


def test_averages_of_a_short_run_forget_the_start():
    weight = keras.Variable([100.0])
    averages = MovingAverages([weight], 0.9999)
    weight.assign([1.0])
    for step in range(1, 1_001):
        averages.update(tf.constant(step, tf.int64))
    assert float(averages.shadows[0][0]) == pytest.approx(1.0, abs=1e-5)  # a constant 0.9999 would give 90.6


def test_training_loop_averages_every_weight_after_every_step_bit_by_bit():
    """Against the same sum in NumPy's float32, moving statistics of BatchNorm included."""
    keras.utils.set_random_seed(1)
    settings = TrainerOptions(
        optimizer=SGD(name="sgd"),
        learning_rate=0.1,
        schedule=CosineSchedule(name="cosine"),
        batch_size=4,
        epochs=1,
        ema_decay=0.5,
    )
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25, batch_norm_momentum=0.5)
    judged = keras.models.clone_model(model)
    strategy = tf.distribute.get_strategy()
    objective = ClassifierObjective(settings, np.ones(2, np.float32))
    loop = TrainingLoop(model, settings, 20, objective, strategy=strategy, judged=judged)
    expected = model.get_weights()
    random = np.random.default_rng(0)
    for step in range(1, 13):  # 0.5 is reached at step 8
        images = random.uniform(-1, 1, (4, 32, 32, 1)).astype(np.float32)
        loop.step(tf.constant(images), tf.constant(np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]))
        ratio = np.float32(1 + step) / np.float32(10 + step)
        towards = np.float32(1) - np.minimum(np.float32(0.5), ratio)
        expected = [e - towards * (e - weight) for e, weight in zip(expected, model.get_weights(), strict=True)]
    for weight, found, wanted in zip(model.weights, loop.averages, expected, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=weight.path)
    # They are what is judged and kept; the weights that go on learning are left alone.
    own = model.get_weights()
    loop.finish_epoch(Split(random.integers(0, 256, (6, 32, 32, 1), np.uint8), np.arange(6) % 2))
    for found, kept, wanted in zip(judged.get_weights(), loop.best, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(kept, wanted)
    for found, wanted in zip(model.get_weights(), own, strict=True):
        np.testing.assert_array_equal(found, wanted)
