"""MobileNet v2 (Sandler et al., arXiv 1801.04381) as slim and keras.applications build it.

Source: keras/src/applications/mobilenet_v2.py, which agrees with tensorflow/models, research/slim/nets/mobilenet.

Layers carry the names of `keras.applications.MobileNetV2`, so that weights map and a name seen in Netron points here.
"""

import keras
from keras import layers

from components.backbones import MOBILENET_V2_BLOCKS
from components.trainer.models.layers import Backbone, LayerStyle, kernel_options
from components.trainer.options import Activation, Border

BLOCKS = MOBILENET_V2_BLOCKS
FIRST_FILTERS = 32
LAST_FILTERS = 1280
EXPANSION = 6
DIVISOR = 8


def scale_filters(filters: int, alpha: float) -> int:
    """A layer's width: the nearest multiple of 8, at least 8, and never more than a tenth too narrow."""
    wanted = filters * alpha
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wanted else rounded


def mobilenet_v2_backbone(side: int, channels: int, alpha: float, style: LayerStyle) -> Backbone:
    """The layers up to the last convolution, for images float32 [n, side, side, channels] in [-1, 1].

    A block's output is its projection, with what is added to it; an expansion's is normalized and activated.
    """
    images = keras.Input((side, side, channels), name="image")
    x = style.first_convolution(images, scale_filters(FIRST_FILTERS, alpha), "Conv1")
    x = style.relu(style.norm(x, "bn_Conv1"), "Conv1_relu")
    blocks = {"Conv1": x}
    for block, (wide, stride) in enumerate(BLOCKS):
        prefix = f"block_{block}" if block else "expanded_conv"
        before, width = x, x.shape[-1]
        if block:
            x = style.pointwise(x, EXPANSION * width, f"{prefix}_expand")
            x = style.relu(style.norm(x, f"{prefix}_expand_BN"), f"{prefix}_expand_relu")
            blocks[f"{prefix}_expand"] = x
        x = style.depthwise(x, stride, f"{prefix}_depthwise")
        x = style.relu(style.norm(x, f"{prefix}_depthwise_BN"), f"{prefix}_depthwise_relu")
        # Truncated before it is rounded, as in keras.applications.
        filters = scale_filters(int(wide * alpha), 1.0)
        x = style.norm(style.pointwise(x, filters, f"{prefix}_project"), f"{prefix}_project_BN")
        if stride == 1 and filters == width:
            x = layers.Add(name=f"{prefix}_add")([before, x])
        blocks[prefix] = x
    x = style.pointwise(x, scale_filters(LAST_FILTERS, max(alpha, 1.0)), "Conv_1")
    blocks["Conv_1"] = style.relu(style.norm(x, "Conv_1_bn"), "out_relu")
    return Backbone(images, blocks)


def mobilenet_v2(
    *,
    side: int,
    channels: int,
    classes: int,
    alpha: float,
    dropout: float = 0.001,
    weight_decay: float = 0.0,
    batch_norm_momentum: float = 0.9997,
    activation: Activation = "relu6",
    border: Border = "gray",
) -> keras.Model:
    """Builds the classifier up to its logits.

    Args:
      side: height and width of the input, in pixels.
      channels: 1 or 3.
      classes: number of labels.
      alpha: width multiplier; the last convolution keeps its 1,280 filters where it is below 1.
      dropout: share of the pooled features dropped in training.
      weight_decay: slim's `scale * sum(w**2) / 2` on all kernels but the depthwise ones.
      batch_norm_momentum: share of the old moving statistics that a step keeps.
      activation: after every normalization but a block's last; slim's is relu6.
      border: what surrounds the image in the first convolution; see `layers.BlackBorder`.

    Returns:
      A model from `image`, float32 [n, side, side, channels] in [-1, 1], to logits, float32 [n, classes].
    """
    style = LayerStyle(weight_decay, batch_norm_momentum, activation, border)
    backbone = mobilenet_v2_backbone(side, channels, alpha, style)
    x = backbone.features
    # Pooling with a stated window becomes AVERAGE_POOL_2D; a global one becomes MEAN.
    x = layers.AveragePooling2D(x.shape[1:3], name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Flatten(name="features")(x)
    x = layers.Dense(classes, name="predictions", **kernel_options(weight_decay))(x)
    return keras.Model(backbone.images, x, name="mobilenet_v2")
