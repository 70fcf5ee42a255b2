"""ReleasedModel, told which version to take or to find that out itself."""

import json
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.errors import ReleaseError
from components.exported_model import RELEASE_NOTE
from components.in_step import IN_STEP
from components.pusher.provenance.keys import generate_key
from components.pusher.release import TRAINING_STATISTICS_NAME
from components.pusher.released_model import Executor, released_version, run_started_utc
from tests.unit.pusher.conftest import MODEL, PAYLOAD


@pytest.fixture
def find(tmp_path):
    """Runs the executor; gives its model and statistics."""

    def run(store, version=IN_STEP, *trusted):
        made = {"model": standard_artifacts.Model(), "statistics": standard_artifacts.ExampleStatistics()}
        for name, artifact in made.items():
            artifact.uri = str(tmp_path / name)
            (tmp_path / name).mkdir()
        properties = {
            "release_uri": store.uri,
            "model_name": MODEL,
            "version": version,
            "trusted_keys": json.dumps([str(key) for key in trusted]),
        }
        Executor().Do({}, {name: [artifact] for name, artifact in made.items()}, properties)
        return made["model"], made["statistics"]

    return run


@pytest.fixture
def stage_model(stage):
    return lambda mark: stage(mark, payload={**PAYLOAD, TRAINING_STATISTICS_NAME: b"statistics"})


def test_released_model_in_a_step_takes_what_staging_holds_then(find, store, stage_model, put):
    first, second = stage_model("first"), stage_model("second")
    for staged, before in ((first, None), (second, first.version)):
        store.publish(*staged)
        put(store, staged, before=before)
    model, statistics = find(store)
    assert released_version(model) == released_version(statistics) == second.version
    assert (Path(model.uri) / "Format-Serving/variables/variables.index").read_bytes() == b"index"
    assert (Path(statistics.uri) / "Split-train/FeatureStats.pb").read_bytes() == b"statistics"
    assert run_started_utc(model).endswith("Z")


def test_released_model_that_is_told_a_version_takes_that_one(find, store, stage_model, put):
    first, second = stage_model("first"), stage_model("second")
    for staged, before in ((first, None), (second, first.version)):
        store.publish(*staged)
        put(store, staged, before=before)
    assert released_version(find(store, first.version)[0]) == first.version


def test_released_model_in_a_step_before_the_first_release_leaves_notes(find, store):
    model, statistics = find(store)
    assert released_version(model) is None
    for artifact in (model, statistics):
        assert [path.name for path in Path(artifact.uri).iterdir()] == [RELEASE_NOTE]


def test_released_model_in_a_step_refuses_a_baseline_that_no_key_signed(find, store, stage_model, put, tmp_path):
    staged = stage_model("unsigned")
    store.publish(*staged)
    put(store, staged)
    generate_key(tmp_path / "release.key")
    with pytest.raises(ReleaseError, match="cannot be trusted"):
        find(store, IN_STEP, tmp_path / "release.key.pub")
