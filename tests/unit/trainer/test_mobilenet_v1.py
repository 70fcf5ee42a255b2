import keras
import numpy as np
import pytest

from components.trainer.models.mobilenet_v1 import mobilenet_v1, scale_filters
from components.trainer.options import ALPHAS

PARAMETERS = {0.25: 475_544, 0.5: 1_342_536, 0.75: 2_601_976, 1.0: 4_253_864}  # keras.applications, 1,000 classes


def macs(model):
    """Multiply-accumulates of the convolutions, from the layers' shapes."""
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layers = [layer for layer in model.layers if isinstance(layer, convolutions)]
    return int(sum(np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape) for layer in layers))


def imagenet_model(alpha, **options):
    return mobilenet_v1(side=224, channels=3, classes=1000, alpha=alpha, **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", ALPHAS["mobilenet_v1"])
def test_mobilenet_v1_has_the_layers_and_weights_of_keras_applications(alpha, channels):
    ours = mobilenet_v1(side=96, channels=channels, classes=1000, alpha=alpha)
    published = keras.applications.MobileNet((96, 96, channels), alpha=alpha, weights=None)
    assert ours.count_params() == published.count_params()
    assert ours.count_params() == PARAMETERS[alpha] - (9 * 2 * int(32 * alpha) if channels == 1 else 0)
    named = {layer.name: [w.shape for w in layer.weights] for layer in published.layers if layer.weights}
    assert {layer.name: [w.shape for w in layer.weights] for layer in ours.layers if layer.weights} == named
    assert [layer.name for layer in ours.layers if layer.weights] == list(named)


def test_mobilenet_v1_with_the_weights_of_keras_applications_gives_its_logits():
    published = keras.applications.MobileNet(alpha=0.25, weights=None, classifier_activation=None)
    random = np.random.default_rng(0)
    published.set_weights([w + random.uniform(0, 0.2, w.shape) for w in published.get_weights()])
    ours = imagenet_model(0.25)
    for layer in published.layers:
        if layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    images = random.uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    expected = np.asarray(published(images, training=False))
    found = np.asarray(ours(images, training=False))
    assert found.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("side", "channels", "classes", "alpha", "expected"),
    [
        (96, 1, 2, 0.25, 7_157_888),  # person_detect.tflite, counted in the shipped file
        (96, 3, 2, 0.25, 7_489_664),  # MLPerf Tiny's vww_96, which has a dense head of the same size
    ],
)
def test_mobilenet_v1_macs_are_those_of_the_shipped_files(side, channels, classes, alpha, expected):
    assert macs(mobilenet_v1(side=side, channels=channels, classes=classes, alpha=alpha)) == expected


@pytest.mark.parametrize(
    ("side", "alpha", "millions", "parameters"),
    # MACs: Howard et al., table 6, and for 128 pixels slim's mobilenet_v1.md; parameters: slim's.
    [
        (224, 1.0, 569, 4.24),
        (224, 0.75, 325, 2.59),
        (224, 0.5, 149, 1.34),
        (224, 0.25, 41, 0.47),
        (128, 0.25, 14, 0.47),
    ],
)
def test_mobilenet_v1_macs_and_parameters_are_the_published_ones(side, alpha, millions, parameters):
    model = mobilenet_v1(side=side, channels=3, classes=1000, alpha=alpha)
    assert macs(model) / 1e6 == pytest.approx(millions, abs=0.6)
    trained = sum(np.prod(w.shape) for w in model.trainable_weights)
    assert trained / 1e6 == pytest.approx(parameters, abs=0.011)


def test_mobilenet_v1_decays_every_kernel_but_the_depthwise_ones():
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25, weight_decay=4e-5)
    expected = 0.0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            assert layer.depthwise_regularizer is None
        elif isinstance(layer, keras.layers.Conv2D):
            assert float(layer.kernel_regularizer.l2) == pytest.approx(4e-5 / 2)
            assert layer.bias_regularizer is None
            expected += 4e-5 * float(np.square(layer.kernel).sum()) / 2
    assert len(model.losses) == 15  # conv1, 13 pointwise, conv_preds
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_mobilenet_v1_without_weight_decay_adds_no_loss():
    assert mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25).losses == []


def test_mobilenet_v1_activations_are_relu6():
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25)
    activations = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(activations) == 27
    assert {layer.max_value for layer in activations} == {6.0}
    assert {layer.negative_slope for layer in activations} == {0.0}


def test_mobilenet_v1_batch_norm_and_dropout_are_as_asked():
    model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25, dropout=0.2, batch_norm_momentum=0.5)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon, layer.center, layer.scale) for layer in norms} == {(0.5, 1e-3, True, True)}
    assert model.get_layer("dropout").rate == 0.2


def test_mobilenet_v1_initial_kernels_are_truncated_normal():
    keras.utils.set_random_seed(0)
    kernel = np.asarray(imagenet_model(0.25).get_layer("conv_preds").kernel)
    assert np.abs(kernel).max() <= 2 * 0.09 + 1e-6
    assert abs(kernel.mean()) < 1e-3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 33, 96, 97])
def test_mobilenet_v1_any_side_gives_a_logit_per_class(side, channels):
    model = mobilenet_v1(side=side, channels=channels, classes=5, alpha=0.25)
    assert model.input_shape == (None, side, side, channels)
    logits = np.asarray(model(np.zeros((3, side, side, channels), np.float32), training=False))
    assert logits.shape == (3, 5)
    assert np.isfinite(logits).all()
    # Strides halve and round up, as SAME does: 97 -> 49 -> 25 -> 13 -> 7 -> 4.
    assert model.get_layer("conv_pw_13").output.shape[1:3] == (-(-side // 32),) * 2


@pytest.mark.parametrize(
    ("filters", "alpha", "expected"), [(32, 0.25, 8), (32, 0.125, 8), (1024, 0.25, 256), (64, 0.3, 19), (32, 1.0, 32)]
)
def test_scale_filters_truncates_and_keeps_8(filters, alpha, expected):
    assert scale_filters(filters, alpha) == expected
