"""Settings of a detector: the config section `trainer.detector`, and of its decoder: `release.decoder`.

Source of the defaults: tensorflow/models, research/object_detection/samples/configs/ssd_mobilenet_v1_coco.config and
its 300x300_coco14_sync sibling, and core/box_coder and anchor_generators/multiple_grid_anchor_generator.py there.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.options import Options

Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=1)]
LEAST_SCORE = 2.0**-16  # what `fixed_point.to_q15` rounds to more than 0


class AnchorOptions(Options):
    """Which anchors stand in every cell of every feature map, by SSD's rule.

    A shape of scale s and aspect ratio a is s * sqrt(a) wide and s / sqrt(a) high, in shares of the image's side.

    Attributes:
      min_scale, max_scale: of the first and the last feature map; those between lie evenly.
      scales: of every feature map, instead of those two.
      aspect_ratios: width / height of the shapes in each cell.
      has_interpolated_scale: whether each cell has one more square, of scale sqrt(s_k * s_(k+1)), where after the last
        feature map comes 1.
      reduces_lowest: whether the first feature map has only the three shapes (0.1, 1), (s, 2), (s, 0.5).
    """

    min_scale: Scale = 0.2
    max_scale: Scale = 0.95
    scales: tuple[Scale, ...] | None = None
    aspect_ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1.0, 2.0, 0.5, 3.0, 1 / 3), min_length=1)
    has_interpolated_scale: bool = True
    reduces_lowest: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        scales = (self.min_scale, self.max_scale) if self.scales is None else self.scales
        if any(later < earlier for earlier, later in pairwise(scales)):
            keys = "min_scale, max_scale" if self.scales is None else "scales"
            raise ValueError(f"{keys}: expected rising numbers, received {', '.join(f'{s:g}' for s in scales)}")
        return self


class FocalLoss(Options):
    """Focal loss on every label's sigmoid (Lin et al., arXiv 1708.02002), its sum divided by the matched anchors."""

    name: Literal["focal"]
    alpha: Share = 0.75
    gamma: float = Field(default=2.0, ge=0)


class HardNegativeMining(Options):
    """Sigmoid cross-entropy on the matched anchors and the hardest others (Liu et al., arXiv 1512.02325).

    Attributes:
      negatives_per_positive: of each image.
      min_negatives: of an image without any box.
    """

    name: Literal["hard_negatives"]
    negatives_per_positive: float = Field(default=3.0, gt=0)
    min_negatives: int = Field(default=3, ge=0)


class DetectorNetwork(Options):
    """The part of a detector's settings that decides its operators and the sizes of its tensors.

    Attributes:
      feature_layers: blocks of the backbone (`trainer.stages.BLOCKS`, or an expansion of v2 such as
        `block_13_expand`) whose outputs are the first feature maps; None for the published ones: block_11 and block_13
        of v1, block_13_expand and Conv_1 of v2.
      extra_filters: of the feature maps that follow, before alpha, each of half the side of the one before; a map of
        one cell is the last, so that at small sides fewer are built.
      separable_extras: whether their 3x3 convolutions are depthwise and a 1x1 one, or, as published on v1, whole ones,
        of eight times the weights.
      pyramid: `ssd` convolves from map to map; `ppn` pools every map out of the first (Jin et al., arXiv 1807.03284).
      shares_heads: whether one prediction head serves all feature maps, as `ppn` needs it.
      head_filters: of the convolution in front of shared heads, before alpha; None for none.
      head_kernel: side of the prediction heads' convolution.
      anchors: see `AnchorOptions`.
      outputs: `concatenated` gives boxes and scores of all feature maps as one tensor each, `per_map` a pair for each
        map, every one with a scale of its own.
    """

    feature_layers: tuple[str, ...] | None = Field(default=None, min_length=1)
    extra_filters: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (512, 256, 256, 128)
    separable_extras: bool = True
    pyramid: Literal["ssd", "ppn"] = "ssd"
    shares_heads: bool = False
    head_filters: int | None = Field(default=None, ge=1, le=4096)
    head_kernel: Literal[1, 3] = 1
    anchors: AnchorOptions = AnchorOptions()
    outputs: Literal["concatenated", "per_map"] = "concatenated"

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.pyramid == "ppn" and not self.shares_heads:
            raise ValueError("shares_heads: expected true with pyramid=ppn, whose maps are poolings of one")
        if self.pyramid == "ppn" and self.extra_filters != type(self).model_fields["extra_filters"].default:
            raise ValueError(
                "extra_filters: has no meaning with pyramid=ppn, which pools down to one cell; leave it out"
            )
        if self.shares_heads and self.anchors.reduces_lowest:
            raise ValueError(
                "anchors.reduces_lowest: shared heads need as many shapes in every map; pass"
                " --set trainer.detector.anchors.reduces_lowest=false"
            )
        if self.head_filters is not None and not self.shares_heads:
            raise ValueError("head_filters: has no meaning without shares_heads")
        return self


class DetectorOptions(DetectorNetwork):
    """How a detector is built and what it learns from.

    Attributes:
      match_iou: from which on an anchor is matched to a box; beside that, every box gets its best anchor.
      loss: of the scores.
      localization_weight: of the boxes' smooth L1 loss beside it.
      class_prior: probability of every label that training starts with (the bias of the score heads).
    """

    match_iou: float = Field(default=0.5, gt=0, le=1)
    loss: Annotated[FocalLoss | HardNegativeMining, Field(discriminator="name")] = FocalLoss(name="focal")
    localization_weight: float = Field(default=1.0, gt=0)
    class_prior: float = Field(default=0.01, gt=0, lt=1)

    @property
    def network(self) -> DetectorNetwork:
        """The part that the footprint, the anchors and the decoder follow from."""
        return DetectorNetwork(**{key: getattr(self, key) for key in DetectorNetwork.model_fields})


class DecoderOptions(Options):
    """How boxes and scores become detections, in the same way in TensorFlow, in Python and in the generated C.

    Attributes:
      min_score: below which nothing is a detection, in 0...1.
      max_iou: of two detections of one label, above which the one with the lower score goes.
      max_candidates: anchors that are looked at for each label, the best by score.
      max_detections: of one image, the best by score.
      postprocess_op: whether the release has one more flatbuffer, `<c_name>_postprocess.tflite`, that ends in
        TFLite_Detection_PostProcess, for phones; the C bundle decodes by itself.
    """

    min_score: float = Field(default=0.02, gt=0, lt=1)
    max_iou: Share = 0.5
    max_candidates: int = Field(default=100, ge=1, le=1000)
    max_detections: int = Field(default=100, ge=1, le=1000)
    postprocess_op: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_score < LEAST_SCORE:
            raise ValueError(
                f"min_score: expected at least {LEAST_SCORE:.2g}, below which the C code's scores of 16 bits are 0,"
                f" received {self.min_score:g}"
            )
        if self.postprocess_op and self.max_iou == 0:
            raise ValueError("max_iou: expected above 0 with postprocess_op, whose operator takes no other")
        return self
