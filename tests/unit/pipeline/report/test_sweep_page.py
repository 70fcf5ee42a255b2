"""The sweep's page: complete, self-contained, and true to the report."""

import html
import re

import pytest

from components.errors import StorageError
from pipeline.report.sweep_page import render_sweep_page, write_sweep_page
from pipeline.sweep.results import PointRow, Status, compare


def make_row(label, status=Status.PASSED, accuracy=0.8, arena=1000, flash=2000, **more):
    return PointRow(
        label=label,
        values={},
        status=status,
        images=100,
        float_accuracy=0.9,
        int8_accuracy=accuracy,
        int8_interval=(accuracy - 0.1, accuracy + 0.1),
        int8_auc=0.85,
        arena_bytes=arena,
        flatbuffer_bytes=flash,
        macs=7,
        folder="f",
        command=f"vww run c.yaml --set '{label}'",
        **more,
    )


FAILED = PointRow(
    label="bad", values={}, status=Status.FAILED, reasons=("ModelError: <b>no</b>",), folder="f", command="c"
)
REFUSED = make_row("big", Status.REFUSED, 0.9, 3000, 4000, refused_by=("gates.int8.max_arena_bytes",))
WAITING = PointRow(label="next", values={}, status=Status.WAITING, folder="f", command="c")


def test_page_shows_every_point_in_both_charts_and_the_table():
    page = render_sweep_page(compare("tiny", "c.yaml", [make_row("small"), REFUSED, FAILED, WAITING]))
    assert page.count("<svg") == 2
    assert page.count("<circle") == 4
    assert len(re.findall(r'class="dot best hollow"', page)) == 2
    assert "2 of 4 points" in page
    assert "on the eval split of 100 images:" in page
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    assert "refused: int8.max_arena_bytes" in text
    assert "ModelError: <b>no</b>" in text
    assert "vww run c.yaml --set 'small'" in text


def test_page_needs_nothing_else():
    page = render_sweep_page(compare("tiny", "c.yaml", [make_row("small")]))
    assert not re.search(r"<script|<link|<img|https?://|url\(", page)
    assert "default-src 'none'" in page


def test_page_of_a_sweep_that_has_measured_nothing_has_no_chart():
    page = render_sweep_page(compare("tiny", "c.yaml", [FAILED, WAITING]))
    assert "<svg" not in page
    assert "0 of 2 points" in page
    assert "Next" not in page


def test_page_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_sweep_page(compare("tiny", "c.yaml", [WAITING]), tmp_path / "file" / "sweep.html")
