"""`vww budget` as a person meets it, in a process of its own as its worker is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.devices import DEVICES
from components.errors import PipelineError
from components.trainer.budget import Budget
from pipeline.budget import budget_job, count_labels, run_budget
from pipeline.config import read_config
from pipeline.console import RunView

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipeline/configs/demo.yaml"
FOLDERS = ROOT / "pipeline/configs/folders_mobilenet_v1_025_96_gray.yaml"
VWW = Path(sys.executable).with_name("vww")


@pytest.fixture
def vww(tmp_path):
    """Runs the installed command in an empty folder: (exit code, stdout, stderr)."""
    if not VWW.exists():
        pytest.skip(f"{VWW} is not installed")

    def run(*arguments):
        finished = subprocess.run(
            [VWW, "budget", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
        )
        assert "Traceback" not in finished.stdout + finished.stderr
        assert list(tmp_path.iterdir()) == []  # measuring leaves nothing behind
        return finished.returncode, finished.stdout, finished.stderr

    return run


def test_vww_budget_beyond_a_limit_exits_3_with_the_table_and_what_would_fit(vww):
    code, stdout, stderr = vww(
        DEMO, "--set", "transform.side=48", "--set", "gates.int8.max_arena_bytes=40_000",
        "--set", "gates.int8.max_flatbuffer_bytes=null",
    )  # fmt: skip
    assert code == 3, stderr
    rows = {line.split("  ")[0].strip(): line.split() for line in stdout.splitlines() if line.strip()}
    assert rows["tensor arena (64-bit host)"][-4:] == ["40,000", "-3,792", "(-9.5%)", "REFUSED"]
    assert rows["flatbuffer"] == ["flatbuffer", "236,880", "bytes", "-", "-", "-"]
    assert rows["CONV_2D"] == ["CONV_2D", "3", "15"]
    assert "GateError: refused before any training: " in stderr
    assert "--set transform.side=32 (estimated: " in stderr
    for chatter in ("WARNING", "absl", "W0000", "E0000", "fully_quantize"):
        assert chatter not in stderr


def test_vww_budget_without_limits_passes_and_prints_json_for_the_labels_that_are_asked_for(vww):
    code, stdout, stderr = vww(
        FOLDERS, "--set", "data.images=nowhere", "--labels", "5", "--json", "--set", "transform.side=32",
        "--set", "gates.int8.max_arena_bytes=null", "--set", "gates.int8.max_flatbuffer_bytes=null",
        "--set", "gates.int8.max_macs=null",
    )  # fmt: skip
    assert code == 0, stderr
    budget = Budget.from_json(stdout)
    assert budget.architecture.label_count == 5
    assert budget.report.outputs[0].shape == (1, 5)
    assert json.loads(stdout)["verdict"] == {"gates": [], "refusals": []}


def test_vww_budget_of_a_device_takes_its_limits_and_not_the_configs(vww):
    code, stdout, stderr = vww(
        DEMO, "--device", "tflm_person_detection", "--set", "transform.side=32", "--set", "gates.int8.max_arena_bytes=1"
    )
    assert code == 0, stderr
    rows = {line.split("  ")[0].strip(): line.split() for line in stdout.splitlines() if line.strip()}
    assert "300,568" in rows["flatbuffer"]
    assert "139,264" in rows["tensor arena (64-bit host)"]
    assert rows["operators"] == ["operators", "all", "registered", "those", "of", "the", "firmware", "-", "passed"]


def test_vww_budget_lists_the_devices_without_a_config(vww):
    code, stdout, _ = vww("--devices")
    assert code == 0
    for name in DEVICES:
        assert name in stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "transform.side=16"], 2, "transform.side: "),
        (["--set", "trainer.alpha=0.3"], 2, "mobilenet_v1 takes 0.25, 0.5, 0.75, 1"),
        (["--set", "gates.int8.max_arena_bytes=0"], 2, "gates.int8.max_arena_bytes: "),
        (["--device", "rp2041_pico"], 2, "no preset 'rp2041_pico'; did you mean rp2040_pico?"),
        (["--labels", "1"], 2, "--labels"),
        (["--set", "data.images=nowhere"], 1, "--labels N measures without the images"),
    ],
)
def test_vww_budget_bad_input_is_answered_before_anything_is_measured(vww, arguments, code, words):
    found, stdout, stderr = vww(FOLDERS, "--set", "data.images=.", *arguments)
    assert (found, stdout) == (code, "")
    assert words in stderr
    assert "TensorFlow" not in stderr


def test_count_labels_of_coco_needs_no_data():
    assert count_labels(read_config(str(DEMO))) == 2
    assert count_labels(read_config(str(DEMO), ["data.category=[person, dog, cat]"])) == 4


def test_count_labels_of_folders_are_the_classes(tmp_path):
    for name in ("cat", "dog", "fish"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"")
    assert count_labels(read_config(str(FOLDERS), [f"data.images={tmp_path}"])) == 3


def test_run_budget_process_that_dies_says_how_and_its_last_words(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho 'last words' >&2\nkill -9 $$\n")
    (tmp_path / "python").chmod(0o755)
    config = read_config(str(DEMO))
    with pytest.raises(PipelineError, match=r"without a word \(SIGKILL\): last words"), RunView() as view:
        run_budget(budget_job(config, 2, config.gates.int8.device_budget), view)
