"""What was measured of a candidate, for each task: by the Evaluator, and beside it by the MicroPusher."""

from typing import Annotated, Literal

from pydantic import Field

from components.detection.records import DetectionLoss, DetectionQuality, DetectorOperatingPoint
from components.options import Options
from components.quantization.records import Metrics, OperatingPoint, Quality, QuantizationLoss


class ClassifierEvaluation(Options):
    """What the Evaluator found of a float classifier on the eval split.

    Attributes:
      metrics: on all of it.
      change: of the accuracy, from the baseline to the candidate; None where nothing was released before.
      slices: by size of the largest labelled object.
    """

    task: Literal["classification"] = "classification"
    metrics: Metrics
    change: float | None
    slices: dict[str, Metrics]


class DetectorEvaluation(Options):
    """The same of a float detector.

    Attributes:
      metrics, slices: as of a classifier.
      change: of AP; None where nothing was released before, or where one of the two is undefined.
    """

    task: Literal["detection"] = "detection"
    metrics: DetectionQuality
    change: float | None
    slices: dict[str, DetectionQuality]


class ClassifierFigures(Options):
    """What was measured of a classifier's int8 file beside its float model.

    Attributes:
      float_metrics: of the float model, by split: eval, and test where there is one.
      int8_metrics: of the int8 file that would ship, likewise; empty where TFLite Micro failed.
      quantization_loss: from the one to the other, on the eval split; None where TFLite Micro failed.
      operating_point: from which code on the positive label is reported; None where no label is positive, where TFLite
        Micro failed, or where no code keeps to the rate that was asked for.
    """

    task: Literal["classification"] = "classification"
    float_metrics: dict[str, Quality]
    int8_metrics: dict[str, Quality] = Field(default_factory=dict)
    quantization_loss: QuantizationLoss | None = None
    operating_point: OperatingPoint | None = None


class DetectorFigures(Options):
    """The same of a detector, its int8 figures through the decoder that ships.

    Attributes:
      float_metrics, int8_metrics, quantization_loss: as of a classifier.
      operating_point: from which score on a detection is reported; None where TFLite Micro failed, where there is no
        detection, or where no score keeps to the rate that was asked for.
    """

    task: Literal["detection"] = "detection"
    float_metrics: dict[str, DetectionQuality]
    int8_metrics: dict[str, DetectionQuality] = Field(default_factory=dict)
    quantization_loss: DetectionLoss | None = None
    operating_point: DetectorOperatingPoint | None = None


Evaluation = Annotated[ClassifierEvaluation | DetectorEvaluation, Field(discriminator="task")]
Figures = Annotated[ClassifierFigures | DetectorFigures, Field(discriminator="task")]
