"""Keys and folders of points, and the copy of ML Metadata's database."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from components.errors import ConfigError, DataError, StorageError
from pipeline.run import locked
from pipeline.sweep import plan as sweep_plan
from pipeline.sweep.grid import build_grid, parse_axis
from pipeline.sweep.plan import copy_metadata, plan_points
from pipeline.sweep.sweep import Sweep


@pytest.fixture
def plan(config_file, tmp_path):
    def make(*axes, overrides=(), fingerprint="f", eval_images=(500, 500)):
        points, _ = build_grid(config_file, overrides, [parse_axis(axis, "--over") for axis in axes])
        seen = []

        def look(config):
            seen.append(config.data)
            return SimpleNamespace(
                fingerprint=fingerprint,
                label_names=("a", "b"),
                counts={"train": (500, 500), "eval": eval_images},
                positive="b",
                boxes=None,
            )

        return plan_points(points, tmp_path / "sweep", look), seen

    return make


def test_plan_looks_at_shared_data_once(plan):
    planned, seen = plan("trainer.alpha=0.25,0.5", "data.split_seed=0,1")
    assert len(planned) == 4
    assert len(seen) == 2


def test_plan_of_a_point_whose_gates_no_model_can_pass_is_refused(plan):
    with pytest.raises(ConfigError, match=r"no model can pass these gates.*gates\.int8\.min_accuracy=0\.99"):
        plan(
            "gates.int8.min_accuracy=0.5,0.99",
            overrides=["gates.on=lower_bound", "gates.int8.max_accuracy_drop=0.1"],
            eval_images=(40, 40),
        )


def test_plan_gives_points_that_share_data_and_side_the_same_data_identity(plan):
    planned, _ = plan("trainer.alpha=0.25,0.5", "transform.side=48,96")
    assert planned[0].data_identity == planned[2].data_identity != planned[1].data_identity
    assert planned[1].data_identity == planned[3].data_identity


def test_plan_gives_every_point_a_root_and_a_release_store_below_the_sweeps_folder(plan, tmp_path):
    planned, _ = plan(
        "trainer.alpha=0.25,0.5",
        overrides=[
            f"release.uri={tmp_path}/releases",
            "release.signing_key=/keys/private",
            'release.trusted_keys=["/keys/public"]',
        ],
    )
    for one in planned:
        assert one.folder.parent == tmp_path / "sweep"
        assert one.config.release_uri == f"{one.folder}/releases"
        assert (one.config.release.signing_key, one.config.release.trusted_keys) == (None, ())
    assert planned[0].folder.name.startswith("alpha=0.25-")


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "g"}, {"overrides": ["trainer.epochs=3"]}, {"overrides": ["gates.int8.min_accuracy=0.6"]}],
    ids=["data", "training", "gates"],
)
def test_plan_key_changes_with_what_decides_the_result(plan, change):
    (before,), _ = plan("trainer.alpha=0.25")
    (after,), _ = plan("trainer.alpha=0.25", **change)
    assert after.key != before.key
    assert after.folder != before.folder


def test_plan_key_changes_with_the_code(plan, monkeypatch):
    (before,), _ = plan("trainer.alpha=0.25")
    monkeypatch.setattr(sweep_plan, "code_digest", lambda *stages: "other code")
    (after,), _ = plan("trainer.alpha=0.25")
    assert after.key != before.key


def test_plan_key_stays_wherever_the_sweep_writes(plan, tmp_path):
    (before,), _ = plan("trainer.alpha=0.25")
    (after,), _ = plan("trainer.alpha=0.25", overrides=[f"run.root={tmp_path}/elsewhere", "release.uri=elsewhere"])
    assert after.key == before.key


def test_copy_metadata_copies_what_another_process_has_committed(tmp_path):
    with closing(sqlite3.connect(tmp_path / "one.sqlite")) as writer:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed
        copy_metadata(tmp_path / "one.sqlite", tmp_path / "deep" / "two.sqlite")
    with closing(sqlite3.connect(tmp_path / "deep" / "two.sqlite")) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["two.sqlite"]


def test_copy_metadata_that_cannot_be_read_or_written_leaves_nothing(tmp_path):
    (tmp_path / "damaged.sqlite").write_text("no database" * 100)
    with pytest.raises(StorageError, match=r"damaged\.sqlite cannot be copied"):
        copy_metadata(tmp_path / "damaged.sqlite", tmp_path / "two.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        copy_metadata(tmp_path / "damaged.sqlite", tmp_path / "file" / "two.sqlite")
    assert sorted(path.name for path in tmp_path.iterdir() if "sqlite" in path.name) == ["damaged.sqlite"]


def test_sweep_of_missing_data_is_one_error_before_any_work(config_file, tmp_path):
    sweep = Sweep(config_file, (), [parse_axis("trainer.alpha=0.25,0.5", "--alpha")], None, "vww")
    with pytest.raises(DataError, match=r"no\.json"):
        sweep.run(parallel=1)
    assert [path.name for path in (tmp_path / "run" / "sweep").iterdir()] == [".lock"]


def test_sweep_beside_another_at_the_same_root_is_refused(config_file, tmp_path):
    sweep = Sweep(config_file, (), [parse_axis("trainer.alpha=0.25,0.5", "--alpha")], None, "vww")
    with locked(tmp_path / "run" / "sweep"), pytest.raises(ConfigError, match="another sweep is using"):
        sweep.run(parallel=1)
