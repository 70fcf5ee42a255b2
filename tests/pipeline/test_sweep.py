"""A sweep of two points: killed in its trainings, gone on with, asked for again, and what it leaves behind."""

import time
from pathlib import Path

import pytest

from pipeline.sweep.grid import parse_axis
from pipeline.sweep.results import Status
from pipeline.sweep.sweep import Sweep

SETTINGS = ("trainer.epochs=1", "trainer.checkpoint_interval_steps=2", "gates.int8.max_flatbuffer_bytes=400_000")


class Attempt:
    """One `vww sweep`, its report and the workers that it started."""

    def __init__(self, config_file, warm_workers, stop=None):
        sweep = Sweep(str(config_file), SETTINGS, [parse_axis("trainer.alpha=0.25,0.5", "--alpha")], None, "vww")
        with warm_workers(stop) as workers:
            start = time.monotonic()
            self.report = sweep.run(parallel=1)
            self.seconds = time.monotonic() - start
        self.page = sweep.page
        self.workers = workers
        self.checkpoints = [path.relative_to(sweep.page.parent) for path in sweep.page.parent.rglob("checkpoint.npz")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep") / "run"


@pytest.fixture(scope="module")
def config_file(sample_set, write_config, root):
    return write_config(root.parent, sample_set, root)


@pytest.fixture(scope="module")
def killed(config_file, warm_workers):
    return Attempt(config_file, warm_workers, stop=("Trainer", "report 3"))


@pytest.fixture(scope="module")
def finished(killed, config_file, warm_workers):
    return Attempt(config_file, warm_workers)


def test_sweep_whose_points_fail_names_them_and_goes_on(killed):
    assert [row.status for row in killed.report.rows] == [Status.FAILED, Status.FAILED]
    assert all("signal SIGKILL" in row.reasons[0] for row in killed.report.rows)
    assert len(killed.workers) == 3  # of the shared nodes, and of each point


def test_sweep_goes_on_in_the_folders_of_its_points(killed, finished):
    assert {path.parts[0] for path in killed.checkpoints} == {Path(row.folder).name for row in finished.report.rows}
    assert finished.checkpoints == []
    assert len(finished.workers) == 2  # what the points share is not run again


def test_sweep_measures_refused_points_like_those_that_passed(finished):
    small, large = finished.report.rows
    assert (small.status, large.status) == (Status.PASSED, Status.REFUSED)
    assert large.refused_by == ("gates.int8.max_flatbuffer_bytes",)
    assert small.flatbuffer_bytes < 400_000 < large.flatbuffer_bytes
    assert small.arena_bytes < large.arena_bytes
    for row in finished.report.rows:
        low, high = row.int8_interval
        assert 0 <= low < row.int8_accuracy < high <= 1
    assert finished.report.chosen == "alpha=0.25"
    assert small.command == (
        f"vww run {finished.report.config_file} --set trainer.epochs=1 --set trainer.checkpoint_interval_steps=2 "
        "--set gates.int8.max_flatbuffer_bytes=400_000 --set trainer.alpha=0.25"
    )


def test_sweep_generates_and_transforms_examples_once(finished, root):
    folders = [path.relative_to(root) for path in root.glob("sweep/*/artifacts/CocoExampleGen/examples/*")]
    assert [folder.parts[1] for folder in folders] == ["data"]
    for row in finished.report.rows:
        nodes = {path.name for path in (Path(row.folder) / "artifacts").iterdir()}
        assert {"Trainer", "MicroPusher"} <= nodes
        assert not nodes & {"CocoExampleGen", "CuratedSchema", "Transform", "StatisticsGen"}


def test_sweep_promotes_below_its_own_folder_only(finished, root):
    assert sorted(path.name for path in root.iterdir()) == ["sweep"]
    released = [path.parts[-5] for path in root.rglob("manifest.json")]
    assert released == [Path(finished.report.rows[0].folder).name]


def test_sweep_asked_for_again_runs_nothing(finished, config_file, warm_workers):
    again = Attempt(config_file, warm_workers)
    assert again.workers == []
    assert again.report == finished.report
    assert again.seconds < 5


def test_sweep_writes_its_page(finished, root):
    assert finished.page == root / "sweep" / "sweep.html"
    html = finished.page.read_text()
    assert "2 of 2 points" in html
    assert html.count("<circle") == 2 * 2
