"""The host's C++ compiler, with the flags that the bundle promises to satisfy."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

WARNINGS = ("-Wall", "-Wextra", "-Werror")


@pytest.fixture(scope="session")
def compiler() -> str:
    """Path of g++."""
    path = shutil.which("g++")
    if path is None:
        pytest.skip("g++ is not installed")
    return path


@pytest.fixture
def compile_object(compiler: str, tmp_path: Path) -> Callable[..., Path]:
    """Compiles one source in a folder of generated files to an object file."""

    def compile_source(source: Path, *flags: str) -> Path:
        target = tmp_path / f"{source.stem}.o"
        options = flags or ("-std=c++17",)
        subprocess.run([compiler, *options, *WARNINGS, "-I", tmp_path, "-c", source, "-o", target], check=True)
        return target

    return compile_source


@pytest.fixture
def compile_and_run(compiler: str, tmp_path: Path) -> Callable[..., bytes]:
    """Compiles a program, with more sources if wanted, and gives back what it prints."""

    def run(program: str, *sources: Path) -> bytes:
        main = tmp_path / "main.cc"
        main.write_text(program)
        command = [compiler, "-std=c++17", *WARNINGS, "-I", tmp_path, main, *sources, "-o", tmp_path / "main"]
        subprocess.run(command, check=True)
        return subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout

    return run
