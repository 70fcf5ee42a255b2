"""The sweep's page in a real browser: drawn in both themes, and as wide as its window."""

import pytest

from pipeline.report.sweep_page import write_sweep_page
from pipeline.sweep.results import PointRow, Status, compare


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rows = [
        PointRow(
            label=f"alpha={alpha} side={side}",
            values={},
            status=Status.REFUSED if side == 48 else Status.PASSED,
            refused_by=("gates.float.min_accuracy", "gates.int8.min_accuracy") if side == 48 else (),
            images=188,
            float_accuracy=0.7,
            int8_accuracy=0.5 + alpha * side / 500,
            int8_interval=(0.4 + alpha * side / 500, 0.6 + alpha * side / 500),
            int8_auc=0.8,
            arena_bytes=int(1800 * alpha**0.5 * side),
            flatbuffer_bytes=int(1_300_000 * alpha),
            macs=10**7,
            folder="f",
            command="vww run configs/a_config_with_a_long_name.yaml --set trainer.alpha=0.25 --set transform.side=96",
        )
        for alpha in (0.25, 0.5)
        for side in (48, 96)
    ]
    path = tmp_path_factory.mktemp("page") / "sweep.html"
    write_sweep_page(compare("drawn", "c.yaml", rows), path)
    return path


@pytest.mark.parametrize(
    ("options", "paper", "front"),
    [
        ([], (255, 255, 255), (0x1F, 0x6F, 0xB5)),
        (["--blink-settings=preferredColorScheme=0"], (0x15, 0x18, 0x1C), (0x63, 0xAA, 0xEE)),
    ],
    ids=["light", "dark"],
)
@pytest.mark.parametrize("width", [400, 1000])
def test_page_fits_its_window_and_is_drawn(photograph, page, width, options, paper, front):
    pixels = photograph(page, width, 2000, *options)
    colours = {colour for count, colour in pixels.getcolors(2**24) if count > 50}
    assert {paper, front} <= colours
    assert pixels.crop((width - 6, 0, width, 2000)).getcolors() == [(6 * 2000, paper)]
