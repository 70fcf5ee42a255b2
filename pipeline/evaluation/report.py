"""What `vww evaluate` and `vww inspect --against-float` ask of their child process, and what `evaluate` finds."""

from typing import Literal

from components.options import Options
from components.trainer.options import InputRange
from pipeline.config import RunConfig

Runtime = Literal["tflm", "litert"]  # TFLite Micro; LiteRT with its reference kernels


class EvaluationRequest(Options):
    """What to judge, on what.

    Attributes:
      config: of the run; only `data` matters, and how Beam runs.
      what: the model; see `pipeline.evaluation.models`.
      split: one of `features.SPLITS`.
      input_range: black..white of a float model that was trained elsewhere.
    """

    config: RunConfig
    what: str
    split: Literal["train", "eval", "test"]
    input_range: InputRange = "-1..1"


class LayersRequest(Options):
    """What to compare.

    Attributes:
      file: the int8 .tflite file.
      against: a float model; see `float_flatbuffer`.
      images: a folder of images.
      input_range: black..white of the float model.
    """

    file: str
    against: str
    images: str
    input_range: InputRange


class SliceMetrics(Options):
    """What the Evaluator measures on a slice.

    Attributes:
      slice: bucket of the largest labelled object's area fraction; empty for the whole split.
      metrics: by the Evaluator's names; None where one is not defined, such as the AUC of a slice of one label.
    """

    slice: str
    metrics: dict[str, float | None]


class EvaluationReport(Options):
    """How a model did on a split.

    Attributes:
      model: what was judged.
      split: on which split.
      labels: names, in order.
      left_out: images whose bytes are bad; a run would quarantine them.
      slices: the whole split first.
    """

    model: str
    split: str
    labels: tuple[str, ...]
    left_out: int
    slices: tuple[SliceMetrics, ...]
