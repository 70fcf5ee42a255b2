"""What both backbones share: the pairs that the config takes, activation, border, and the way to TFLite Micro."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import features, pixels
from components.errors import ConfigError
from components.quantization.compare import compare_outputs
from components.quantization.convert import convert_full_integer
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.reference import run_reference
from components.quantization.representative_dataset import pin_input_range
from components.quantization.tflm import run_under_tflm
from components.trainer.job import TrainingJob
from components.trainer.models.build import CLASSIFIERS, build_model
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.options import Adam, CosineSchedule, TrainerOptions
from pipeline.config import read_config

SIDE = 48
COMMON = {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "SOFTMAX"}


def read(*overrides):
    return read_config("pipeline/configs/demo.yaml", ["data.annotations=a.json", "data.images=images", *overrides])


@pytest.mark.parametrize(
    ("backbone", "alpha"), [("mobilenet_v1", 0.35), ("mobilenet_v1", 1.4), ("mobilenet_v2", 0.3), ("mobilenet_v2", 2)]
)
def test_config_unpublished_alpha_is_refused_with_the_published_ones(backbone, alpha):
    with pytest.raises(ConfigError, match=rf"trainer\.alpha: received {alpha}; {backbone} takes 0\.25, ") as caught:
        read(f"trainer.backbone={backbone}", f"trainer.alpha={alpha}")
    assert "1.3, 1.4" in str(caught.value) or backbone == "mobilenet_v1"


def test_config_other_backbone_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"trainer\.backbone: .*'mobilenet_v1' or 'mobilenet_v2'"):
        read("trainer.backbone=mobilenet_v3")


@pytest.mark.parametrize("backbone", CLASSIFIERS)
def test_build_model_builds_what_the_config_says(backbone):
    options = TrainerOptions(
        backbone=backbone,
        alpha=0.5,
        activation="relu",
        border="black",
        optimizer=Adam(name="adam"),
        learning_rate=0.01,
        schedule=CosineSchedule(name="cosine"),
        batch_size=16,
        epochs=2,
    )
    job = TrainingJob(trainer=options, side=SIDE, channels=3, label_count=4, seed=3)
    model = build_model(job, total_steps=100)
    assert model.name == backbone
    assert (model.input_shape, model.output_shape) == ((None, SIDE, SIDE, 3), (None, 4))
    assert {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)} == {None}
    first = next(layer for layer in model.layers if layer.weights)
    assert (first.filters, first.padding) == (16, "valid")
    assert model.get_layer(f"{first.name}_pad") is model.layers[1]


@pytest.mark.parametrize("build", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("side", [32, 33])
def test_black_border_gives_what_a_black_frame_gives(build, side):
    keras.utils.set_random_seed(0)
    black = build(side=side, channels=1, classes=2, alpha=0.25, border="black")
    first = next(layer for layer in black.layers if layer.weights)
    images = np.random.default_rng(0).uniform(-1, 1, (2, side, side, 1)).astype(np.float32)
    before = side % 2
    framed = np.pad(images, ((0, 0), (before, 1), (before, 1), (0, 0)), constant_values=-1)
    expected = keras.ops.conv(framed, first.kernel, strides=2, padding="valid")
    found = keras.Model(black.input, first.output)(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    gray = build(side=side, channels=1, classes=2, alpha=0.25)
    assert gray.count_params() == black.count_params()
    gray.set_weights(black.get_weights())
    of_gray = np.asarray(keras.Model(gray.input, gray.get_layer(first.name).output)(images))
    assert of_gray.shape == found.shape
    assert not np.allclose(of_gray[:, -1], expected[:, -1])
    np.testing.assert_allclose(of_gray[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize(
    ("build", "options", "operators"),
    [
        (mobilenet_v2, {}, COMMON | {"ADD", "FULLY_CONNECTED"}),
        (mobilenet_v1, {"border": "black", "activation": "relu"}, COMMON | {"PADV2"}),
    ],
    ids=["mobilenet_v2", "mobilenet_v1_black_border_relu"],
)
def test_model_in_full_int8_runs_under_tflm_like_the_reference(build, options, operators, tmp_path):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(7)
    coarse = np.kron(random.integers(0, 256, (80, 6, 6, 1)), np.ones((1, 8, 8, 1)))
    rasters = (coarse + random.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8)
    images = pixels.normalize(rasters.astype(np.float32))
    model = build(side=SIDE, channels=1, classes=2, alpha=0.25, dropout=0.0, batch_norm_momentum=0.0, **options)
    model(images[:64], training=True)  # with momentum 0, one pass makes the statistics those of its batch

    def classify(image):
        return {features.PROBABILITIES: tf.nn.softmax(model(image, training=False))}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("pixels", classify, [tf.TensorSpec([1, SIDE, SIDE, 1], tf.float32, name=features.IMAGE)])
    archive.write_out(str(tmp_path), verbose=False)
    flatbuffer = convert_full_integer(tmp_path, "pixels", pin_input_range(images[:40]))
    report = inspect_flatbuffer(flatbuffer)
    assert {use.name for use in report.ops} <= operators
    assert operators - COMMON <= {use.name for use in report.ops}
    codes = pixels.quantize(rasters)
    run = run_under_tflm(flatbuffer, codes, time_limit_s=120)
    assert run.failure is None
    parity = compare_outputs(run.outputs, run_reference(flatbuffer, codes))
    assert parity.max_difference_lsb <= 1
    assert len(np.unique(run.outputs[0])) > 10  # agreement on constant outputs would show nothing
    wanted = np.asarray(tf.nn.softmax(model(images, training=False)))
    # Random weights amplify every rounding, so the answers of int8 only have to go with those of float.
    assert np.corrcoef(run.outputs[0][:, 1], wanted[:, 1])[0, 1] > 0.5


@pytest.mark.parametrize("backbone", CLASSIFIERS)
def test_kernels_of_one_shape_start_with_other_numbers(backbone):
    model = CLASSIFIERS[backbone](side=SIDE, channels=1, classes=2, alpha=0.25)
    kernels = [weight.numpy() for weight in model.weights if weight.path.endswith("kernel")]
    assert len(kernels) > 25
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)
    assert np.std(np.concatenate([kernel.ravel() for kernel in kernels])) == pytest.approx(0.09, rel=0.15)
