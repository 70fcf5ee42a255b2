"""The data report in a real browser: what is rendered, that every image shows, and that the console is silent."""

import json
import re
from html import unescape

import pytest

from components.sample_data.writer import write_sample_data
from pipeline.config import read_config
from pipeline.console import RunView
from pipeline.report.data_page import write_page
from pipeline.report.data_report import gather_data_report

CONFIG = """\
name: tiny
run: {root: runs}
trainer: {optimizer: {name: adam}, schedule: {name: cosine}, learning_rate: 0.003, batch_size: 32, epochs: 2}
gates: {float: {min_accuracy: 0.5}, int8: {min_accuracy: 0.5}}
"""
# Told by the page itself, whose policy lets no script run: this one goes into a copy of it.
PROBE = """
<script>
addEventListener("load", () => {
  const found = {
    images: [...document.images].map(image => [image.complete, image.naturalWidth, image.naturalHeight]),
    text: document.body.innerText,
    bars: [...document.querySelectorAll("svg rect")].map(bar => bar.getBoundingClientRect().height),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
  document.body.innerHTML = "";
  document.body.dataset.found = JSON.stringify(found);
});
</script>
"""


@pytest.fixture(scope="module")
def report_and_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_sample_data(folder / "set", images=60, seed=3)
    (folder / "tiny.yaml").write_text(CONFIG)
    data = {"annotations": str(folder / "set/instances.json"), "images": str(folder / "set/images")}
    config = read_config(str(folder / "tiny.yaml"), [f"data={json.dumps(data)}"])
    with RunView() as view:
        report = gather_data_report(config, view)
    write_page(report, folder / "page.html")
    return report, folder / "page.html"


def test_page_renders_text_images_and_bars(browse, report_and_page, tmp_path):
    report, page = report_and_page
    html = page.read_text(encoding="utf-8")
    probed, replaced = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    assert replaced == 1
    (tmp_path / "probed.html").write_text(probed.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    dom, console = browse(tmp_path / "probed.html", "--dump-dom", "--window-size=1200,900")
    assert console == []
    found = json.loads(unescape(re.search(r'data-found="([^"]*)"', dom).group(1)))
    assert found["overflow"] == 0
    assert len(found["images"]) == sum(map(len, report.samples.values()))
    assert all(complete and width > 0 and height > 0 for complete, width, height in found["images"])
    assert len(found["bars"]) > 20
    assert min(found["bars"]) > 0
    for words in ("Data report: tiny", "Label rules", "train_images", "not-person"):
        assert words in found["text"]


def test_page_says_nothing_on_the_console_with_its_own_policy(browse, report_and_page):
    dom, console = browse(report_and_page[1], "--dump-dom")
    assert console == []
    assert "<h1>Data report: tiny</h1>" in dom


@pytest.mark.parametrize(
    ("options", "paper", "bars"),
    [
        ([], (255, 255, 255), {(0x1F, 0x6F, 0xB5), (0x5B, 0x6B, 0x7D)}),
        (["--blink-settings=preferredColorScheme=0"], (0x15, 0x18, 0x1C), {(0x63, 0xAA, 0xEE), (0x98, 0xA6, 0xB5)}),
    ],
    ids=["light", "dark"],
)
@pytest.mark.parametrize("width", [400, 1000])
def test_page_fits_its_window_and_is_drawn(photograph, report_and_page, width, options, paper, bars):
    """In the picture itself: the colours of paper and bars are there, and nothing is at the right edge."""
    pixels = photograph(report_and_page[1], width, 6000, *options)
    colours = {colour for count, colour in pixels.getcolors(2**24) if count > 50}
    assert {paper, *bars} <= colours
    assert pixels.crop((width - 6, 0, width, 6000)).getcolors() == [(6 * 6000, paper)]
