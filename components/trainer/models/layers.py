"""What all networks share: how their layers are made, and what a backbone is to what stands on it."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from components.trainer.options import Activation, Border

BATCH_NORM_EPSILON = 1e-3
INITIAL_STDDEV = 0.09  # slim's, of a truncated normal

ACTIVATION_LIMIT: dict[Activation, float | None] = {"relu6": 6.0, "relu": None}


class BlackBorder(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Pads as SAME does for a 3x3 convolution of stride 2, with -1 instead of 0.

    In [-1, 1] the 0 of SAME is mid-gray. For a network that was trained on [0, 1] it was black, and its weights
    only give the same answers where the border is still black. Converts to one operator more, PADV2.
    """

    def call(self, images: Any) -> Any:
        """Float32 [n, side, side, channels] to [n, side + 1 + side % 2, ..., channels]."""
        before = images.shape[1] % 2
        return keras.ops.pad(images, ((0, 0), (before, 1), (before, 1), (0, 0)), constant_values=-1.0)


def initial_kernel() -> keras.initializers.Initializer:
    """How a kernel starts; one for each layer, since Keras draws the same numbers whenever one is asked again."""
    return keras.initializers.TruncatedNormal(stddev=INITIAL_STDDEV)


def kernel_options(weight_decay: float) -> dict[str, Any]:
    """How the kernel of a layer that is not depthwise starts, and slim's `scale * sum(w**2) / 2` on it."""
    return {
        "kernel_initializer": initial_kernel(),
        "kernel_regularizer": keras.regularizers.L2(weight_decay / 2) if weight_decay > 0 else None,
    }


@dataclass(frozen=True)
class LayerStyle:
    """What all layers of one network have in common.

    Attributes:
      weight_decay: slim's `scale * sum(w**2) / 2` on all kernels but the depthwise ones.
      batch_norm_momentum: share of the old moving statistics that a step keeps.
      activation: after a normalization; slim's is relu6.
      border: what surrounds the image in the first convolution; see `BlackBorder`.
    """

    weight_decay: float = 0.0
    batch_norm_momentum: float = 0.9997
    activation: Activation = "relu6"
    border: Border = "gray"

    def norm(self, x: Any, name: str) -> Any:
        """Batch normalization."""
        return layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=self.batch_norm_momentum, name=name)(x)

    def relu(self, x: Any, name: str) -> Any:
        """The activation."""
        return layers.ReLU(ACTIVATION_LIMIT[self.activation], name=name)(x)

    def norm_relu(self, x: Any, name: str) -> Any:
        """Both, as `name_bn` and `name_relu`."""
        return self.relu(self.norm(x, f"{name}_bn"), f"{name}_relu")

    def pointwise(self, x: Any, filters: int, name: str) -> Any:
        """A 1x1 convolution without bias."""
        options = kernel_options(self.weight_decay)
        return layers.Conv2D(filters, 1, padding="same", use_bias=False, name=name, **options)(x)

    def depthwise(self, x: Any, stride: int, name: str) -> Any:
        """A depthwise 3x3 convolution without bias: float32 [n, side, side, channels] to [n, side / stride, ...]."""
        return layers.DepthwiseConv2D(
            3, stride, padding="same", use_bias=False, depthwise_initializer=initial_kernel(), name=name
        )(x)

    def first_convolution(self, images: Any, filters: int, name: str) -> Any:
        """A 3x3 convolution of stride 2: float32 [n, side, side, channels] to [n, half, half, filters], rounded up."""
        is_black = self.border == "black"
        x = BlackBorder(name=f"{name}_pad")(images) if is_black else images
        padding = "valid" if is_black else "same"
        options = kernel_options(self.weight_decay)
        return layers.Conv2D(filters, 3, strides=2, padding=padding, use_bias=False, name=name, **options)(x)


@dataclass(frozen=True)
class Backbone:
    """A backbone while a network is put together.

    Attributes:
      images: the input.
      blocks: what comes out of each block, by its name in `components.trainer.stages.BLOCKS`, from the image upwards;
        of v2 also what comes out of the blocks' expansions, as `block_13_expand`.
    """

    images: Any
    blocks: dict[str, Any]

    @property
    def features(self) -> Any:
        """Of the last block."""
        return next(reversed(self.blocks.values()))
