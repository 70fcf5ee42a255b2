"""Initial weights of detectors: from classifiers, and from detectors of other labels, anchors and feature maps."""

import json

import keras
import numpy as np
import pytest

from components.detection.options import AnchorOptions, DetectorNetwork
from components.trainer.initial_weights import load_initial_weights
from components.trainer.job import Architecture
from components.trainer.models.build import build_architecture
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.signatures import export_pixels
from components.trainer.stages import HEAD, block_of
from components.trainer.weights_report import Outcome

LABELS = ("car", "dog")


def architecture(labels=3, network=DetectorNetwork(), backbone="mobilenet_v1"):  # noqa: B008  # frozen
    fields = {"alpha": 0.25, "side": 48, "channels": 1, "activation": "relu6", "border": "gray"}
    return Architecture(backbone=backbone, label_count=labels, detector=network, **fields)


def build(*args, seed=0, **kwargs):
    keras.utils.set_random_seed(seed)
    return build_architecture(architecture(*args, **kwargs), dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.9)


@pytest.fixture(scope="module")
def source():
    return build(seed=1)


@pytest.fixture(scope="module")
def file(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "detector.keras"
    source.save(path)
    return path


def load(model, path, categories=LABELS):
    return load_initial_weights(
        model, path, location=str(path), sha256="0" * 64, input_range="-1..1", categories=categories
    )


def fresh(report):
    return {layer.layer for layer in report.layers if layer.outcome == Outcome.FRESH}


def assert_taken(model, source, report):
    """Every layer that the report calls loaded has the source's weights."""
    loaded = [layer.layer for layer in report.layers if layer.outcome == Outcome.LOADED]
    assert len(loaded) + len(fresh(report)) == len(report.layers)
    for name in loaded:
        for found, expected in zip(model.get_layer(name).weights, source.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=name)


def head_of(model):
    return {layer.name for layer in model.layers if layer.weights and block_of(layer.name, "mobilenet_v1") == HEAD}


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_classifier_gives_the_backbone_and_the_heads_stay_fresh(tmp_path, suffix):
    keras.utils.set_random_seed(2)
    classifier, model = mobilenet_v1(side=32, channels=1, classes=2, alpha=0.25), build()
    classifier.save(tmp_path / f"classifier.{suffix}")
    report = load(model, tmp_path / f"classifier.{suffix}")
    assert fresh(report) == head_of(model)
    assert report.unused == ("conv_preds",)
    assert report.notes == ()
    assert_taken(model, classifier, report)


def test_detector_of_as_many_labels_gives_all_and_it_is_said_that_they_are_taken_for_ours(source, file):
    model = build()
    report = load(model, file)
    assert fresh(report) == set()
    assert_taken(model, source, report)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 48, 48, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(images)["scores"], source(images)["scores"])
    (note,) = report.notes
    assert "does not say which labels it has; its score heads are taken for those of car, dog" in note


def test_detector_of_other_labels_gives_all_but_the_score_heads(source, file):
    model = build(labels=4)
    report = load(model, file, ("car", "dog", "cat"))
    assert fresh(report) == {"scores_0", "scores_1", "scores_2"}
    assert_taken(model, source, report)
    assert report.notes == ()
    (said,) = (layer.details for layer in report.layers if layer.layer == "scores_0")
    assert said == ("the file's has kernel [1, 1, 128, 6], bias [6], this model's kernel [1, 1, 128, 9], bias [9]",)


@pytest.mark.parametrize(
    ("theirs", "is_same"), [(["background", *LABELS], True), (["background", "dog", "car"], False)]
)
def test_released_detector_of_labels_that_disagree_gives_no_score_heads_and_says_so(tmp_path, source, theirs, is_same):
    export_pixels(source, str(tmp_path / "saved_model"), architecture())
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": theirs}))
    model = build()
    report = load(model, tmp_path / "saved_model")
    assert_taken(model, source, report)
    assert fresh(report) == (set() if is_same else {"scores_0", "scores_1", "scores_2"})
    assert report.notes == (
        () if is_same else ("its labels are dog, car, this model's car, dog: the score heads start fresh",)
    )


def test_detector_of_other_anchors_and_feature_maps_gives_what_fits_and_nothing_that_hangs_on_what_does_not(file):
    # Half as many shapes of twice as many labels have score heads of the same shape.
    network = DetectorNetwork(
        anchors=AnchorOptions(aspect_ratios=(1.0, 2.0, 0.5), has_interpolated_scale=False), extra_filters=(256,)
    )
    report = load(build(labels=5, network=network), file, None)
    outcomes = {layer.layer: layer for layer in report.layers}
    assert {name for name in fresh(report) if name.startswith("scores")} == {"scores_0", "scores_1", "scores_2"}
    assert outcomes["scores_1"].details == ("boxes_1 is fresh",)
    assert outcomes["boxes_0"].outcome == Outcome.LOADED  # the reduced map has three shapes either way
    assert {"extra_1_reduce", "extra_1_reduce_bn", "extra_1_dw", "extra_1_pw", "extra_1_pw_bn"} <= fresh(report)
    assert outcomes["extra_1_pw_bn"].details == ("extra_1_pw is fresh",)


def test_detectors_weights_in_a_classifier_leave_its_head_fresh(file, source):
    classifier = mobilenet_v1(side=32, channels=1, classes=12, alpha=0.25)
    report = load(classifier, file)
    assert fresh(report) == {"conv_preds"}
    assert_taken(classifier, source, report)
