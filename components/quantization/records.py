"""What is recorded of a model that was judged: quality, operating point, operators, arena.

The records stand apart from the code that computes them, which needs NumPy: whoever only reads a manifest does not.
"""

from pydantic import FiniteFloat

from components.intervals import Interval
from components.options import Options


class OpUse(Options):
    """One operator and how often a flatbuffer uses it.

    Attributes:
      name: the schema's name, such as `CONV_2D`; a custom operator's own name.
      version: of the operator; an interpreter has to know at least this one.
      count: how many operators are of this kind, in all subgraphs.
      custom: whether the name is registered by the application and not by the schema.
    """

    name: str
    version: int
    count: int
    custom: bool = False


class ArenaShare(Options):
    """What one kind of allocation takes of the arena's tail.

    Attributes:
      name: TFLite Micro's own, such as `Persistent buffer data`.
      used_bytes: with what alignment adds.
      requested_bytes: without it.
      count: how many allocations there are.
    """

    name: str
    used_bytes: int
    requested_bytes: int
    count: int


class Rate(Options):
    """A share of some images, with its 95 % interval.

    Attributes:
      count: images of which it is so.
      images: of how many, at least 1.
      value: count / images.
      interval: of `value`, by Wilson.
    """

    count: int
    images: int
    value: float
    interval: Interval


class OperatingRates(Options):
    """What the operating point comes to on one split.

    Attributes:
      false_alarms: of the images without the positive label, those that are reported; None where there are none.
      recall: of the images with it, those that are reported; None where there are none.
    """

    false_alarms: Rate | None
    recall: Rate | None


class OperatingPoint(Options):
    """From which output code of the positive label on it is reported, and what that means.

    Attributes:
      label: the positive label, such as `person`.
      index: its place in the output.
      max_false_alarm_rate: that was asked for; None where it is the code above a probability of a half.
      code: reported where the output code is at least this one.
      threshold: the probability of that code.
      rates: by split: eval, on which the code was chosen, and test where there is one.
    """

    label: str
    index: int
    max_false_alarm_rate: float | None
    code: int
    threshold: float
    rates: dict[str, OperatingRates]


class Metrics(Options):
    """Quality on one split, or on a slice of it.

    Attributes:
      examples: how many were scored.
      accuracy: share whose highest score is the label's.
      auc: area under the ROC curve; None where the examples have one label only.
    """

    examples: int
    accuracy: FiniteFloat
    auc: FiniteFloat | None


class LabelQuality(Options):
    """How the images of one label fared.

    Attributes:
      recall: of its images, those that were given the label; None where there are none.
      precision: of the images that were given the label, those that have it; None where there are none.
    """

    recall: Rate | None
    precision: Rate | None


class Quality(Metrics):
    """Quality on one split, with 95 % intervals.

    Attributes:
      accuracy_interval: Wilson's.
      auc_interval: Newcombe's; None where there is no AUC.
      confusion: images by true label (row) and predicted label (column).
      labels: by label name.
      slices: share labelled right by size of the largest labelled object, as in `example_gen.labeling.SIZE_BUCKETS`.
    """

    accuracy_interval: Interval
    auc_interval: Interval | None
    confusion: tuple[tuple[int, ...], ...]
    labels: dict[str, LabelQuality]
    slices: dict[str, Rate]


class QuantizationLoss(Options):
    """What became of the float model's decisions, on the same images.

    Attributes:
      lost: images that only the float model labels right.
      won: images that only the int8 file labels right.
      drop: of the accuracy, from float to int8; below 0 where it rose.
      drop_interval: Tango's 95 % interval of it.
      agreement: images that both label alike, right or wrong.
    """

    lost: int
    won: int
    drop: FiniteFloat
    drop_interval: Interval
    agreement: Rate


class Layer(Options):
    """What one operator takes.

    Attributes:
      index: its place in the order of execution, from 0.
      op: the schema's name of the operator.
      output_shape: the batch first; of its first output.
      macs: multiply-accumulates for one inference at batch 1.
      weight_bytes: of its constant tensors.
      output_bytes: of its outputs, in the arena's head while it runs; 0 of a type that NumPy lacks.
    """

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    output_bytes: int


class LayerLoss(Options):
    """One operator of the int8 model beside its float twin, over all images.

    Attributes:
      index: its place in the int8 model's order of execution, from 0.
      op: the schema's name of the operator.
      name: of its output in the file that has names, the float one first; empty where neither has.
      output_shape: the batch first.
      snr_db: 10 log10 of the float output's power over that of the difference; None without any difference.
      cosine: between the two outputs, taken as one vector of all images; None where one of them is all 0.
      noise: the difference's power as a share of the float output's, so 10 ** (-snr_db / 10).
      added: its noise less that of its noisiest input: what the operator itself loses, or gains if negative.
    """

    index: int
    op: str
    name: str
    output_shape: tuple[int, ...]
    snr_db: float | None
    cosine: float | None
    noise: float
    added: float

    @property
    def short_name(self) -> str:
        """The layer in a name such as `mobilenet_v1_1/conv_pw_3_relu_1/Relu6;mobilenet_v1_1/conv_pw_3_bn_1/add`."""
        parts = self.name.partition(";")[0].split("/")
        return parts[-2] if len(parts) > 1 else parts[0]


class LayersReport(Options):
    """What `measure_layers` found.

    Attributes:
      images: how many were fed.
      input_snr_db: of the input's codes against the float input; None without any difference.
      layers: in order of execution.
    """

    images: int
    input_snr_db: float | None
    layers: tuple[LayerLoss, ...]

    def worst(self, count: int) -> tuple[LayerLoss, ...]:
        """The operators that lose most themselves, the worst first."""
        losing = [layer for layer in self.layers if layer.added > 0]
        return tuple(sorted(losing, key=lambda layer: (-layer.added, layer.index))[:count])
