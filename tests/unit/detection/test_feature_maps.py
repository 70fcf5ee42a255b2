"""Feature maps: their sides, the published ones among them, and what cannot be built."""

import pytest

from components.detection.feature_maps import anchor_maps, feature_layers, feature_map_sides
from components.detection.options import AnchorOptions, DetectorNetwork
from components.errors import ConfigError

PPN = DetectorNetwork(pyramid="ppn", shares_heads=True, anchors=AnchorOptions(reduces_lowest=False))


def of(*layers, base=DetectorNetwork()):  # noqa: B008  # frozen
    return base.model_copy(update={"feature_layers": layers})


def with_scales(*scales):
    return DetectorNetwork(anchors=AnchorOptions(scales=scales))


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize(
    ("side", "sides"),
    [
        (300, (19, 10, 5, 3, 2, 1)),
        (320, (20, 10, 5, 3, 2, 1)),
        (512, (32, 16, 8, 4, 2, 1)),
        (160, (10, 5, 3, 2, 1)),
        (97, (7, 4, 2, 1)),
        (96, (6, 3, 2, 1)),
        (33, (3, 2, 1)),
    ],
)
def test_published_layers_and_extra_maps_halve_rounding_up_to_one_cell(backbone, side, sides):
    assert feature_map_sides(backbone, side, DetectorNetwork()) == sides
    assert feature_map_sides(backbone, side, PPN) == sides


def test_published_configuration_has_1917_anchors_and_the_pooling_pyramids_3000():
    assert sum(each.count for each in anchor_maps("mobilenet_v1", 300, DetectorNetwork())) == 1917
    assert sum(each.count for each in anchor_maps("mobilenet_v1", 300, PPN)) == 3000


def test_feature_map_sides_fewer_extra_filters_end_earlier():
    assert feature_map_sides("mobilenet_v1", 300, DetectorNetwork(extra_filters=(64,))) == (19, 10, 5)
    assert feature_map_sides("mobilenet_v1", 300, DetectorNetwork(extra_filters=())) == (19, 10)


def test_feature_map_sides_stated_layers_are_those_of_the_backbone():
    layers = DetectorNetwork(feature_layers=("block_5", "block_11", "block_13"), extra_filters=())
    assert feature_map_sides("mobilenet_v1", 96, layers) == (12, 6, 3)
    # An expansion stands before its block's stride.
    layers = DetectorNetwork(feature_layers=("block_6_expand", "block_6"), extra_filters=())
    assert feature_map_sides("mobilenet_v2", 96, layers) == (12, 6)


def test_feature_layers_of_a_pooling_pyramid_is_the_first_published_one():
    assert feature_layers("mobilenet_v1", PPN) == ("block_11",)
    assert feature_layers("mobilenet_v2", PPN) == ("block_13_expand",)


@pytest.mark.parametrize(
    ("network", "message", "advice"),
    [
        (DetectorNetwork(), "transform.side: 32 is too small for the feature maps: block_13", "at least 33 pixels"),
        (of("block_14"), "feature_layers: mobilenet_v1 has no block 'block_14'", "conv1, "),
        (of("head"), "feature_layers: mobilenet_v1 has no block 'head'", "block_13"),
        (of("block_5", "block_3"), "received block_5, block_3", "upwards"),
        (of("block_5", "block_5"), "received block_5, block_5", "once"),
        (of("block_3", "block_5", base=PPN), "ppn pools every map out of one", "block_11"),
    ],
)
def test_feature_map_sides_what_cannot_be_built_is_refused_with_advice(network, message, advice):
    with pytest.raises(ConfigError) as raised:
        feature_map_sides("mobilenet_v1", 32, network)
    assert message in raised.value.message
    assert advice in str(raised.value)


def test_anchor_maps_other_number_of_scales_than_maps_is_refused():
    assert [each.count for each in anchor_maps("mobilenet_v1", 96, with_scales(0.2, 0.4, 0.6, 0.8))] == [108, 54, 24, 6]
    with pytest.raises(ConfigError, match=r"anchors\.scales: received 2 for 4 feature maps") as raised:
        anchor_maps("mobilenet_v1", 96, with_scales(0.2, 0.4))
    assert raised.value.expected == "one for each, of 6, 3, 2, 1 cells a side at transform.side=96"


@pytest.mark.parametrize(
    ("side", "changes", "received"),
    [
        (512, {"feature_layers": ("block_1", "block_13")}, "198,654, of"),
        (96, {"anchors": AnchorOptions(aspect_ratios=(1.0, 100.0))}, "to 9.5 sides"),
        (96, {"anchors": AnchorOptions(aspect_ratios=(1e300,))}, "sides"),
        (96, {"anchors": AnchorOptions(min_scale=1e-9)}, "e-10 to"),
    ],
)
def test_anchor_maps_that_no_microcontroller_could_decode_are_refused_before_training(side, changes, received):
    with pytest.raises(ConfigError, match=r"anchors: the fixed-point decoder cannot hold these") as raised:
        anchor_maps("mobilenet_v1", side, DetectorNetwork().model_copy(update=changes))
    assert received in raised.value.message
