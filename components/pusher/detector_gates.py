"""The gates on a detector's AP, of the float model and of the int8 flatbuffer alike."""

from collections.abc import Iterator

from components.detection.records import DetectionLoss, DetectionQuality
from components.gate_options import DecideOn, FloatGates, Int8Gates
from components.pusher.bounded_gates import NOTHING, Found, bounded_gate
from components.verdicts import Comparison, Gate


def quality_gates(
    section: str, quality: DetectionQuality | None, limits: FloatGates | Int8Gates, on: DecideOn
) -> Iterator[Gate]:
    """AP, AP50, and AP50 of single labels.

    Args:
      section: of the config, such as `gates.int8`.
      quality: on the eval split; None where the model gave no answers.
      limits: those of that section; what is None is not asked.
      on: what of a figure decides.
    """
    found = {} if quality is None else _figures(quality)
    asked = {"min_ap": limits.min_ap, "min_ap50": limits.min_ap50}
    asked |= {f"min_category_ap50.{label}": limit for label, limit in limits.min_category_ap50.items()}
    for key, limit in asked.items():
        if limit is not None:
            yield bounded_gate(f"{section}.{key}", Comparison.AT_LEAST, limit, found.get(key, NOTHING), on)


def drop_gate(loss: DetectionLoss | None, limits: Int8Gates, on: DecideOn) -> Gate:
    """How far AP may fall from the float model to the int8 flatbuffer."""
    found = NOTHING if loss is None else (loss.drop, loss.drop_interval)
    return bounded_gate("gates.int8.max_ap_drop", Comparison.AT_MOST, limits.max_ap_drop, found, on)


def _figures(quality: DetectionQuality) -> dict[str, Found]:
    of_labels = {
        f"min_category_ap50.{label}": (each.ap50, each.ap50_interval) for label, each in quality.categories.items()
    }
    return {
        "min_ap": (quality.ap, quality.ap_interval),
        "min_ap50": (quality.ap50, quality.ap50_interval),
        **of_labels,
    }
