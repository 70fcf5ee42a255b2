import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.optimization import (
    batch_norm_momentum,
    build_optimizer,
    build_schedule,
    decayed_kernels,
    l2_penalty,
)
from components.trainer.options import (
    SGD,
    Adam,
    AdamW,
    CosineSchedule,
    ExponentialSchedule,
    PiecewiseSchedule,
    RMSprop,
    StepSchedule,
    TrainerOptions,
)

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


def schedule_of(settings, steps_per_epoch):
    (stage,) = settings.course
    return build_schedule(settings, stage, steps_per_epoch)


def optimizer_of(settings, steps_per_epoch, model):
    (stage,) = settings.course
    return build_optimizer(settings, stage, steps_per_epoch, model)


@pytest.mark.parametrize(
    ("step", "decays"),
    [(0, 0), (2_154, 0), (2_155, 1), (4_309, 1), (4_310, 2), (21_549, 9), (21_550, 10), (51_719, 23)],
)
def test_exponential_schedule_falls_at_once_every_2_5_epochs(step, decays):
    rate = float(schedule_of(options(), STEPS_PER_EPOCH)(step))
    assert rate == pytest.approx(0.045 * 0.98**decays, rel=1e-5)


def test_exponential_schedule_shorter_than_a_step_falls_every_step():
    schedule = ExponentialSchedule(name="exponential", decay_factor=0.5, epochs_per_decay=0.01)
    rates = schedule_of(options(schedule=schedule), 10)
    assert [float(rates(step)) for step in range(3)] == pytest.approx([0.045, 0.0225, 0.01125])


def test_cosine_schedule_rises_over_the_warmup_and_falls_to_zero():
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=2), learning_rate=0.003, epochs=32)
    rates = schedule_of(settings, 25)
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
    rates = schedule_of(options(schedule=CosineSchedule(name="cosine"), learning_rate=0.003, epochs=4), 10)
    assert [float(rates(step)) for step in (0, 20, 40)] == pytest.approx([0.003, 0.0015, 0.0], abs=1e-8)


def test_cosine_schedule_of_a_fraction_of_an_epoch_rounds_to_steps():
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=0.5), learning_rate=0.1, epochs=1)
    assert [float(schedule_of(settings, 4)(step)) for step in (0, 1, 2, 3, 4)] == pytest.approx(
        [0.0, 0.05, 0.1, 0.05, 0.0], abs=1e-7
    )


@pytest.mark.parametrize("warmup_epochs", [4.0, 7.0])
def test_cosine_schedule_all_warmup_is_still_a_schedule(warmup_epochs):
    settings = options(schedule=CosineSchedule(name="cosine", warmup_epochs=warmup_epochs), epochs=4)
    rates = schedule_of(settings, 10)
    assert float(rates(10)) == pytest.approx(0.045 / warmup_epochs)


def test_exponential_schedule_without_staircase_falls_evenly():
    schedule = ExponentialSchedule(name="exponential", decay_factor=0.5, epochs_per_decay=2, staircase=False)
    rates = schedule_of(options(schedule=schedule, learning_rate=0.1), 10)
    assert [float(rates(step)) for step in (0, 10, 20)] == pytest.approx([0.1, 0.1 * 0.5**0.5, 0.05])


def test_step_schedule_falls_by_its_factor_at_each_epoch():
    schedule = StepSchedule(name="step", decay_factor=0.1, at_epochs=(2, 3.5))
    rates = schedule_of(options(schedule=schedule, learning_rate=0.1), 10)
    found = [float(rates(step)) for step in (0, 19, 20, 34, 35, 1_000)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_piecewise_schedule_has_the_rates_of_mlperf_tiny():
    schedule = PiecewiseSchedule(name="piecewise", at_epochs=(20, 30), rates=(5e-4, 2.5e-4))
    rates = schedule_of(options(schedule=schedule, learning_rate=1e-3), 100)
    found = [float(rates(step)) for step in (0, 1_999, 2_000, 2_999, 3_000, 4_999)]
    assert found == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            ExponentialSchedule(name="exponential", decay_factor=0.5, epochs_per_decay=1, warmup_epochs=2),
            {0: 0.0, 5: 0.1 * 5 / 20, 15: 0.05 * 15 / 20, 20: 0.025, 30: 0.0125},
        ),
        (
            StepSchedule(name="step", decay_factor=0.1, at_epochs=(3,), warmup_epochs=2),
            {0: 0.0, 10: 0.05, 20: 0.1, 29: 0.1, 30: 0.01},
        ),
        (
            PiecewiseSchedule(name="piecewise", at_epochs=(3,), rates=(0.2,), warmup_epochs=2),
            {0: 0.0, 10: 0.05, 20: 0.1, 29: 0.1, 30: 0.2},
        ),
    ],
    ids=["exponential", "step", "piecewise"],
)
def test_schedule_with_warmup_rises_in_a_line_into_its_own_course(schedule, expected):
    rates = schedule_of(options(schedule=schedule, learning_rate=0.1), 10)
    assert {step: float(rates(step)) for step in expected} == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("at_epochs", [(0.0, 1.0), (2.0, 2.0), (3.0, 1.0)])
def test_step_schedule_of_epochs_that_do_not_rise_is_refused(at_epochs):
    with pytest.raises(ValidationError, match="at_epochs: positive and rising"):
        StepSchedule(name="step", decay_factor=0.1, at_epochs=at_epochs)


