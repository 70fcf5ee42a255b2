import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import ConfigError
from components.example_gen.plan import plan_dataset
from pipeline.anchors import check_anchors
from pipeline.report import data_checks
from pipeline.report.box_findings import SizeRow
from pipeline.report.data_checks import check_data
from pipeline.report.data_page import render_page
from pipeline.report.data_tables import print_report

DETECTION = ("task=detection", "gates.float={min_ap50: 0.5}", "gates.int8={min_ap50: 0.5}", "transform.side=160")


class Boxes:
    """30 images of 320 x 240 pixels in `root`, with the boxes that they are given."""

    def __init__(self, root, config_of):
        self.root = root
        self.config_of = config_of
        self.annotations = []
        (root / "images").mkdir()
        for n in range(30):
            pixels = np.random.default_rng(n).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((320, 240)).save(root / "images" / f"{n}.jpg")

    def add(self, image, category, bbox, **fields):
        entry = {"id": len(self.annotations), "image_id": image, "category_id": category, "area": bbox[2] * bbox[3]}
        self.annotations.append({**entry, "bbox": bbox, "iscrowd": 0, **fields})

    def config(self, *overrides):
        document = {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 320, "height": 240} for n in range(30)],
            "annotations": self.annotations,
            "categories": [{"id": 1, "name": "stop"}, {"id": 2, "name": "yield"}],
        }
        (self.root / "a.json").write_text(json.dumps(document))
        data = {"annotations": str(self.root / "a.json"), "images": str(self.root / "images")}
        return self.config_of(*DETECTION, *overrides, **data, category=["stop", "yield"])


@pytest.fixture
def boxes(tmp_path, config_of):
    return Boxes(tmp_path, config_of)


@pytest.fixture
def signs(boxes):
    """A small sign and a large one in every image, three more small ones and a crowd in the first of train."""
    for n in range(30):
        boxes.add(n, 1, [10 + 8 * n, 100, 20, 24])
        boxes.add(n, 2, [60, 40, 200, 160])
    for n in range(20):
        boxes.add(0, 1, [15 * n, 5, 10, 12])
    boxes.add(0, 2, [0, 0, 300, 200], iscrowd=1)
    return boxes


def test_measure_boxes_finds_which_anchors_fit_which_boxes(signs, report_of):
    config = signs.config("transform.max_boxes=10")
    report = report_of(config)
    found = report.boxes
    (small, large), train = found.by_label, report.counts["train"]
    images = sum(train.values())
    assert found.counts["train"] == {"stop": images + 20, "yield": images}
    assert found.boxes == small.boxes + large.boxes == 2 * images + 20
    assert (found.crowds, found.crowded_images, found.not_learned) == ({"train": 1, "eval": 0}, 1, 13)
    assert (small.label, small.unmatched, large.unmatched) == ("stop", images + 20, 0)
    assert large.mean_best_iou > 0.6 > small.mean_best_iou
    assert (large.width_px, large.height_px) == pytest.approx((100, 160 * 160 / 240))
    assert [(row.size, row.boxes, row.unmatched) for row in found.at_input] == [
        ("small", images + 20, images + 20), ("medium", 0, 0), ("large", images, 0)
    ]  # fmt: skip
    assert [(row.size, row.boxes) for row in found.at_image] == [
        ("small", images + 20), ("medium", 0), ("large", images)
    ]  # fmt: skip
    assert found.tiny == 20
    assert sum(map(sum, (series.counts for series in found.histogram.series))) == found.boxes
    assert found.unmatched == small.unmatched
    assert report.rule is None


def test_measure_boxes_proposal_does_what_it_says_when_it_is_set(signs, report_of):
    before = report_of(signs.config()).boxes
    assert before.proposal.unmatched < before.unmatched
    assert before.proposal.mean_best_iou > before.mean_best_iou
    after = report_of(signs.config(*before.proposal.settings)).boxes
    assert (after.anchors, after.unmatched, after.mean_best_iou) == (
        before.proposal.anchors, before.proposal.unmatched, before.proposal.mean_best_iou
    )  # fmt: skip


