"""What the backbones share: initial weights, the end of a convolution's input, the limit of its activation."""

from typing import Any

import keras

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


def first_convolution(images: Any, filters: int, name: str, border: Border, weight_decay: float) -> Any:
    """The 3x3 convolution of stride 2: float32 [n, side, side, channels] to [n, half, half, filters], rounded up."""
    if border == "black":
        images = BlackBorder(name=f"{name}_pad")(images)
    padding = "valid" if border == "black" else "same"
    return keras.layers.Conv2D(
        filters, 3, strides=2, padding=padding, use_bias=False, name=name, **kernel_options(weight_decay)
    )(images)
