"""The data report as one HTML file that needs nothing else: no network, no scripts, charts as SVG, images inline."""

import base64
import functools
import io
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipeline.numerals import show_percent
from pipeline.report.box_findings import BoxFindings
from pipeline.report.charts import WIDTH, Axis, Chart, draw_histogram
from pipeline.report.contact_sheet import read_small
from pipeline.report.findings import Cue, CueFindings, DataReport, ImageRef, LookAlikeGroup, ObjectSizes, Rule
from pipeline.report.page import load_template, write_html

MAX_SHOWN_GROUPS = 24
MAX_SHOWN_IN_GROUP = 6
_JPEG_QUALITY = 70
_TEMPLATE = "data_report.html.jinja"


@dataclass(frozen=True)
class Thumbnail:
    """A small image as a data URI, with what it is of."""

    uri: str
    width: int
    height: int
    image: ImageRef


@dataclass(frozen=True)
class ShownGroup:
    """A group of look-alikes, and its first images with the bits by which they differ from the first."""

    group: LookAlikeGroup
    tiles: list[tuple[Thumbnail, int]]


def write_page(report: DataReport, path: Path) -> None:
    """Writes the page; a reader sees the old file or the new one.

    Raises:
      StorageError: if it cannot be written.
    """
    write_html(render_page(report), path)


def render_page(report: DataReport) -> str:
    """The page's HTML; the images that it shows are read again."""
    upright = report.source.format == "image_folder"
    page = _template().render(
        report=report,
        charts=list(_draw_cues(report)),
        objects_chart=None
        if report.objects is None or report.rule is None
        else _draw_objects(report.objects, report.rule),
        boxes_chart=None if report.boxes is None else _draw_boxes(report.boxes),
        groups=[_show_group(group, upright) for group in report.near_duplicates.listed[:MAX_SHOWN_GROUPS]],
        sheets={
            label: [found for image in images if (found := _thumbnail(image, upright)) is not None]
            for label, images in report.samples.items()
        },
        chart_width=WIDTH,
    )
    return page.strip() + "\n"


@functools.cache
def _template() -> jinja2.Template:
    return load_template(_TEMPLATE, {"percent": show_percent, "area": show_area, "quote": shlex.quote})


def _show_group(group: LookAlikeGroup, upright: bool) -> ShownGroup:
    drawn = ((_thumbnail(one.image, upright), one.bits) for one in group.first[:MAX_SHOWN_IN_GROUP])
    return ShownGroup(group, [(thumbnail, bits) for thumbnail, bits in drawn if thumbnail is not None])


def _thumbnail(image: ImageRef, upright: bool) -> Thumbnail | None:
    small = read_small(image.path, upright=upright)
    if small is None:
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Thumbnail(uri, small.width, small.height, image)


# Charts.


def show_area(fraction: float) -> str:
    """An area fraction as a person reads it."""
    return f"{100 * fraction:.2g} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def _show_ratio(value: float) -> str:
    return f"1:{1 / value:.3g}" if value < 1 else f"{value:.3g}:1"


_AXES = {
    Cue.BRIGHTNESS: Axis("mean brightness, 0 black to 1 white", (0, 0.25, 0.5, 0.75, 1), "{:g}".format, is_log=False),
    Cue.CONTRAST: Axis(
        "contrast: standard deviation of the luma, 0 to 0.5",
        (0, 0.1, 0.2, 0.3, 0.4, 0.5),
        lambda value: f"{value:.3g}",
        is_log=False,
    ),
    Cue.ASPECT: Axis("width : height", (0.25, 0.5, 0.75, 1, 4 / 3, 2, 4), _show_ratio, is_log=True),
    Cue.SHORTER_SIDE: Axis(
        "shorter side in pixels", (16, 32, 64, 128, 256, 512, 1024, 2048), lambda value: f"{value:.0f}", is_log=True
    ),
}
_TITLES = {
    Cue.BRIGHTNESS: "Brightness",
    Cue.CONTRAST: "Contrast",
    Cue.ASPECT: "Aspect",
    Cue.SHORTER_SIDE: "Resolution",
}
_AREA_AXIS = Axis("largest object's part of the image's area", (0.0001, 0.001, 0.01, 0.1, 1), show_area, is_log=True)


def _draw_cues(report: DataReport) -> Iterator[Chart]:
    for found in report.cues:
        axis = _AXES[found.cue]
        is_side = found.cue is Cue.SHORTER_SIDE
        yield draw_histogram(
            f"chart-{found.cue}",
            _TITLES[found.cue],
            found.histogram,
            axis,
            as_shares=True,
            marks=[(report.side, f"the model's {report.side}")] if is_side else [],
            notes=_medians(found, axis),
        )


def _medians(found: CueFindings, axis: Axis) -> list[str]:
    spreads = [found.by_label.get(series.label) for series in found.histogram.series]
    show = (lambda value: f"{value:.2f}") if found.cue in {Cue.BRIGHTNESS, Cue.CONTRAST} else axis.show
    return ["none" if spread is None else f"median {show(spread.quartiles[1])}" for spread in spreads]


def _draw_objects(objects: ObjectSizes, rule: Rule) -> Chart:
    return draw_histogram(
        "chart-objects",
        "Largest object of each image",
        objects.histogram,
        _AREA_AXIS,
        as_shares=False,
        marks=[(rule.min_area_fraction, f"threshold {show_area(rule.min_area_fraction)}")]
        if rule.min_area_fraction > 0
        else [],
        notes=[f"and {objects.without_object[series.label]:,} without any" for series in objects.histogram.series],
    )


_IOU_AXIS = Axis("best IoU with any anchor", (0, 0.25, 0.5, 0.75, 1), lambda value: f"{value:.3g}", is_log=False)


def _draw_boxes(found: BoxFindings) -> Chart:
    return draw_histogram(
        "chart-anchors",
        "How well the anchors fit",
        found.histogram,
        _IOU_AXIS,
        as_shares=True,
        marks=[(found.match_iou, f"matched from {found.match_iou:g}")],
        notes=[f"mean {row.mean_best_iou:.2f}" for row in found.by_label],
        noun="box",
    )
