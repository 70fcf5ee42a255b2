"""Files of Keras 1, 2 (tf_keras) and 3, and the MLPerf Tiny reference beside the checkout, into our models."""

import json
import os
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from components.errors import ModelError
from components.exported_model import WEIGHTS_REPORT
from components.trainer.initial_weights import (
    copy_report,
    load_initial_weights,
    start_from,
)
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.options import Adam, CosineSchedule, TrainerOptions
from components.trainer.weights_file import hash_weights
from components.trainer.weights_report import Outcome, WeightsReport

SHARED = Path(__file__).resolve().parents[4] / "shared"
SIDE = 32
OURS = {"mobilenet_v1": (mobilenet_v1, 0.25), "mobilenet_v2": (mobilenet_v2, 0.35)}


def build_ours(backbone="mobilenet_v1", channels=3, classes=2, side=SIDE, **options):
    build, alpha = OURS[backbone]
    return build(side=side, channels=channels, classes=classes, alpha=options.pop("alpha", alpha), **options)


def build_published(backbone, library=keras, *, top=True, classes=2, black=-1, white=1):
    """The network of keras.applications, randomized for images in [black, white]."""
    build = {"mobilenet_v1": library.applications.MobileNet, "mobilenet_v2": library.applications.MobileNetV2}[backbone]
    options = {"classes": classes, "classifier_activation": None} if top else {}
    model = build((SIDE, SIDE, 3), alpha=OURS[backbone][1], weights=None, include_top=top, **options)
    randomize(model, in_range(images(count=16), black, white))
    return model


def randomize(model, calibration):
    """Draws weights, and statistics of normalization that fit, so that different images get different logits."""
    random = np.random.default_rng(0)

    def draw(name, shape):
        match name.split("/")[-1].partition(":")[0]:
            case "kernel" | "depthwise_kernel":
                return random.normal(0, 0.2, shape)
            case "gamma":
                return random.uniform(0.7, 1.3, shape)
            case _:
                return random.normal(0, 0.3, shape)

    model.set_weights([draw(w.name, tuple(w.shape)) for w in model.weights])
    norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    for layer in norms:
        layer.momentum = 0.0  # one pass makes the statistics those of its batch
    model(calibration, training=True)
    for layer in norms:
        layer.momentum = 0.99


def in_range(values, black, white):
    """[-1, 1] to [black, white]."""
    return black + (values + 1) / 2 * (white - black)


def load(model, path, input_range="-1..1"):
    return load_initial_weights(model, Path(path), location=str(path), sha256="0" * 64, input_range=input_range)


def outcomes(report):
    return {layer.layer: layer.outcome for layer in report.layers}


def images(channels=3, count=3):
    """Noise of its own brightness in each image: float32 in [-1, 1]."""
    noise = np.random.default_rng(1).uniform(-0.4, 0.4, (count, SIDE, SIDE, channels))
    return (noise + np.linspace(-0.6, 0.6, count)[:, None, None, None]).astype(np.float32)


