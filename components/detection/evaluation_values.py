"""A detector's figures by name, as the Evaluator writes them and the MicroPusher reads them.

    images, boxes, ap, ap50, ...      as in `DetectionQuality`
    ap_low, ap_high, ap50_low, ...    ends of the intervals
    ap50/person, ap50_low/person ...  as in `CategoryQuality`

What is undefined is NaN.
"""

import math
from collections.abc import Mapping, Sequence

from components.detection.records import CategoryQuality, DetectionQuality
from components.intervals import Interval

_FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100")
_COUNTS = ("images", "boxes")
_ENDS = ("low", "high")


def value_names(label_names: Sequence[str]) -> list[str]:
    """All names, for labels with the background first."""
    ends = [f"{figure}_{end}" for figure in ("ap", "ap50") for end in _ENDS]
    of_label = ("boxes", "ap", "ap50", "ap50_low", "ap50_high")
    return [*_COUNTS, *_FIGURES, *ends, *(f"{name}/{label}" for label in label_names[1:] for name in of_label)]


def to_values(quality: DetectionQuality) -> dict[str, float]:
    """By name, all of them."""
    values = {name: _float(getattr(quality, name)) for name in (*_COUNTS, *_FIGURES)}
    values |= _ends("ap", quality.ap_interval) | _ends("ap50", quality.ap50_interval)
    for label, found in quality.categories.items():
        own = {name: _float(getattr(found, name)) for name in ("boxes", "ap", "ap50")}
        own |= _ends("ap50", found.ap50_interval)
        values |= {f"{name}/{label}": value for name, value in own.items()}
    return values


def from_values(values: Mapping[str, float]) -> DetectionQuality:
    """The inverse of `to_values`; other names are passed over."""
    labels = [name.removeprefix("boxes/") for name in values if name.startswith("boxes/")]
    return DetectionQuality(
        images=round(values["images"]),
        boxes=round(values["boxes"]),
        **{name: _figure(values[name]) for name in _FIGURES},
        ap_interval=_interval("ap", "", values),
        ap50_interval=_interval("ap50", "", values),
        categories={
            label: CategoryQuality(
                boxes=round(values[f"boxes/{label}"]),
                ap=_figure(values[f"ap/{label}"]),
                ap50=_figure(values[f"ap50/{label}"]),
                ap50_interval=_interval("ap50", f"/{label}", values),
            )
            for label in labels
        },
    )


def _float(figure: float | None) -> float:
    return math.nan if figure is None else float(figure)


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ends(name: str, interval: Interval | None) -> dict[str, float]:
    return dict(zip((f"{name}_{end}" for end in _ENDS), interval or (math.nan, math.nan), strict=True))


def _interval(name: str, label: str, values: Mapping[str, float]) -> Interval | None:
    low, high = (values[f"{name}_{end}{label}"] for end in _ENDS)
    return None if math.isnan(low) else (low, high)
