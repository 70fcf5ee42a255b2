"""The two figures of a model that tables of many models show: accuracy and AUC, or AP and AP50."""

from dataclasses import dataclass

from components.detection.records import DetectionQuality
from components.intervals import Interval
from components.quantization.records import Quality


@dataclass(frozen=True)
class Headline:
    """One model's quality on one split.

    Attributes:
      name: of the first figure, as a person reads it.
      value: of it; None where it is undefined.
      interval: its 95 % interval; None where there is no value.
      second_name, second: the same of the other figure.
    """

    name: str
    value: float | None
    interval: Interval | None
    second_name: str
    second: float | None


def headline(quality: Quality | DetectionQuality) -> Headline:
    """The figures of either task."""
    if isinstance(quality, Quality):
        return Headline("accuracy", quality.accuracy, quality.accuracy_interval, "AUC", quality.auc)
    return Headline("AP", quality.ap, quality.ap_interval, "AP50", quality.ap50)
