import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.ema import MovingAverages, decay_at
from components.trainer.loop import TrainingLoop
from components.trainer.models.mobilenet_v1 import mobilenet_v1
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


def apply_and_fail(averages, look):
    with averages.applied():
        look()
        raise KeyError


def test_averages_applied_give_the_weights_back_bit_by_bit_even_after_an_error():
    random = np.random.default_rng(0)
    weight = keras.Variable(random.normal(size=1_000).astype(np.float32))
    averages = MovingAverages([weight], 0.9)
    weight.assign(random.normal(size=1_000).astype(np.float32) * 1e4)
    own, shadow = weight.numpy(), averages.shadows[0].numpy()
    with pytest.raises(KeyError):
        apply_and_fail(averages, lambda: np.testing.assert_array_equal(weight.numpy(), shadow))
    np.testing.assert_array_equal(weight.numpy(), own)
    np.testing.assert_array_equal(averages.shadows[0].numpy(), shadow)


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
    loop = TrainingLoop(
        model, settings, steps_per_epoch=20, class_weights=np.ones(2, np.float32), strategy=tf.distribute.get_strategy()
    )
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
