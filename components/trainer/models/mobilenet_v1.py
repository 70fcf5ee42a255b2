"""MobileNet v1 (Howard et al., arXiv 1704.04861) as slim builds it.

Source: tensorflow/models, research/slim/nets/mobilenet_v1.py.

Layers carry the names of `keras.applications.MobileNet`, so that weights map and a name seen in Netron points here.
"""

import keras
from keras import layers

from components.backbones import MOBILENET_V1_BLOCKS
from components.trainer.models.layers import Backbone, LayerStyle, kernel_options
from components.trainer.options import Activation, Border

BLOCKS = MOBILENET_V1_BLOCKS
FIRST_FILTERS = 32
MIN_FILTERS = 8


def scale_filters(filters: int, alpha: float) -> int:
    """A layer's width by slim's rule: truncated, and never under 8."""
    return max(int(filters * alpha), MIN_FILTERS)


def mobilenet_v1_backbone(side: int, channels: int, alpha: float, style: LayerStyle) -> Backbone:
    """The layers up to the last block, for images float32 [n, side, side, channels] in [-1, 1].

    A block's output is that of its pointwise convolution, normalized and activated.
    """
    images = keras.Input((side, side, channels), name="image")
    x = style.norm_relu(style.first_convolution(images, scale_filters(FIRST_FILTERS, alpha), "conv1"), "conv1")
    blocks = {"conv1": x}
    for block, (wide, stride) in enumerate(BLOCKS, start=1):
        x = style.norm_relu(style.depthwise(x, stride, f"conv_dw_{block}"), f"conv_dw_{block}")
        x = style.norm_relu(style.pointwise(x, scale_filters(wide, alpha), f"conv_pw_{block}"), f"conv_pw_{block}")
        blocks[f"block_{block}"] = x
    return Backbone(images, blocks)


def mobilenet_v1(
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
      alpha: width multiplier.
      dropout: share of the pooled features dropped in training.
      weight_decay: slim's `scale * sum(w**2) / 2` on all kernels but the depthwise ones.
      batch_norm_momentum: share of the old moving statistics that a step keeps.
      activation: after every normalization; slim's is relu6.
      border: what surrounds the image in the first convolution; see `layers.BlackBorder`.

    Returns:
      A model from `image`, float32 [n, side, side, channels] in [-1, 1], to logits, float32 [n, classes].
    """
    style = LayerStyle(weight_decay, batch_norm_momentum, activation, border)
    backbone = mobilenet_v1_backbone(side, channels, alpha, style)
    x = backbone.features
    # Pooling with a stated window becomes AVERAGE_POOL_2D, as in person_detect.tflite; a global one becomes MEAN.
    x = layers.AveragePooling2D(x.shape[1:3], name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(classes, 1, padding="same", name="conv_preds", **kernel_options(weight_decay))(x)
    return keras.Model(backbone.images, layers.Reshape((classes,), name="logits")(x), name="mobilenet_v1")
