import math

import keras
import pytest

from components.trainer.optimization import batch_norm_momentum, build_optimizer, build_schedule
from components.trainer.options import Adam, CosineSchedule, ExponentialSchedule, RMSprop, TrainerOptions

STEPS_PER_EPOCH = 862  # ceil(82,783 / 96)


def options(**changes):
    return TrainerOptions(
        **{
            "optimizer": RMSprop(name="rmsprop"),
            "learning_rate": 0.045,
            "schedule": ExponentialSchedule(name="exponential", decay_factor=0.98, epochs_per_decay=2.5),
            "batch_size": 96,
            "epochs": 60,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("step", "decays"),
    [(0, 0), (2_154, 0), (2_155, 1), (4_309, 1), (4_310, 2), (21_549, 9), (21_550, 10), (51_719, 23)],
)
def test_exponential_schedule_falls_at_once_every_2_5_epochs(step, decays):
    rate = float(build_schedule(options(), STEPS_PER_EPOCH)(step))
    assert rate == pytest.approx(0.045 * 0.98**decays, rel=1e-5)


def test_exponential_schedule_shorter_than_a_step_falls_every_step():
    schedule = ExponentialSchedule(name="exponential", decay_factor=0.5, epochs_per_decay=0.01)
    rates = build_schedule(options(schedule=schedule), 10)
    assert [float(rates(step)) for step in range(3)] == pytest.approx([0.045, 0.0225, 0.01125])


def test_cosine_schedule_rises_over_the_warmup_and_falls_to_zero():
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=2), learning_rate=0.003, epochs=32)
    rates = build_schedule(settings, 25)
    expected = {
        0: 0.0,
        1: 0.003 / 50,
        25: 0.0015,
        49: 0.003 * 49 / 50,
        50: 0.003,
        425: 0.0015,  # half way from 50 to 800
        612: 0.003 * 0.5 * (1 + math.cos(math.pi * 562 / 750)),
        800: 0.0,
        900: 0.0,
    }
    assert {step: float(rates(step)) for step in expected} == pytest.approx(expected, abs=1e-8)


def test_cosine_schedule_without_warmup_starts_at_the_top():
    rates = build_schedule(options(schedule=CosineSchedule(name="cosine"), learning_rate=0.003, epochs=4), 10)
    assert [float(rates(step)) for step in (0, 20, 40)] == pytest.approx([0.003, 0.0015, 0.0], abs=1e-8)


def test_cosine_schedule_of_a_fraction_of_an_epoch_rounds_to_steps():
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=0.5), learning_rate=0.1, epochs=1)
    assert [float(build_schedule(settings, 4)(step)) for step in (0, 1, 2, 3, 4)] == pytest.approx(
        [0.0, 0.05, 0.1, 0.05, 0.0], abs=1e-7
    )


@pytest.mark.parametrize("warmup_epochs", [4.0, 7.0])
def test_cosine_schedule_all_warmup_is_still_a_schedule(warmup_epochs):
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=warmup_epochs), epochs=4)
    rates = build_schedule(settings, 10)
    assert float(rates(10)) == pytest.approx(0.045 / warmup_epochs)


def test_build_optimizer_passes_rmsprops_parameters_on():
    optimizer = build_optimizer(
        options(optimizer=RMSprop(name="rmsprop", rho=0.8, momentum=0.7, epsilon=0.5)), STEPS_PER_EPOCH
    )
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert (optimizer.rho, optimizer.momentum, optimizer.epsilon, optimizer.centered) == (0.8, 0.7, 0.5, False)
    assert float(optimizer.learning_rate) == pytest.approx(0.045)


def test_build_optimizer_rmsprop_defaults_are_slims():
    optimizer = build_optimizer(options(), STEPS_PER_EPOCH)
    assert (optimizer.rho, optimizer.momentum, optimizer.epsilon) == (0.9, 0.9, 1.0)


def test_build_optimizer_passes_adams_parameters_on():
    adam = Adam(name="adam", beta_1=0.8, beta_2=0.99, epsilon=1e-3)
    optimizer = build_optimizer(options(optimizer=adam), STEPS_PER_EPOCH)
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.8, 0.99, 1e-3)
    assert optimizer.weight_decay is None


def test_rmsprop_epsilon_stands_inside_the_root_as_in_tensorflow_1():
    """w -= lr * g / sqrt(0.1 * g^2 + epsilon), so that slim's epsilon of 1.0 damps every step."""
    import tensorflow as tf

    variable = keras.Variable([1.0])
    optimizer = build_optimizer(options(), STEPS_PER_EPOCH)
    optimizer.build([variable])
    optimizer.apply([tf.constant([2.0])])
    accumulated = 0.1 * 4.0
    assert float(variable[0]) == pytest.approx(1.0 - 0.045 * 2.0 / math.sqrt(accumulated + 1.0), rel=1e-5)


@pytest.mark.parametrize(
    ("limit", "steps", "expected"),
    [
        (0.9997, 1_000_000, 0.9997),
        (0.9997, 33_334, 0.9997),
        (0.9997, 33_333, 1 - 10 / 33_333),
        (0.9997, 800, 0.9875),
        (0.99, 100_000, 0.99),
        (0.9997, 20, 0.5),
        (0.9997, 10, 0.0),
        (0.9997, 1, 0.0),
    ],
)
def test_batch_norm_momentum_remembers_a_tenth_of_the_training_at_most(limit, steps, expected):
    momentum = batch_norm_momentum(limit, steps)
    assert momentum == pytest.approx(expected, abs=1e-12)
    assert 0 <= momentum <= limit
