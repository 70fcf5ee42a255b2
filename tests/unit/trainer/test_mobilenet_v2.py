import keras
import numpy as np
import pytest

from components.trainer.models.mobilenet_v2 import mobilenet_v2, scale_filters
from components.trainer.options import ALPHAS

# keras.applications, RGB, 1,000 classes; 0.35 to 1.4 are also in slim's nets/mobilenet/README.md, in millions.
PARAMETERS = {
    0.25: 1_529_768,
    0.35: 1_691_208,
    0.5: 1_987_224,
    0.75: 2_663_064,
    1.0: 3_538_984,
    1.3: 5_431_048,
    1.4: 6_156_712,
}


def macs(model):
    """Multiply-accumulates of convolutions and classifier, from the layers' shapes."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            total += np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += np.prod(layer.kernel.shape)
    return int(total)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", ALPHAS["mobilenet_v2"])
def test_mobilenet_v2_has_the_layers_and_weights_of_keras_applications(alpha, channels):
    ours = mobilenet_v2(side=96, channels=channels, classes=1000, alpha=alpha)
    published = keras.applications.MobileNetV2((96, 96, channels), alpha=alpha, weights=None)
    first_kernel = 9 * 3 * scale_filters(32, alpha)
    assert ours.count_params() == published.count_params()
    assert ours.count_params() == PARAMETERS[alpha] - (first_kernel * 2 // 3 if channels == 1 else 0)
    named = {layer.name: [w.shape for w in layer.weights] for layer in published.layers if layer.weights}
    assert {layer.name: [w.shape for w in layer.weights] for layer in ours.layers if layer.weights} == named
    assert [layer.name for layer in ours.layers if layer.weights] == list(named)


@pytest.mark.parametrize("side", [96, 97])
def test_mobilenet_v2_with_the_weights_of_keras_applications_gives_its_logits(side):
    published = keras.applications.MobileNetV2(
        (side, side, 3), alpha=0.35, weights=None, classes=5, classifier_activation=None
    )
    random = np.random.default_rng(0)
    published.set_weights([w + random.uniform(0, 0.2, w.shape) for w in published.get_weights()])
    ours = mobilenet_v2(side=side, channels=3, classes=5, alpha=0.35)
    for layer in published.layers:
        if layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    images = random.uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    expected = np.asarray(published(images, training=False))
    found = np.asarray(ours(images, training=False))
    assert found.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("side", "alpha", "millions", "parameters"),
    # tensorflow/models, research/slim/nets/mobilenet/README.md; the paper says 300 for the first.
    [
        (224, 1.0, 300, 3.47),
        (224, 1.4, 582, 6.06),
        (224, 1.3, 509, 5.34),
        (224, 0.75, 209, 2.61),
        (224, 0.5, 97, 1.95),
        (224, 0.35, 59, 1.66),
        (96, 1.0, 56, 3.47),
        (96, 0.35, 11, 1.66),
    ],
)
def test_mobilenet_v2_macs_and_parameters_are_the_published_ones(side, alpha, millions, parameters):
    model = mobilenet_v2(side=side, channels=3, classes=1000, alpha=alpha)
    assert macs(model) / 1e6 == pytest.approx(millions, abs=1.0)
    trained = sum(np.prod(w.shape) for w in model.trainable_weights)
    assert trained / 1e6 == pytest.approx(parameters, rel=0.012)


def test_mobilenet_v2_decays_every_kernel_but_the_depthwise_ones():
    model = mobilenet_v2(side=32, channels=1, classes=2, alpha=0.25, weight_decay=4e-5)
    kernels = [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
    ]
    expected = sum(4e-5 * float(np.square(kernel).sum()) / 2 for kernel in kernels)
    assert len(model.losses) == len(kernels) == 1 + 16 + 17 + 1 + 1  # Conv1, expand, project, Conv_1, predictions
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_mobilenet_v2_projections_are_linear_and_the_rest_relu6():
    model = mobilenet_v2(side=32, channels=1, classes=2, alpha=0.25)
    activations = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert {layer.max_value for layer in activations} == {6.0}
    assert not [layer.name for layer in activations if "project" in layer.name]
    assert len(activations) == 1 + 16 + 17 + 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 33, 97, 160])
def test_mobilenet_v2_any_side_gives_a_logit_per_class(side, channels):
    model = mobilenet_v2(side=side, channels=channels, classes=5, alpha=0.25)
    logits = np.asarray(model(np.zeros((3, side, side, channels), np.float32), training=False))
    assert logits.shape == (3, 5)
    assert np.isfinite(logits).all()
    assert model.get_layer("Conv_1").output.shape[1:3] == (-(-side // 32),) * 2


@pytest.mark.parametrize(
    ("filters", "alpha", "expected"), [(32, 0.25, 8), (24, 0.35, 8), (96, 0.35, 32), (32, 1.4, 48), (16, 0.75, 16)]
)
def test_scale_filters_rounds_to_eights_and_loses_a_tenth_at_most(filters, alpha, expected):
    assert scale_filters(filters, alpha) == expected
