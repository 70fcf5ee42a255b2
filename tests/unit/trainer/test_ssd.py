"""Detectors as they are built: outputs, names, the published configuration, and what a stage trains of them."""

import keras
import numpy as np
import pytest

from components.detection.feature_maps import anchor_maps
from components.detection.options import AnchorOptions, DetectorNetwork
from components.trainer.job import Architecture
from components.trainer.models.build import build_architecture
from components.trainer.stages import HEAD, block_of, freeze_below

PPN = DetectorNetwork(
    pyramid="ppn",
    shares_heads=True,
    head_filters=64,
    anchors=AnchorOptions(reduces_lowest=False, scales=(0.2, 0.4, 0.9)),
)
SHARED = DetectorNetwork(shares_heads=True, head_kernel=3, anchors=AnchorOptions(reduces_lowest=False))


def build(network, backbone="mobilenet_v1", side=33, labels=3, **changes):
    fields = {"alpha": 0.25, "channels": 1, "activation": "relu6", "border": "gray"} | changes
    architecture = Architecture(backbone=backbone, side=side, label_count=labels, detector=network, **fields)
    return build_architecture(architecture, dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.9, class_prior=0.25)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize(
    ("network", "side", "changes"),
    [
        (DetectorNetwork(), 96, {}),
        (DetectorNetwork(separable_extras=False, outputs="per_map"), 49, {"border": "black", "channels": 3}),
        (DetectorNetwork(feature_layers=("block_3", "block_5"), extra_filters=()), 64, {"activation": "relu"}),
        (PPN, 33, {}),
        (SHARED, 80, {}),
    ],
)
def test_detector_gives_a_box_and_logits_for_each_anchor_and_starts_from_the_prior(backbone, network, side, changes):
    model = build(network, backbone, side, **changes)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
    found = model(images, training=True)
    anchors = sum(each.count for each in anchor_maps(backbone, side, network))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (2, anchors, 4), "scores": (2, anchors, 2),
    }  # fmt: skip
    assert np.median(keras.ops.sigmoid(found["scores"])) == pytest.approx(0.25, abs=0.08)
    assert np.abs(np.median(found["boxes"])) < 0.5


def test_published_configuration_has_its_layers():
    network = DetectorNetwork(separable_extras=False)
    model = build(network, side=300, labels=91, channels=3, alpha=1.0)
    assert {name: x.shape for name, x in model.output.items()} == {"boxes": (None, 1917, 4), "scores": (None, 1917, 90)}
    assert [model.get_layer(f"extra_{n}_conv").filters for n in range(1, 5)] == [512, 256, 256, 128]
    assert [model.get_layer(f"extra_{n}_reduce").filters for n in range(1, 5)] == [256, 128, 128, 64]
    heads = [model.get_layer(f"{name}_{n}") for name in ("boxes", "scores") for n in range(6)]
    assert [head.filters for head in heads] == [12, 24, 24, 24, 24, 24, 270, 540, 540, 540, 540, 540]


def test_widths_of_what_is_added_follow_alpha_by_the_backbones_rule():
    assert build(DetectorNetwork(), side=96).get_layer("extra_1_pw").filters == 128
    assert build(DetectorNetwork(extra_filters=(50,)), side=96).get_layer("extra_1_pw").filters == 12
    assert build(DetectorNetwork(extra_filters=(50,)), "mobilenet_v2", 96).get_layer("extra_1_pw").filters == 16


def test_outputs_have_the_anchors_order_map_by_map_row_by_row_shape_by_shape():
    model = build(DetectorNetwork(), side=33)
    # A head that says of every cell and shape where it is: 10 * row + column, and the shape.
    names = ["boxes_0_by_anchor", "boxes_1_by_anchor", "boxes_2_by_anchor"]
    maps = anchor_maps("mobilenet_v1", 33, DetectorNetwork())
    for name, each in zip(names, maps, strict=True):
        rows, columns, shapes = each.rows, each.columns, len(each.shapes_hw)
        said = np.zeros((1, rows, columns, shapes, 4), np.float32)
        said[..., 0] = np.arange(rows)[:, None, None]
        said[..., 1] = np.arange(columns)[None, :, None]
        said[..., 2] = np.arange(shapes)
        flat = model.get_layer(name)(said.reshape(1, rows, columns, -1))
        np.testing.assert_array_equal(flat[0], said.reshape(-1, 4))


def test_shared_heads_are_one_layer_for_all_maps():
    heads = [layer for layer in build(PPN).layers if layer.weights and block_of(layer.name, "mobilenet_v1") == HEAD]
    assert [layer.name for layer in heads] == ["head", "shared_boxes", "shared_scores"]


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("network", [DetectorNetwork(), PPN, SHARED], ids=["ssd", "ppn", "shared"])
def test_stage_of_the_head_trains_extras_and_heads_and_nothing_of_the_backbone(backbone, network):
    model = build(network, backbone)
    freeze_below(model, backbone, HEAD)
    trained = {layer.name for layer in model.layers if layer.weights and layer.trainable}
    assert trained
    assert all(name.startswith(("extra_", "boxes_", "scores_", "shared_", "head", "project_")) for name in trained)
    assert {name for name in trained if name.startswith("extra_")} or network.pyramid == "ppn"