def assert_same_logits(found, expected):
    expected = np.asarray(expected).reshape(found.shape)
    assert expected.std(axis=0).max() > 0.01 * np.abs(expected).max()  # the images tell in them
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def write_h5(path, layers, config=None):
    """The layout of Keras 1 and 2: `layers` are (name, {weight: array}) pairs."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, arrays in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in arrays]
            for weight, array in arrays.items():
                group[weight] = array
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
    return path


def layers_of(model):
    """The layers of a Keras model as `write_h5` takes them, named as Keras 2 does."""
    return [
        (layer.name, {f"{layer.name}/{w.name.split('/')[-1]}:0": np.asarray(w) for w in layer.weights})
        for layer in model.layers
        if layer.weights
    ]


# Every format, both backbones, from what Keras 2 and 3 really write.


def save_keras_2_h5(model, path):
    model.save(path / "model.h5")
    return path / "model.h5"


def save_keras_2_weights(model, path):
    model.save_weights(path / "weights.h5")
    return path / "weights.h5"


def save_keras_2_saved_model(model, path):
    model.save(path / "saved_model", save_format="tf")
    return path / "saved_model"


def save_keras_3_h5(model, path):
    model.save(path / "model.h5")
    return path / "model.h5"


def save_keras_3_archive(model, path):
    model.save(path / "model.keras")
    return path / "model.keras"


def save_keras_3_weights(model, path):
    model.save_weights(path / "model.weights.h5")
    return path / "model.weights.h5"


def save_keras_3_saved_model(model, path):
    model.export(path / "exported", verbose=False)
    return path / "exported"


@pytest.mark.parametrize("backbone", OURS)
@pytest.mark.parametrize(
    ("library", "save"),
    [
        (tf_keras, save_keras_2_h5),
        (tf_keras, save_keras_2_weights),
        (tf_keras, save_keras_2_saved_model),
        (keras, save_keras_3_h5),
        (keras, save_keras_3_archive),
        (keras, save_keras_3_weights),
        (keras, save_keras_3_saved_model),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_load_network_of_keras_applications_gives_its_logits(backbone, library, save, tmp_path):
    published = build_published(backbone, library)
    ours = build_ours(backbone)
    report = load(ours, save(published, tmp_path))
    assert report.matched_by == "name"
    assert set(outcomes(report).values()) == {Outcome.LOADED}
    assert [layer.layer for layer in report.layers] == [layer.name for layer in ours.layers if layer.weights]
    assert (report.unused, report.notes) == ((), ())
    assert_same_logits(ours(images(), training=False), published(images(), training=False))


@pytest.mark.parametrize("backbone", OURS)
def test_load_imagenet_layout_without_classifier_leaves_ours_fresh(backbone, tmp_path):
    """The published files cannot be had here; Keras 2 wrote them as it writes this one."""
    published = build_published(backbone, tf_keras, top=False)
    ours = build_ours(backbone, channels=1)
    head = ours.layers[-2] if backbone == "mobilenet_v1" else ours.layers[-1]
    before = np.asarray(head.kernel)
    report = load(ours, save_keras_2_weights(published, tmp_path))
    *backbone_layers, last = report.layers
    assert backbone_layers[0].details == ("RGB to gray: kernel summed over the channels",)
    assert {layer.outcome for layer in backbone_layers[1:]} == {Outcome.LOADED}
    assert (last.layer, last.outcome, last.source) == (head.name, Outcome.FRESH, None)
    assert last.details == ("the file has no classifier",)
    np.testing.assert_array_equal(head.kernel, before)
    gray = images(channels=1)
    features = keras.Model(ours.input, ours.get_layer("pool").input)(gray)
    assert_same_logits(np.asarray(features), published(np.repeat(gray, 3, axis=3), training=False))


def test_load_classifier_of_other_labels_leaves_ours_fresh(tmp_path):
    published = build_published("mobilenet_v1", classes=7)
    report = load(build_ours(), save_keras_3_archive(published, tmp_path))
    last = report.layers[-1]
    assert (last.outcome, last.details) == (Outcome.FRESH, ("conv_preds has 7 labels, this model 2",))
    assert report.unused == ("conv_preds",)
    assert report.summary().endswith("by name: 54 loaded, 0 adapted, 1 fresh (conv_preds)")


# By order, and what is adapted.


def rename(layers, form="layer_{}"):
    return [
        (form.format(n), {f"{form.format(n)}/{w.split('/')[-1]}": a for w, a in arrays.items()})
        for n, (_, arrays) in enumerate(layers)
    ]


@pytest.mark.parametrize("backbone", OURS)
def test_load_unknown_names_are_matched_by_order(backbone, tmp_path):
    published = build_published(backbone)
    ours = build_ours(backbone)
    report = load(ours, write_h5(tmp_path / "w.h5", rename(layers_of(published))))
    assert report.matched_by == "order"
    assert [layer.source for layer in report.layers] == [f"layer_{n}" for n in range(len(report.layers))]
    assert_same_logits(ours(images(), training=False), published(images(), training=False))


def test_load_keras_1_names_are_understood(tmp_path):
    published = build_published("mobilenet_v1")
    leaves = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    layers = []
    for n, (_, arrays) in enumerate(layers_of(published)):
        short = {w.split("/")[-1].split(":")[0]: a for w, a in arrays.items()}
        layers.append((f"layer_{n}", {f"layer_{n}_{leaves.get(w, w)}": a for w, a in short.items()}))
    ours = build_ours()
    load(ours, write_h5(tmp_path / "w.h5", layers))
    assert_same_logits(ours(images(), training=False), published(images(), training=False))


def test_load_biases_of_convolutions_are_folded_exactly(tmp_path):
    published = build_published("mobilenet_v1")
    random = np.random.default_rng(2)
    layers, shifted = layers_of(published), []
    for name, arrays in layers:
        kernel = next((a for w, a in arrays.items() if w.endswith("kernel:0")), None)
        if kernel is not None and name != "conv_preds":
            width = kernel.shape[2] if name.startswith("conv_dw") else kernel.shape[3]
            bias = random.normal(0, 1, width).astype(np.float32)
            shifted.append((name, {**arrays, f"{name}/bias:0": bias}))
            mean, *_ = (w for w in published.get_layer(f"{name}_bn").weights if w.name == "moving_mean")
            mean.assign(np.asarray(mean) - bias)  # which is what a bias before a normalization means
        else:
            shifted.append((name, arrays))
    ours = build_ours()
    report = load(ours, write_h5(tmp_path / "w.h5", shifted))
    assert outcomes(report)["conv_dw_1"] == Outcome.ADAPTED
    assert_same_logits(ours(images(), training=False), published(images(), training=False))


@pytest.mark.parametrize(("input_range", "black", "white"), [("0..1", 0, 1), ("0..255", 0, 255)])
def test_load_other_input_range_with_a_black_border_gives_the_same_logits(input_range, black, white, tmp_path):
    published = build_published("mobilenet_v1", black=black, white=white)
    ours = build_ours(border="black")
    report = load(ours, save_keras_3_h5(published, tmp_path), input_range)
    assert outcomes(report)["conv1"] == outcomes(report)["conv1_bn"] == Outcome.ADAPTED
    assert report.notes == ()
    theirs = in_range(images(), black, white)
    assert_same_logits(ours(images(), training=False), published(theirs, training=False))


@pytest.mark.parametrize(("input_range", "border"), [("0..1", "gray"), ("-1..1", "black")])
def test_load_with_the_border_of_another_range_differs_there_only_and_says_so(input_range, border, tmp_path):
    published = build_published("mobilenet_v1")
    ours = build_ours(border=border)
    report = load(ours, save_keras_3_h5(published, tmp_path), input_range)
    assert "outermost row and column" in report.notes[0]
    theirs = images() if input_range == "-1..1" else (images() + 1) / 2
    found = np.asarray(keras.Model(ours.input, ours.get_layer("conv1_bn").output)(images()))
    expected = np.asarray(keras.Model(published.input, published.get_layer("conv1_bn").output)(theirs))
    np.testing.assert_allclose(found[:, :-1, :-1], expected[:, :-1, :-1], atol=1e-4)
    assert np.abs(found[:, -1] - expected[:, -1]).max() > 0.01


def test_load_gray_weights_into_rgb_answer_to_the_mean_of_the_channels(tmp_path):
    gray = build_ours(channels=1)
    randomize(gray, images(channels=1, count=16))
    ours = build_ours(channels=3)
    report = load(ours, save_keras_3_archive(gray, tmp_path))
    assert report.layers[0].details == ("gray to RGB: a third of the kernel in each channel",)
    expected = gray(images().mean(axis=3, keepdims=True), training=False)
    assert_same_logits(ours(images(), training=False), expected)


def test_load_file_that_lacks_a_layer_names_it_as_fresh(tmp_path):
    layers = [pair for pair in layers_of(build_published("mobilenet_v1")) if not pair[0].startswith("conv_pw_13")]
    report = load(build_ours(), write_h5(tmp_path / "w.h5", layers))
    fresh = {layer.layer: layer.details for layer in report.layers if layer.outcome == Outcome.FRESH}
    assert fresh == dict.fromkeys(("conv_pw_13", "conv_pw_13_bn"), ("the file has no layer of this name",))


@pytest.mark.parametrize(
    ("activation", "notes"),
    [("relu", ()), ("relu6", ("the source's activation is relu, this model's relu6; trainer.activation sets it",))],
)
def test_load_tells_where_the_activation_is_another(activation, notes, tmp_path):
    config = {"config": {"layers": [{"class_name": "Activation", "config": {"name": "a", "activation": "relu"}}]}}
    path = write_h5(tmp_path / "w.h5", layers_of(build_published("mobilenet_v1")), config)
    assert load(build_ours(activation=activation), path).notes == notes


# What is refused.


@pytest.mark.parametrize(
    ("source", "target", "first"),
    [
        ("mobilenet_v2", {}, "conv1, received Conv1 kernel"),
        ("mobilenet_v1", {"backbone": "mobilenet_v2"}, "Conv1, received conv1 kernel"),
        ("mobilenet_v1", {"alpha": 0.5}, "conv1, received conv1 kernel"),
    ],
)
def test_load_weights_of_another_architecture_names_the_first_layer_that_differs(source, target, first, tmp_path):
    path = save_keras_3_archive(build_published(source), tmp_path)
    ours = build_ours(**target)
    before = ours.get_weights()
    with pytest.raises(ModelError, match=rf"is of another architecture: layer \d+ of \d+, {first}") as caught:
        load(ours, path)
    assert "expected: weights of shape" in str(caught.value)
    assert "trainer.backbone and trainer.alpha" in caught.value.hint
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_load_too_few_layers_is_refused(tmp_path):
    path = write_h5(tmp_path / "w.h5", rename(layers_of(build_published("mobilenet_v1")))[:20])
    with pytest.raises(ModelError, match="layer 21 of 54, conv_pw_5, received nothing"):
        load(build_ours(), path)


def test_load_separable_convolution_fits_nowhere(tmp_path):
    layers = layers_of(build_published("mobilenet_v1"))
    layers[2][1]["conv_dw_1/pointwise_kernel:0"] = np.zeros((1, 1, 8, 16), np.float32)
    with pytest.raises(ModelError, match=r"layer 3 of 54, conv_dw_1, received .*pointwise_kernel"):
        load(build_ours(), write_h5(tmp_path / "w.h5", layers))


@pytest.mark.parametrize("save", [save_keras_3_h5, save_keras_3_archive, save_keras_3_saved_model])
def test_load_file_that_is_cut_short_is_damaged(save, tmp_path):
    path = save(build_published("mobilenet_v1"), tmp_path)
    cut = path / "variables/variables.data-00000-of-00001" if path.is_dir() else path
    os.truncate(cut, cut.stat().st_size // 2)
    with pytest.raises(ModelError, match=r"trainer\.initial_weights: .* is damaged: ") as caught:
        load(build_ours(), path)
    assert "\n" not in caught.value.message


def test_load_zip_of_something_else_is_damaged(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/config.txt").write_text("x")
    path = shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path / "folder")
    with pytest.raises(ModelError, match=r"is damaged: KeyError: .*config\.json"):
        load(build_ours(), path)


def test_load_hdf5_without_kernels_is_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["something"] = np.zeros(3)
    with pytest.raises(ModelError, match="holds no layer with a kernel"):
        load(build_ours(), tmp_path / "w.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_load_values_that_are_no_numbers_are_refused(value, tmp_path):
    layers = layers_of(build_published("mobilenet_v1"))
    layers[4][1]["conv_pw_1/kernel:0"][0, 0, 0, 0] = value
    with pytest.raises(ModelError, match="kernel of conv_pw_1 holds values that are no numbers"):
        load(build_ours(), write_h5(tmp_path / "w.h5", layers))


# In the Trainer.


def options(**changes):
    return TrainerOptions(
        **{
            "optimizer": Adam(name="adam"),
            "learning_rate": 0.01,
            "schedule": CosineSchedule(name="cosine"),
            "batch_size": 4,
            "epochs": 1,
            **changes,
        }
    )


@pytest.fixture
def weights(tmp_path):
    return save_keras_3_archive(build_published("mobilenet_v1"), tmp_path)


def test_start_from_leaves_the_report_in_the_run_and_beside_the_model(weights, tmp_path):
    run_dir, serving = tmp_path / "run", tmp_path / "model/Format-Serving"
    serving.mkdir(parents=True)
    report = start_from(
        build_ours(), options(initial_weights=str(weights)), SIDE, hash_weights(weights), report_dir=str(run_dir)
    )
    assert report.sha256 == hash_weights(weights)
    assert WeightsReport.from_json((run_dir / WEIGHTS_REPORT).read_text()) == report
    copy_report(str(run_dir), str(serving))
    assert (tmp_path / "model" / WEIGHTS_REPORT).read_text() == (run_dir / WEIGHTS_REPORT).read_text()


def test_start_from_says_one_line_in_the_log(weights, tmp_path, caplog):
    caplog.set_level("INFO")
    start_from(build_ours(), options(initial_weights=str(weights)), SIDE, None, report_dir=str(tmp_path / "run"))
    assert f"initial weights from {weights} by name: 55 loaded, 0 adapted, 0 fresh" in caplog.messages


def test_start_from_weights_that_changed_since_the_run_began_is_refused(weights, tmp_path):
    with pytest.raises(ModelError, match="has changed since the run began"):
        start_from(build_ours(), options(initial_weights=str(weights)), SIDE, "0" * 64, report_dir=str(tmp_path))


def test_start_from_nothing_keeps_the_model_and_writes_no_report(tmp_path):
    ours = build_ours()
    before = ours.get_weights()
    assert start_from(ours, options(), SIDE, None, report_dir=str(tmp_path / "run")) is None
    copy_report(str(tmp_path / "run"), str(tmp_path / "model"))
    assert not list(tmp_path.iterdir())
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# The MLPerf Tiny reference: MobileNet v1 0.25, 96x96x3 in [0, 1], plain ReLU, biases, names of its own.


@pytest.fixture(scope="module")
def reference():
    """Path of its weights, photographs uint8 [n, 96, 96, 3], and `run`, the reference's own probabilities for such."""
    for part in ("models/vww_96.h5", "models/vww_96_float.tflite", "data/coco128/images"):
        if not (SHARED / part).exists():
            pytest.skip(f"{SHARED / part} is not there; it comes with the workspace, not with the repository")
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    files = sorted((SHARED / "data/coco128/images").iterdir())
    rasters = np.stack([np.asarray(Image.open(f).convert("RGB").resize((96, 96))) for f in files])
    interpreter = Interpreter(str(SHARED / "models/vww_96_float.tflite"))
    interpreter.allocate_tensors()
    source, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(rasters):
        rows = []
        for raster in rasters:
            interpreter.set_tensor(source, raster[np.newaxis].astype(np.float32) / 255)
            interpreter.invoke()
            rows.append(interpreter.get_tensor(answer)[0].copy())
        return np.stack(rows)

    return SHARED / "models/vww_96.h5", rasters, run