def test_data_report_of_a_detector_warns_in_words_on_page_and_terminal(signs, report_of, capsys):
    report = report_of(signs.config("transform.max_boxes=10"))
    warned = {check.name: check for check in report.warnings}
    assert {"train_boxes", "unmatched_boxes", "tiny_boxes", "boxes_beyond_max"} <= warned.keys()
    assert not {"class_balance", "train_images", "near_threshold"} & {check.name for check in report.checks}
    page = render_page(report)
    print_report(report)
    shown = capsys.readouterr().out
    for sentence in report.boxes.in_words:
        assert sentence in shown
    assert "is learned from one anchor, which fits it worse." in shown
    for setting in report.boxes.proposal.settings:
        assert f"&#39;{setting}&#39;" in page or f"--set {setting}" in page
        assert setting in warned["unmatched_boxes"].advice
    assert "Boxes and anchors" in page
    assert "matched from 0.5" in page
    assert json.loads(report.to_json())["boxes"]["proposal"]["settings"] == list(report.boxes.proposal.settings)


@pytest.mark.parametrize(
    ("unmatched", "proposed", "words"),
    [
        (160, 40, "and leave 4.0 % without one that matches, not 16.0 %."),
        (160, 160, "and leave 16.0 % without one that matches, as before."),
        (1, 0, "and leave 0.0 % without one that matches, not 0.1 %."),
    ],
)
def test_box_findings_compare_a_proposal_with_what_there_is(sign_report, unmatched, proposed, words):
    proposal = dataclasses.replace(sign_report.boxes.proposal, unmatched=proposed)
    found = dataclasses.replace(sign_report.boxes, boxes=1000, unmatched=unmatched, proposal=proposal)
    assert found.in_words[-1].endswith(words)


def test_box_findings_speak_of_other_boxes_only_where_there_are_some(sign_report):
    found = dataclasses.replace(sign_report.boxes, boxes=494, unmatched=0, at_input=(SizeRow("small", 494, 0),))
    assert found.in_words[0].startswith("494 of 494 train boxes have an IoU of 0.5 or more with one of ")
    assert found.in_words[0].endswith(" anchors.")
    assert (
        dataclasses.replace(found, unmatched=1)
        .in_words[0]
        .endswith(" anchors; each of the other 1 (0.2 %) is learned from one anchor, which fits it worse.")
    )


def test_data_report_of_a_classifier_says_nothing_of_anchors(sample_report):
    assert sample_report.boxes is None
    assert "Boxes and anchors" not in render_page(sample_report)


def test_check_anchors_that_match_nothing_are_refused_with_others_that_do(boxes):
    for n in range(30):
        boxes.add(n, 1, [10 + 8 * n, 100, 16, 12])
        boxes.add(n, 2, [60, 40, 14, 10])
    config = boxes.config()
    with pytest.raises(ConfigError, match=r"no anchor has an IoU of trainer.detector.match_iou=0.5 or more") as caught:
        check_anchors(config, config.trainer.detector, plan_dataset(config.data))
    assert "--set 'trainer.detector.anchors.scales=[0.0" in caught.value.hint
    assert "of them match; vww data report" in caught.value.hint


def test_report_shows_anchors_that_a_run_refuses(boxes, report_of):
    for n in range(30):
        boxes.add(n, 1, [10, 10, 3, 3])
        boxes.add(n, 2, [100, 20, 3, 3])
    config = boxes.config()
    with pytest.raises(ConfigError) as refused:
        check_anchors(config, config.trainer.detector, plan_dataset(config.data))
    assert str(refused.value) in report_of(config).refusals


def test_report_and_run_say_that_boxes_below_a_pixel_may_be_normalised(boxes, report_of):
    for n in range(30):
        boxes.add(n, 1, [0.4, 0.45, 0.36, 0.27])
        boxes.add(n, 2, [0.1, 0.05, 0.9, 0.95])
    config = boxes.config()
    with pytest.raises(ConfigError, match="no anchor has an IoU") as caught:
        check_anchors(config, config.trainer.detector, plan_dataset(config.data))
    assert caught.value.hint.startswith("no box is larger than a pixel: they may be normalised to 0...1")
    advice = {check.name: check.advice for check in report_of(config).warnings}
    assert "they may be normalised" in advice["tiny_boxes"]
    assert "they may be normalised" in advice["unmatched_boxes"]