def test_piecewise_schedule_with_too_few_rates_is_refused():
    with pytest.raises(ValidationError, match="rates: 1 values for 2 at_epochs; one for each"):
        PiecewiseSchedule(name="piecewise", at_epochs=(1.0, 2.0), rates=(0.1,))


def one_weight():
    """A model with one weight, a kernel of 1."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    return model, model.layers[0].kernel


def after_steps(optimizer, gradients, **changes):
    """The weight, 1 at first, after a step for each gradient at a rate of 0.045."""
    model, weight = one_weight()
    built = optimizer_of(options(optimizer=optimizer, **changes), STEPS_PER_EPOCH, model)
    for gradient in gradients:
        built.apply([tf.constant([[gradient]])], [weight])
    return float(weight[0, 0])


def test_rmsprop_epsilon_stands_inside_the_root_as_in_tensorflow_1():
    """w -= lr * g / sqrt(0.1 * g^2 + epsilon), so that slim's epsilon of 1.0 damps every step."""
    expected = 1.0 - 0.045 * 2.0 / math.sqrt(0.1 * 4.0 + 1.0)
    assert after_steps(RMSprop(name="rmsprop"), [2.0]) == pytest.approx(expected, rel=1e-6)


def test_rmsprop_second_step_carries_slims_momentum():
    first = 0.045 * 2.0 / math.sqrt(0.1 * 4.0 + 1.0)
    second = 0.9 * first + 0.045 * 1.0 / math.sqrt(0.9 * 0.4 + 0.1 * 1.0 + 1.0)
    assert after_steps(RMSprop(name="rmsprop"), [2.0, 1.0]) == pytest.approx(1.0 - first - second, rel=1e-6)


def test_adam_two_steps_are_the_papers():
    m, v, weight = 0.0, 0.0, 1.0
    for step, gradient in enumerate([2.0, -1.0], start=1):
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient**2
        weight -= 0.045 * (m / (1 - 0.8**step)) / (math.sqrt(v / (1 - 0.9**step)) + 1e-7)
    adam = Adam(name="adam", beta_1=0.8, beta_2=0.9)
    assert after_steps(adam, [2.0, -1.0]) == pytest.approx(weight, rel=1e-5)


def test_adamw_decays_by_the_rate_and_not_through_the_moments():
    """w -= lr * wd * w, then Adam's step, whose first is lr * sign(g)."""
    found = after_steps(AdamW(name="adamw"), [2.0], weight_decay=0.1)
    assert found == pytest.approx(1.0 * (1 - 0.045 * 0.1) - 0.045, rel=1e-5)


def test_sgd_momentum_two_steps():
    found = after_steps(SGD(name="sgd", momentum=0.5), [2.0, 1.0])
    assert found == pytest.approx(1.0 - 0.045 * 2.0 - (0.5 * 0.045 * 2.0 + 0.045 * 1.0), rel=1e-6)


def test_sgd_nesterov_looks_ahead():
    """m = momentum * m - lr * g; w += momentum * m - lr * g (Sutskever et al.)."""
    found = after_steps(SGD(name="sgd", momentum=0.5, nesterov=True), [2.0])
    assert found == pytest.approx(1.0 + 0.5 * (-0.045 * 2.0) - 0.045 * 2.0, rel=1e-6)


def test_rmsprop_defaults_are_slims():
    slim = RMSprop(name="rmsprop")
    assert (slim.rho, slim.momentum, slim.epsilon) == (0.9, 0.9, 1.0)


@pytest.mark.parametrize("backbone", [mobilenet_v1, mobilenet_v2])
def test_decayed_kernels_are_those_of_the_l2_penalty_and_no_depthwise_ones(backbone):
    model = backbone(side=32, channels=1, classes=2, alpha=0.35, weight_decay=4e-5)
    decayed = {kernel.path for kernel in decayed_kernels(model)}
    assert decayed == {weight.path for weight in model.trainable_weights if weight.regularizer is not None}
    assert len(decayed) == len(model.losses) > 10
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert depthwise
    assert not decayed & {layer.kernel.path for layer in depthwise}
    assert all(path.endswith("/kernel") for path in decayed)


def test_weight_decay_of_adamw_moves_exactly_the_decayed_kernels():
    settings = options(optimizer=AdamW(name="adamw"), weight_decay=0.1)
    assert l2_penalty(settings) == 0.0
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25, weight_decay=l2_penalty(settings))
    assert model.losses == []
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    optimizer = optimizer_of(settings, STEPS_PER_EPOCH, model)
    optimizer.apply([tf.zeros_like(weight.value) for weight in model.trainable_weights], model.trainable_weights)
    decayed = {kernel.path for kernel in decayed_kernels(model)}
    for weight in model.trainable_weights:
        kept = before[weight.path]
        expected = kept * (1 - 0.045 * 0.1) if weight.path in decayed else kept
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, err_msg=weight.path)


@pytest.mark.parametrize("optimizer", [RMSprop(name="rmsprop"), SGD(name="sgd"), Adam(name="adam")])
def test_l2_penalty_of_the_other_optimizers_is_slims_scale(optimizer):
    assert l2_penalty(options(optimizer=optimizer, weight_decay=4e-5)) == 4e-5
    model, _ = one_weight()
    assert optimizer_of(options(optimizer=optimizer, weight_decay=4e-5), 10, model).weight_decay is None


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