def probabilities(model, rasters):
    return np.asarray(tf.nn.softmax(model(rasters.astype(np.float32) / 127.5 - 1, training=False)))


def test_reference_in_our_rgb_model_gives_its_probabilities(reference):
    path, rasters, run = reference
    ours = build_ours(side=96, activation="relu", border="black")
    report = load(ours, path, "0..1")
    assert (report.matched_by, report.notes, report.unused) == ("order", (), ())
    assert set(outcomes(report).values()) == {Outcome.ADAPTED}
    expected = run(rasters)
    assert expected[:, 1].max() - expected[:, 1].min() > 0.9
    assert np.abs(probabilities(ours, rasters) - expected).max() < 1e-4  # 1.3e-6 when this was written


def test_reference_in_our_gray_model_gives_its_probabilities_for_gray_photographs(reference):
    path, rasters, run = reference
    gray = np.rint(rasters[:40] @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., np.newaxis]
    ours = build_ours(channels=1, side=96, activation="relu", border="black")
    load(ours, path, "0..1")
    assert np.abs(probabilities(ours, gray) - run(np.repeat(gray, 3, axis=3))).max() < 1e-4


def test_reference_has_activations_above_6(reference):
    path, rasters, _ = reference
    ours = build_ours(side=96, activation="relu", border="black")
    load(ours, path, "0..1")
    outputs = [layer.output for layer in ours.layers if isinstance(layer, keras.layers.ReLU)]
    highest = [float(np.max(a)) for a in keras.Model(ours.input, outputs)(rasters[:40] / 127.5 - 1)]
    assert sum(value > 6 for value in highest) > 20
    assert max(highest) > 15


def test_reference_in_a_model_of_other_activation_and_border_differs_a_little_and_says_so(reference):
    path, rasters, run = reference
    expected = run(rasters)
    # The largest and mean differences that docs/transfer-learning.md states.
    for changes, largest, mean, notes in (
        ({"activation": "relu"}, 0.1002, 0.0185, 1),
        ({"border": "black"}, 0.0712, 0.0232, 1),
        ({}, 0.1427, 0.0357, 2),
    ):
        ours = build_ours(side=96, **changes)
        assert len(load(ours, path, "0..1").notes) == notes
        difference = np.abs(probabilities(ours, rasters) - expected)
        assert difference.max() == pytest.approx(largest, rel=0.3)
        assert difference.mean() == pytest.approx(mean, rel=0.3)