def test_report_says_that_boxes_that_are_mostly_clipped_may_be_corners(boxes, report_of):
    for n in range(30):
        boxes.add(n, 1, [100, 80, 200, 160])
        boxes.add(n, 2, [20, 30, 200 + 102 * (n < 10), 150])
    report = report_of(boxes.config())
    (check,) = (check for check in report.warnings if check.name == "clipped_boxes")
    assert (check.value, report.boxes.clipped, report.boxes.labelled) == (10 / 60, 10, 60)
    assert "corners" not in check.advice
    report = dataclasses.replace(report, boxes=dataclasses.replace(report.boxes, clipped=31))
    (check,) = (check for check in check_data(report) if check.name == "clipped_boxes")
    assert "they may be corners [x1, y1, x2, y2]" in check.advice


def test_check_anchors_hairlines_that_no_anchor_fits_are_not_said_to_want_a_larger_input_alone(boxes):
    for n in range(30):
        boxes.add(n, 1, [10, 100, 300, 0.05])
        boxes.add(n, 2, [10, 140, 300, 0.05])
    config = boxes.config()
    with pytest.raises(ConfigError, match="no anchor has an IoU") as caught:
        check_anchors(config, config.trainer.detector, plan_dataset(config.data))
    assert caught.value.hint.startswith("lower trainer.detector.match_iou; ")
    assert "does nothing for hairlines" in caught.value.hint


def test_check_anchors_says_how_many_boxes_match(signs):
    config = signs.config()
    plan = plan_dataset(config.data)
    images = sum(plan.counts["train"])
    words = check_anchors(config, config.trainer.detector, plan)
    assert words.startswith(f"{images} of {2 * images + 20} train boxes (")
    assert "vww data report proposes others" in words


@pytest.fixture
def sign_report(signs, report_of):
    return report_of(signs.config())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"unmatched": (30, 31)}, "unmatched_boxes"),
        ({"tiny": (10, 11)}, "tiny_boxes"),
        ({"not_learned": (1, 2)}, "boxes_beyond_max"),
        ({"clipped": (1, 2)}, "clipped_boxes"),
        ({"counts": ({"train": {"a": 2000, "b": 1000}}, {"train": {"a": 2000, "b": 999}})}, "train_boxes"),
    ],
)
def test_check_of_boxes_warns_beyond_its_limit_as_documented(sign_report, changes, name):
    base = dataclasses.replace(sign_report.boxes, boxes=100, labelled=100, crowds={"train": 0, "eval": 0})
    ((field, values),) = changes.items()
    verdicts = []
    for value in values:
        report = dataclasses.replace(sign_report, boxes=dataclasses.replace(base, **{field: value}))
        verdicts += [str(check.verdict) for check in check_data(report) if check.name == name]
    assert verdicts == ["fine", "warn"]


def test_document_names_every_check_of_boxes_with_its_limit(sign_report):
    text = (Path(__file__).parents[4] / "docs" / "data-report.md").read_text(encoding="utf-8")
    section = text.partition("## Boxes and anchors")[2].partition("\n## ")[0]
    stated = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    assert set(stated) == {check.name for check in sign_report.checks if "boxes" in check.name}
    limits = {
        "train_boxes": f"{data_checks.MIN_TRAIN_BOXES:,}",
        "unmatched_boxes": f"{data_checks.MAX_UNMATCHED_SHARE:.0%}",
        "tiny_boxes": f"{data_checks.MAX_TINY_SHARE:.0%}",
        "boxes_beyond_max": f"{data_checks.MAX_NOT_LEARNED_SHARE:.0%}",
        "clipped_boxes": f"{data_checks.MAX_CLIPPED_SHARE:.0%}",
    }
    for name, limit in limits.items():
        assert f" {limit} ".replace("%", " %") in f"{stated[name]} ", name
