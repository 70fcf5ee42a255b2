import re
import shutil
import subprocess

import pytest

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
