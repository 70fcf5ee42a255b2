"""The model card: a release's manifest in words, for those who decide whether to use the model."""

import functools
from pathlib import Path

import jinja2

from components.detection.records import DetectionQuality
from components.features import SPLITS
from components.intervals import Interval
from components.pusher.figures import Figures
from components.pusher.manifest import Manifest
from components.quantization.records import Quality, Rate

_TEMPLATE = "model_card.md.jinja"


def render_model_card(manifest: Manifest) -> str:
    """Markdown, a function of the manifest alone: equal manifests give equal cards."""
    template = _templates().get_template(_TEMPLATE)
    return template.render(
        release=manifest, figures=manifest.figures, splits=SPLITS, measured=_measured(manifest.figures)
    )


def _measured(figures: Figures) -> list[tuple[str, Quality | DetectionQuality]]:
    """Every measurement, with the model and the split that it was made on."""
    return [
        (f"{kind}, {split}", quality[split])
        for kind, quality in (("float", figures.float_metrics), ("int8", figures.int8_metrics))
        for split in SPLITS
        if split in quality
    ]


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is Markdown; `cell` escapes what users wrote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(cell=_cell, count=_count, figure=_figure, share=_share, interval=_interval, rate=_rate)
    environment.filters.update(defined_share=_defined_share, behind=_behind, change=_change)
    return environment


def _cell(text: str) -> str:
    """Text that stays in its place of a table or a sentence, whatever its author wrote."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in " ".join(text.split()))


def _count(number: int) -> str:
    return f"{number:,}"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def _share(value: float) -> str:
    return f"{value:.3f}"


def _interval(bounds: Interval) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _defined_share(value: float | None) -> str:
    return "-" if value is None else _share(value)


def _behind(bounds: Interval | None) -> str:
    """An interval as it stands behind its figure."""
    return "" if bounds is None else f" ({_interval(bounds)})"


def _change(drop: float | None, bounds: Interval | None) -> str:
    """What a figure did from float to int8; the interval is of the direction that is named."""
    if drop is None:
        return "is undefined"
    if drop >= 0:
        return f"fell by {_share(drop)}{_behind(bounds)}"
    return f"rose by {_share(-drop)}{_behind(None if bounds is None else (-bounds[1], -bounds[0]))}"


def _rate(rate: Rate | None) -> str:
    return "-" if rate is None else f"{_share(rate.value)} ({_interval(rate.interval)})"
