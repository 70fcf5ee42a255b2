"""What `.ci/run` promises about the compilers, with a `make` and an `apt-get` of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci/run"
PRINT = "#!/bin/sh\necho required=$VWW_REQUIRE_COMPILERS\nexit 7\n"
INSTALL = "#!/bin/sh\n[ $1 = update ] || cp $0 ${0%/*}/cmake; [ $1 = update ] || cp $0 ${0%/*}/arm-none-eabi-g++\n"


@pytest.fixture
def run_ci(tmp_path):
    """Runs it where these programs exist, by name and text, and no others that it looks for."""

    def run(**programs):
        for name in ("bash", "cp", "dirname", "sh"):
            (tmp_path / name).symlink_to(shutil.which(name))
        for name, text in {"make": PRINT, **programs}.items():
            path = tmp_path / name.replace("_", "-").replace("gxx", "g++")
            path.write_text(text)
            path.chmod(0o755)
        return subprocess.run(["bash", RUN], env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True)

    return run


def test_ci_run_with_the_compilers_asks_tests_to_fail_without_them(run_ci):
    ran = run_ci(arm_none_eabi_gxx=PRINT, cmake=PRINT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "required=1\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="apt-get is tried by root only")
def test_ci_run_that_can_install_the_compilers_asks_tests_to_fail_without_them(run_ci):
    assert run_ci(apt_get=INSTALL).stdout == "required=1\n"


@pytest.mark.parametrize("programs", [{}, {"apt_get": "#!/bin/sh\nexit 1\n"}], ids=["no apt-get", "apt-get fails"])
def test_ci_run_without_the_compilers_warns_before_and_after_the_tests(run_ci, programs):
    ran = run_ci(**programs)
    assert (ran.returncode, ran.stdout) == (7, "required=\n")
    assert ran.stderr.count("WARNING: THE C BUNDLE IS NOT COMPILED FOR CORTEX-M4") == 2


def test_require_tool_that_is_missing_skips_or_fails_as_asked(require_tool, monkeypatch):
    monkeypatch.delenv("VWW_REQUIRE_COMPILERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"nowhere-g\+\+ is not installed \(Debian: g\+\+\)"):
        require_tool("nowhere-g++", "g++")
    monkeypatch.setenv("VWW_REQUIRE_COMPILERS", "1")
    with pytest.raises(pytest.fail.Exception, match="VWW_REQUIRE_COMPILERS=1 asks for it"):
        require_tool("nowhere-g++", "g++")
