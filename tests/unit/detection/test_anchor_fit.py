import numpy as np
import pytest

from components.detection.anchor_boxes import anchors_yxhw, to_yxyx
from components.detection.anchor_fit import best_ious
from components.detection.anchor_proposal import cluster_shapes, propose_anchors
from components.detection.coding import iou_yxyx
from components.detection.feature_maps import anchor_maps, finer_layers
from components.detection.options import AnchorOptions, DetectorNetwork

SSD = DetectorNetwork()


def draw_boxes(count, low, high, seed=1):
    """Boxes with sides between two shares of the image, clipped to it."""
    random = np.random.default_rng(seed)
    centres, sizes = random.uniform(0, 1, (count, 2)), random.uniform(low, high, (count, 2))
    return np.clip(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1), 0, 1)


@pytest.mark.parametrize("side", [96, 160, 300])
@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
def test_best_ious_are_those_with_all_anchors(backbone, side):
    maps = anchor_maps(backbone, side, SSD)
    boxes = np.concatenate([draw_boxes(60, 0.01, 0.2), draw_boxes(60, 0.1, 1.0), [[0, 0, 1, 1], [0.5, 0.5, 1, 1]]])
    brute = iou_yxyx(boxes.astype(np.float32), to_yxyx(anchors_yxhw(maps)))
    np.testing.assert_allclose(best_ious(boxes, maps), brute.max(axis=1), atol=2e-6)


def test_best_ious_of_an_anchor_itself_is_1_and_of_no_boxes_nothing():
    maps = anchor_maps("mobilenet_v1", 96, SSD)
    np.testing.assert_allclose(best_ious(to_yxyx(anchors_yxhw(maps)).astype(np.float64), maps), 1, atol=1e-5)
    assert best_ious(np.zeros((0, 4)), maps).shape == (0,)


def test_cluster_shapes_finds_the_shapes_that_there_are():
    random = np.random.default_rng(2)
    true = np.array([[0.05, 0.1], [0.3, 0.1], [0.5, 0.6]])
    shapes = np.concatenate([shape * random.uniform(0.95, 1.05, (50, 2)) for shape in true])
    np.testing.assert_allclose(cluster_shapes(shapes, 3), true, rtol=0.05)
    np.testing.assert_array_equal(cluster_shapes(shapes, 3), cluster_shapes(shapes, 3))


def test_cluster_shapes_of_fewer_shapes_than_clusters_repeats_them():
    np.testing.assert_array_equal(cluster_shapes(np.full((4, 2), 0.25), 3), np.full((3, 2), 0.25))


def test_propose_anchors_of_small_boxes_match_more_with_scales_of_their_size():
    boxes = draw_boxes(400, 0.08, 0.12)
    found = propose_anchors(boxes, "mobilenet_v1", 160, SSD, 0.5)
    before, after = (best_ious(boxes, anchor_maps("mobilenet_v1", 160, each)) for each in (SSD, found.network))
    assert after.mean() > before.mean() + 0.1
    assert (after >= 0.5).sum() > (before >= 0.5).sum()
    assert any(setting.startswith("trainer.detector.anchors.scales=[0.") for setting in found.settings)
    assert found == propose_anchors(boxes, "mobilenet_v1", 160, SSD, 0.5)


def test_propose_anchors_names_a_finer_layer_where_cells_are_too_far_apart():
    found = propose_anchors(draw_boxes(400, 0.05, 0.07), "mobilenet_v2", 160, SSD, 0.5)
    assert "trainer.detector.feature_layers=[block_6_expand, block_13_expand, Conv_1]" in found.settings
    large = propose_anchors(draw_boxes(400, 0.5, 0.9), "mobilenet_v2", 160, SSD, 0.5)
    assert large is None or not any("feature_layers" in setting for setting in large.settings)


def test_propose_anchors_of_boxes_that_are_anchors_is_none():
    boxes = to_yxyx(anchors_yxhw(anchor_maps("mobilenet_v1", 96, SSD))).astype(np.float64)
    assert propose_anchors(boxes, "mobilenet_v1", 96, SSD, 0.5) is None


def test_propose_anchors_of_a_single_box_and_of_shared_heads_can_be_built():
    shared = DetectorNetwork(pyramid="ppn", shares_heads=True, anchors=AnchorOptions(reduces_lowest=False))
    for network in (SSD, shared):
        found = propose_anchors(np.array([[0.1, 0.2, 0.15, 0.9]]), "mobilenet_v1", 96, network, 0.5)
        assert found is not None
        again = DetectorNetwork.model_validate(found.network.model_dump())
        assert anchor_maps("mobilenet_v1", 96, again)
        assert not any("reduces_lowest" in setting for setting in found.settings) or network is SSD


def test_finer_layers_halve_the_stride_down_to_8():
    assert finer_layers("mobilenet_v1", SSD) == (("block_5", "block_11", "block_13"),)
    assert finer_layers("mobilenet_v1", DetectorNetwork(feature_layers=("block_3",))) == ()
    deep = DetectorNetwork(feature_layers=("block_13",))
    assert finer_layers("mobilenet_v1", deep) == (("block_11", "block_13"), ("block_5", "block_11", "block_13"))


def test_propose_anchors_of_hairlines_are_none_that_no_decoder_holds():
    hairlines = np.array([[0.1 * n, 0.02, 0.1 * n + 0.0005, 0.98] for n in range(9)])
    lone = DetectorNetwork(anchors=AnchorOptions(aspect_ratios=(1.0,)))
    found = propose_anchors(hairlines, "mobilenet_v1", 96, lone, 0.5)
    assert found is None or anchor_maps("mobilenet_v1", 96, found.network)
