"""Anchors against SSD's rule and the published configuration."""

import math

import numpy as np
import pytest

from components.detection.anchor_boxes import anchors_yxhw, to_yxyx
from components.detection.anchors import lay_anchors
from components.detection.options import AnchorOptions

# Feature maps of ssd_mobilenet_v1_coco at 300x300.
PUBLISHED_SIDES = (19, 10, 5, 3, 2, 1)


def test_published_configuration_has_its_1917_anchors():
    maps = lay_anchors(AnchorOptions(), PUBLISHED_SIDES)
    assert [each.count for each in maps] == [19 * 19 * 3, 600, 150, 54, 24, 6]
    assert anchors_yxhw(maps).shape == (1917, 4)


def test_published_configuration_scales_lie_evenly_from_the_first_map_to_the_last():
    maps = lay_anchors(AnchorOptions(), PUBLISHED_SIDES)
    # multiple_grid_anchor_generator.py: 0.2 + 0.75 * i / 5, squares first, the interpolated one last.
    assert [each.shapes_hw[0] for each in maps[1:]] == [pytest.approx((s, s)) for s in (0.35, 0.5, 0.65, 0.8, 0.95)]
    assert [each.shapes_hw[-1][0] for each in maps[1:]] == pytest.approx(
        [math.sqrt(a * b) for a, b in ((0.35, 0.5), (0.5, 0.65), (0.65, 0.8), (0.8, 0.95), (0.95, 1.0))]
    )
    assert maps[0].shapes_hw == (
        (0.1, 0.1),
        pytest.approx((0.2 / math.sqrt(2), 0.2 * math.sqrt(2))),
        pytest.approx((0.2 * math.sqrt(2), 0.2 / math.sqrt(2))),
    )


def test_anchors_go_row_by_row_column_by_column_shape_by_shape():
    options = AnchorOptions(aspect_ratios=(1.0,), reduces_lowest=False, scales=(0.5,))
    found = anchors_yxhw(lay_anchors(options, [2]))
    assert found[:, :2].tolist() == [[0.25, 0.25]] * 2 + [[0.25, 0.75]] * 2 + [[0.75, 0.25]] * 2 + [[0.75, 0.75]] * 2
    np.testing.assert_allclose(found[:2, 2:], [[0.5, 0.5], [math.sqrt(0.5)] * 2], rtol=1e-6)


def test_lay_anchors_of_other_than_one_scale_a_map_is_refused():
    with pytest.raises(ValueError, match="one for each of 3 feature maps, received 2"):
        lay_anchors(AnchorOptions(scales=(0.2, 0.5)), [12, 6, 3])


def test_anchor_options_falling_scales_are_refused():
    with pytest.raises(ValueError, match=r"min_scale, max_scale: expected rising numbers, received 0\.5, 0\.3"):
        AnchorOptions(min_scale=0.5, max_scale=0.3)


def test_to_yxyx_is_centre_less_and_plus_half_the_size():
    assert to_yxyx(np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)).tolist() == [pytest.approx([0.4, 0.2, 0.6, 0.3])]
