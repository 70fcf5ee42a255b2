"""Drift from the released model's training data: measured, shown, and able to stop a run before any training."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from components import features
from components.drift import Distance
from components.pusher.channels import Channel
from components.pusher.outcome import OUTCOME_FILE, Outcome
from components.pusher.stores import open_store
from components.pusher.training_statistics import canonical_statistics
from pipeline.show import print_outcome

BRIGHTNESS_LEFT = 0.4


@pytest.fixture(scope="module")
def darkened_set(sample_set, tmp_path_factory):
    """The same scenes in bad light."""
    folder = tmp_path_factory.mktemp("darkened") / "set"
    shutil.copytree(sample_set, folder)
    for path in (folder / "images").iterdir():
        with Image.open(path) as image:
            dark = ImageEnhance.Brightness(image.convert("RGB")).enhance(BRIGHTNESS_LEFT)
        dark.save(path, quality=95)
    return folder


@pytest.fixture(scope="module")
def store(released, tmp_path_factory):
    """A copy of the released run's store, for releases of these tests."""
    return shutil.copytree(released.uri, tmp_path_factory.mktemp("drift") / "store")


@pytest.fixture(scope="module")
def first(released):
    """The outcome of a run before which nothing was released."""
    return Outcome.from_json((released.output("MicroPusher", "pushed_model") / OUTCOME_FILE).read_text())


@pytest.fixture(scope="module")
def second(sample_set, warm_run, tiny_config, store, tmp_path_factory):
    """The same data where nothing can be reused but the release: its root, and the gates that ask for no drift."""
    root = tmp_path_factory.mktemp("second") / "run"
    gates = ("gates.data.max_label_drift=0.0", "gates.data.max_feature_drift=0.0", "gates.int8.min_accuracy=1.0")
    return warm_run(tiny_config(sample_set, root, f"release.uri={store}", *gates)), root


@pytest.fixture(scope="module")
def darkened(darkened_set, write_config, tmp_path_factory):
    """The config file of runs on the darkened set."""
    folder = tmp_path_factory.mktemp("darkened-run")
    return write_config(folder, darkened_set, folder / "run")


@pytest.fixture(scope="module")
def refused(darkened, vww, store):
    """The installed command, with a limit on drift: (exit code, stdout, stderr)."""
    return vww("run", darkened, "--set", f"release.uri={store}", "--set", "gates.data.max_feature_drift=0.3")


def newest(root, node, key):
    return max((Path(root) / "artifacts" / node / key).iterdir(), key=lambda folder: int(folder.name))


def test_first_run_has_no_drift_and_releases_its_training_statistics(first, store):
    assert first.drift.baseline is None
    assert first.drift.features == ()
    publication = first.publication
    manifest = open_store(str(store)).read_manifest("tiny", publication.version)
    assert manifest.drift == ()
    assert "training_statistics.pb" in manifest.files
    assert open_store(str(store)).verify("tiny", publication.version) == []


def test_same_data_computed_anew_gives_the_same_statistics_to_the_byte(first, second, store):
    _, root = second
    released = (store / "tiny" / first.publication.version / "training_statistics.pb").read_bytes()
    again = (newest(root, "StatisticsGen", "statistics") / "Split-train/FeatureStats.pb").read_bytes()
    assert canonical_statistics(again) == released


def test_same_data_has_not_drifted_in_any_feature(first, second):
    run, _ = second
    drift = run.outcome.drift
    assert drift.baseline == first.publication.version
    assert {row.feature: row.value for row in drift.features} == dict.fromkeys(features.DESCRIPTIVE, 0.0)
    assert [gate.name for gate in run.outcome.verdict.gates[:2]] == [
        "gates.data.max_feature_drift",
        "gates.data.max_label_drift",
    ]
    assert [gate.name for gate in run.outcome.verdict.gates if not gate.passed] == ["gates.int8.min_accuracy"]


def test_darkened_data_beyond_the_limit_exits_3_before_any_training_and_names_brightness(refused, first, store):
    code, stdout, stderr = refused
    assert code == 3, stderr
    assert stdout == ""
    message = stderr[stderr.index("GateError: ") :]
    assert f"the train split has drifted from that of the released {first.publication.version}" in message
    assert "gates.data.max_feature_drift: " in message
    assert "is not <= 0.3 (brightness, Jensen-Shannon)" in message
    assert "object_count" not in message.splitlines()[0]
    assert "object_count 0.0000," in message
    assert "hint: " in message
    assert "[ 6/10] StatisticsGen" in stderr
    assert "[ 7/10]" not in stderr
    assert "Trainer" not in stderr
    assert open_store(str(store)).channels("tiny").held(Channel.STAGING) == first.publication.version


def test_darkened_data_without_a_limit_runs_on_and_shows_the_distance(
    refused, darkened, darkened_set, first, store, warm_run, tiny_config, capsys
):  # fmt: skip
    root = darkened.parent / "run"
    overrides = (f"release.uri={store}", "gates.data.max_label_drift=0.0")
    config = tiny_config(darkened_set, root, *overrides)
    run = warm_run(config)
    assert run.reused == [
        "BudgetGate", "CuratedSchema", "ReleasedModel", "CocoExampleGen", "Transform", "StatisticsGen",
    ]  # fmt: skip
    rows = {row.feature: row for row in run.outcome.drift.features}
    brightness = rows[features.BRIGHTNESS]
    assert (brightness.distance, brightness.limit) == (Distance.JENSEN_SHANNON, None)
    assert brightness.value > 0.3
    unchanged = ("label", "width", "height", "object_count")
    assert [rows[key].value for key in unchanged] == [0.0] * len(unchanged)

    # Shown at the end of the run, and kept in the manifest.
    print_outcome(run.outcome, command="vww")
    shown = capsys.readouterr().out
    table = shown.partition("Drift from the released model's training data")[2].partition("\n\n")[0]
    lines = {words[0]: words[1:] for words in map(str.split, table.splitlines()) if words}
    assert lines["brightness"] == [f"{brightness.value:.4f}", "Jensen-Shannon", "-", "-"]
    assert lines["label"] == ["0.0000", "L-infinity", "<=", "0", "passed"]
    assert ["gates.data.max_label_drift", "<=", "0", "0", "passed"] in map(str.split, shown.splitlines())
    version = run.outcome.publication.version
    assert version != first.publication.version
    manifest = json.loads((store / "tiny" / version / "manifest.json").read_text())
    assert {row["feature"] for row in manifest["drift"]} == set(features.DESCRIPTIVE)
    assert manifest["baseline"] == first.publication.version
