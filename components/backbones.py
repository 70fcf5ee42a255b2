"""The published shapes of the backbones, from which networks, feature maps and estimates of footprints are worked out.

Sources: tensorflow/models, research/slim/nets/mobilenet_v1.py; keras/src/applications/mobilenet_v2.py.
"""

# (filters before alpha, stride) of v1's depthwise-separable blocks 1 to 13, after a convolution of stride 2.
MOBILENET_V1_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
# (filters before alpha, stride) of v2's inverted residual blocks 0 to 16, after a convolution of stride 2; block 0 is
# named expanded_conv, and a 1x1 convolution, Conv_1, follows.
MOBILENET_V2_BLOCKS = (
    (16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1),
    (96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1),
)  # fmt: skip
