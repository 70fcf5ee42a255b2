"""The page of a detector's run in a real browser: boxes, names and curve are drawn, and it is as wide as its window."""

import base64
import io

import pytest
from PIL import Image

from components.dataset import DatasetSummary
from components.detection.records import CategoryQuality, DetectionQuality
from components.drift import Drift
from components.pusher.figures import DetectorEvaluation, DetectorFigures
from components.pusher.outcome import OUTCOME_FILE, Outcome
from components.pusher.pictures import Curve, Picture, PictureBook, PictureBox
from components.verdicts import Comparison, Gate, Verdict
from pipeline.report.run_page import write_run_page

LABEL = "pedestrian crossing"
FOUND, FALSE, THERE = (0x29, 0xB6, 0xFF), (0xFF, 0x5A, 0x36), (0x3D, 0xDC, 0x5A)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    quality = DetectionQuality(
        images=20, boxes=30, ap=0.4, ap50=0.7, ap75=0.5, ap_small=None, ap_medium=0.4, ap_large=0.5,
        ar_1=0.3, ar_10=0.5, ar_100=0.5, ap_interval=(0.4, 0.5), ap50_interval=(0.6, 0.8),
        categories={LABEL: CategoryQuality(boxes=30, ap=0.4, ap50=0.7, ap50_interval=(0.6, 0.8))},
    )  # fmt: skip
    outcome = Outcome(
        dataset=DatasetSummary(
            label_names=("background", LABEL), positive=None, label_rule="boxes", label_rule_version=1,
            label_rule_digest="0" * 64, label_rule_in_words="", counts={"train": {LABEL: 1300}, "eval": {LABEL: 20}},
            digest="d" * 64, fingerprint="f" * 64, quarantined={}, dropped={}, reencoded=0, split_digest="5" * 64,
            licenses=(),
        ),
        drift=Drift(baseline=None, features=()),
        verdict=Verdict(
            gates=(Gate(name="gates.int8.min_ap", comparison=Comparison.AT_LEAST, limit=0.9, value=0.4, measured=0.5),)
        ),
        evaluation=DetectorEvaluation(metrics=quality, change=None, slices={}),
        figures=DetectorFigures(float_metrics={"eval": quality}, int8_metrics={"eval": quality}),
    )  # fmt: skip
    (folder / OUTCOME_FILE).write_text(outcome.to_json())
    image = io.BytesIO()
    Image.new("L", (160, 160), 128).save(image, "PNG")
    boxes = (
        PictureBox(label=LABEL, box_yxyx=(0.5, 0.05, 0.95, 0.3), score=None, is_right=False),
        PictureBox(label=LABEL, box_yxyx=(0.2, 0.1, 0.4, 0.5), score=0.75, is_right=True),
        PictureBox(label=LABEL, box_yxyx=(0.5, 0.7, 0.9, 0.9), score=0.5, is_right=False),
    )
    picture = Picture(
        source_id="7", png=base64.b64encode(image.getvalue()).decode(), aspect=1.5, caption="1 of 2 found", boxes=boxes
    )
    curve = Curve(label=LABEL, points=((0.1, 1.0), (0.5, 0.8), (0.7, 0.3)))
    PictureBook(groups={"worst": (picture,) * 3}, curves=(curve,)).write(folder)
    write_run_page("signs", folder, folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize(
    ("width", "options", "paper", "curve"),
    [
        (400, [], (255, 255, 255), (0x1F, 0x6F, 0xB5)),
        (1000, ["--blink-settings=preferredColorScheme=0"], (0x15, 0x18, 0x1C), (0x63, 0xAA, 0xEE)),
    ],
    ids=["narrow and light", "wide and dark"],
)
def test_page_fits_its_window_and_draws_boxes_names_and_curve(photograph, page, width, options, paper, curve):
    pixels = photograph(page, width, 4500, *options)
    colours = {colour: count for count, colour in pixels.getcolors(2**24)}
    assert colours[paper] > 0.3 * width * 4500
    for drawn in (FOUND, FALSE, THERE, curve):
        assert colours.get(drawn, 0) > 50, drawn
    assert pixels.crop((width - 6, 0, width, 4500)).getcolors() == [(6 * 4500, paper)]
