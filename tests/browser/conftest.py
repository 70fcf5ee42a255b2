import re
import shutil
import subprocess

import pytest
from PIL import Image

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def browse(tmp_path):
    """Runs the browser on a file; gives what it prints, and what its console said."""
    if BROWSER is None:
        pytest.skip("no chromium, chromium-browser or google-chrome in PATH")

    def run(page, *options):
        finished = subprocess.run(
            [
                *(
                    BROWSER,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--enable-logging=stderr",
                ),
                *(f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri()),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout, re.findall(r"CONSOLE.*", finished.stderr)

    return run


@pytest.fixture
def photograph(browse, tmp_path):
    """Draws a page in a window of some width and height, its console silent; gives the picture."""

    def draw(page, width, height, *options):
        frame = tmp_path / "frame.html"  # a window has a least width, a frame has none
        frame.write_text(
            "<meta name=color-scheme content='light dark'><body style='margin:0'>"
            f"<iframe src='{page.as_uri()}' width={width} height={height} style='border:0'></iframe></body>"
        )
        picture = tmp_path / "page.png"
        _, console = browse(frame, f"--screenshot={picture}", f"--window-size=1000,{height}", *options)
        assert console == []
        with Image.open(picture) as image:
            return image.convert("RGB").crop((0, 0, width, height))

    return draw
