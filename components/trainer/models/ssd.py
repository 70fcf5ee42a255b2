"""SSD (Liu et al., arXiv 1512.02325) on a MobileNet, as tensorflow/models' object_detection builds it.

Sources, below research/object_detection there: models/ssd_mobilenet_v1_feature_extractor.py and its ppn sibling,
models/feature_map_generators.py, core/box_predictor.py.

The backbone's layers keep their names, so that a classifier's weights map. On them stand, block by block:

    extra_1_reduce               1x1 convolution to half the width, `_bn`, `_relu`
    extra_1_dw, extra_1_pw       3x3 depthwise convolution of stride 2 and a 1x1 one, likewise
    extra_1_conv                 where they are not separable, a whole 3x3 convolution of stride 2 instead of the two
    pool_1                       of a pooling pyramid instead of all these, 2x2 max pooling of stride 2
    boxes_0, scores_0            prediction heads of feature map 0, with a bias
    boxes_0_by_anchor, ...       the same as [n, anchors of the map, 4 or labels]
    boxes, scores                of all feature maps

and where all feature maps share the heads, instead of boxes_0 and scores_0:

    project_1                    where feature map 1 has another width than most, 1x1 convolution to that, `_bn`
    head                         of `head_filters`: convolution with a bias, `_relu`; with a normalization, of which
                                 every map needs its own, it would not be one kernel any more once that is folded
    shared_boxes, shared_scores
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from components import features
from components.detection.anchors import AnchorMap
from components.detection.options import DetectorNetwork
from components.trainer.models.layers import Backbone, LayerStyle, kernel_options

_HEAD_STDDEV = 0.03  # samples/configs/ssd_mobilenet_v1_coco.config, of a truncated normal


@dataclass(frozen=True)
class SsdBuilder:
    """Puts a detector together.

    Attributes:
      network: what stands on the backbone.
      feature_layers: blocks of the backbone whose outputs are the first feature maps.
      maps: the anchors of all feature maps.
      classes: number of labels, the background not counted.
      widen: a layer's width by the backbone's rule for alpha.
      style: of the layers that are added.
      class_prior: probability of each label that the score heads start with.
    """

    network: DetectorNetwork
    feature_layers: tuple[str, ...]
    maps: tuple[AnchorMap, ...]
    classes: int
    widen: Callable[[int], int]
    style: LayerStyle
    class_prior: float

    def build(self, backbone: Backbone, name: str) -> keras.Model:
        """The detector up to what its decoder takes.

        Returns:
          A model from `image`, float32 [n, side, side, channels] in [-1, 1], to a dict: `boxes`, float32
          [n, anchors, 4], encoded as `components.detection.coding` says, and `scores`, float32 [n, anchors, classes],
          logits.
        """
        maps = self._feature_maps(backbone)
        predict = self._share_heads if self.network.shares_heads else self._separate_heads
        boxes, scores = predict(maps)
        return keras.Model(
            backbone.images,
            {
                features.ENCODED_BOXES: _by_anchor(boxes, 4, features.ENCODED_BOXES),
                features.SCORE_LOGITS: _by_anchor(scores, self.classes, features.SCORE_LOGITS),
            },
            name=name,
        )

    def _feature_maps(self, backbone: Backbone) -> list[Any]:
        maps = [backbone.blocks[layer] for layer in self.feature_layers]
        for number in range(1, len(self.maps) - len(maps) + 1):
            if self.network.pyramid == "ppn":
                maps.append(layers.MaxPooling2D(2, 2, padding="same", name=f"pool_{number}")(maps[-1]))
            else:
                maps.append(self._extra(maps[-1], self.network.extra_filters[number - 1], f"extra_{number}"))
        assert [x.shape[1] for x in maps] == [each.rows for each in self.maps]
        return maps

    def _extra(self, x: Any, filters: int, name: str) -> Any:
        """The next feature map: float32 [n, side, side, channels] to [n, side / 2, side / 2, width], rounded up."""
        style, width = self.style, self.widen(filters)
        x = style.norm_relu(style.pointwise(x, self.widen(filters // 2), f"{name}_reduce"), f"{name}_reduce")
        if self.network.separable_extras:
            x = style.norm_relu(style.depthwise(x, 2, f"{name}_dw"), f"{name}_dw")
            return style.norm_relu(style.pointwise(x, width, f"{name}_pw"), f"{name}_pw")
        options = kernel_options(style.weight_decay)
        x = layers.Conv2D(width, 3, 2, padding="same", use_bias=False, name=f"{name}_conv", **options)(x)
        return style.norm_relu(x, f"{name}_conv")

    def _separate_heads(self, maps: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        boxes, scores = [], []
        for number, (x, anchors) in enumerate(zip(maps, self.maps, strict=True)):
            boxes.append(self._box_head(anchors, f"boxes_{number}")(x))
            scores.append(self._score_head(anchors, f"scores_{number}")(x))
        return boxes, scores

    def _share_heads(self, maps: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        widths = [x.shape[-1] for x in maps]
        width = max(widths, key=widths.count)  # of equally many, the first
        alike = [
            x
            if x.shape[-1] == width
            else self.style.norm(self.style.pointwise(x, width, f"project_{number}"), f"project_{number}_bn")
            for number, x in enumerate(maps)
        ]
        if self.network.head_filters is not None:
            head = self._convolution(self.widen(self.network.head_filters), "head")
            alike = [self.style.relu(head(x), f"head_{number}_relu") for number, x in enumerate(alike)]
        box_head = self._box_head(self.maps[0], "shared_boxes")
        score_head = self._score_head(self.maps[0], "shared_scores")
        return [box_head(x) for x in alike], [score_head(x) for x in alike]

    def _box_head(self, anchors: AnchorMap, name: str) -> Any:
        return self._convolution(4 * len(anchors.shapes_hw), name)

    def _score_head(self, anchors: AnchorMap, name: str) -> Any:
        bias = math.log(self.class_prior / (1 - self.class_prior))
        return self._convolution(self.classes * len(anchors.shapes_hw), name, bias=bias)

    def _convolution(self, filters: int, name: str, bias: float = 0.0) -> Any:
        options = kernel_options(self.style.weight_decay) | {
            "kernel_initializer": keras.initializers.TruncatedNormal(stddev=_HEAD_STDDEV),
            "bias_initializer": keras.initializers.Constant(bias),
        }
        return layers.Conv2D(filters, self.network.head_kernel, padding="same", name=name, **options)


def _by_anchor(maps: Sequence[Any], columns: int, name: str) -> Any:
    """Of each map [n, rows, columns, shapes * values], all as [n, anchors, values]."""
    flat = [
        layers.Reshape((math.prod(x.shape[1:]) // columns, columns), name=per_map_layer(name, number))(x)
        for number, x in enumerate(maps)
    ]
    return layers.Concatenate(axis=1, name=name)(flat) if len(flat) > 1 else flat[0]


def per_map_layer(output: str, number: int) -> str:
    """The name of the layer that gives `boxes` or `scores` of one feature map."""
    return f"{output}_{number}_by_anchor"
