"""Runs after the first: what is reused, what a refusal leaves alone, and what makes a node run again."""

import json
import random
import re
import shutil

import pytest
import typer

from components.dataset import DatasetSummary
from components.errors import ConfigError
from pipeline.commands.run import conclude


def released_state(released):
    """Everything in the release store but the locks, to the byte."""
    return {
        path.relative_to(released.uri): path.read_bytes()
        for path in released.uri.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_run_same_config_and_data_reuses_nodes_and_says_so(released, vww):
    before = released_state(released)
    code, stdout, stderr = vww("run", released.config_file)
    assert code == 0
    reused = re.findall(r"^\[[ \d]+/10\] (\w+) +reused from an earlier run$", stderr, re.MULTILINE)
    # The baseline is another one now, so what compares with it runs again.
    assert reused == ["BudgetGate", "CuratedSchema", "CocoExampleGen", "Transform", "StatisticsGen", "Trainer"]
    assert f"Released: {released.release} (the same files had been released before)" in stdout
    assert released_state(released) == before


def test_run_int8_gate_above_the_model_exits_3_and_promotes_nothing(released, vww):
    before = released_state(released)
    code, stdout, stderr = vww("run", released.config_file, "--set", "gates.int8.min_accuracy=0.999")
    accuracy = released.manifest["figures"]["int8_metrics"]["eval"]["accuracy"]
    assert code == 3, stderr
    assert "Refused: nothing was released." in stdout
    assert f"gates.int8.min_accuracy: {accuracy:g} is not >= 0.999" in stdout
    assert re.search(rf"^gates\.int8\.min_accuracy +>= 0\.999 +{accuracy:.4g} +REFUSED", stdout, re.MULTILINE)
    assert re.search(r"^  Most noise is added by (\w+ \d+ \([\w.:]+\) \+[\d.]+%(, )?){1,3}\.$", stdout, re.MULTILINE)
    assert "Released" not in stdout
    assert released_state(released) == before


def test_run_float_gate_above_the_model_is_refused_and_nothing_is_promoted(
    released, warm_run, tiny_config, capsys
):  # fmt: skip
    before = released_state(released)
    overrides = ("gates.float.min_accuracy=1.0", "gates.float.min_auc=0.0")
    run = warm_run(tiny_config(released.data, released.root, *overrides))
    assert run.outcome.publication is None
    assert not run.outcome.verdict.passed
    accuracy = released.manifest["figures"]["float_metrics"]["eval"]["accuracy"]
    assert run.outcome.verdict.reasons() == [f"gates.float.min_accuracy: {accuracy:g} is not >= 1"]
    # A model that is not blessed is not even quantized.
    assert run.outcome.figures is None
    pushed = released.outputs("MicroPusher", "pushed_model")[-1]
    assert [path.name for path in pushed.iterdir()] == ["outcome.json"]
    assert json.loads((pushed / "outcome.json").read_text())["publication"] is None
    assert released_state(released) == before

    # The command's last step.
    with pytest.raises(typer.Exit) as end:
        conclude(released.config, run.outcome)
    assert end.value.exit_code == 3
    assert "Refused: nothing was released.\n  gates.float.min_accuracy: " in capsys.readouterr().out


def test_run_gate_that_no_model_could_pass_is_refused_before_anything_runs(released, warm_run, tiny_config):
    before = released_state(released)
    started = []
    overrides = ("gates.on=lower_bound", "gates.int8.min_accuracy=0.95")
    with pytest.raises(ConfigError, match=r"gates.int8.min_accuracy=0.95 takes at least 73 images to show at 95 %"):
        warm_run(
            tiny_config(released.data, released.root, *overrides),
            on_event=lambda event, _: started.append(getattr(event, "node", None)),
        )
    assert not any(started)
    assert released_state(released) == before


@pytest.mark.usefixtures("nightly")
def test_run_on_the_lower_bound_is_refused_by_the_bound_of_what_was_measured(released, warm_run, tiny_config):
    found = released.manifest["figures"]["int8_metrics"]["eval"]
    limit = (found["accuracy_interval"][0] + found["accuracy"]) / 2
    overrides = ("gates.on=lower_bound", f"gates.int8.min_accuracy={limit}")
    run = warm_run(tiny_config(released.data, released.root, *overrides))
    (refused,) = [gate for gate in run.outcome.verdict.gates if not gate.passed]
    assert (refused.name, refused.measured) == ("gates.int8.min_accuracy", found["accuracy"])
    assert refused.value == pytest.approx(found["accuracy_interval"][0])
    assert run.outcome.publication is None


def test_run_beside_a_released_model_is_held_against_it(released, warm_run, tiny_config):
    before = released_state(released)
    # The int8 gate keeps this run, whose config is another, from becoming a release of its own.
    overrides = ("gates.float.max_accuracy_drop=0.0", "gates.int8.min_accuracy=1.0")
    run = warm_run(tiny_config(released.data, released.root, *overrides))
    gates = {gate.name: gate for gate in run.outcome.verdict.gates}
    # The candidate is the released model.
    assert gates["gates.float.max_accuracy_drop"].value == pytest.approx(0.0, abs=1e-9)
    assert gates["gates.float.max_accuracy_drop"].passed
    assert [gate.name for gate in gates.values() if not gate.passed] == ["gates.int8.min_accuracy"]
    assert released_state(released) == before


# What makes ExampleGen run again.


@pytest.fixture(scope="module")
def changing(sample_set, tmp_path_factory):
    """A copy of the sample set that may be changed, and a root for its runs."""
    folder = tmp_path_factory.mktemp("changing")
    shutil.copytree(sample_set, folder / "set")
    return folder


@pytest.fixture
def generate(changing, warm_run, tiny_config):
    """Runs up to ExampleGen; gives whether it ran, and what it wrote."""

    def run():
        finished = warm_run(tiny_config(changing / "set", changing / "run"), until="CocoExampleGen")
        folder = changing / "run" / "artifacts" / "CocoExampleGen" / "examples"
        newest = max(folder.iterdir(), key=lambda path: int(path.name))
        return "CocoExampleGen" in finished.ran, DatasetSummary.read(str(newest)), newest

    return run


def test_example_gen_runs_again_exactly_when_the_data_changes(changing, generate):
    annotations = changing / "set" / "instances.json"
    ran, first, folder = generate()
    assert ran
    ran, _, _ = generate()
    assert not ran

    # The same records in another order: another file, the same examples, to the byte of each shard.
    document = json.loads(annotations.read_text())
    for section in ("images", "annotations", "categories"):
        random.Random(5).shuffle(document[section])
    annotations.write_text(json.dumps(document, indent=1))
    ran, shuffled, shuffled_folder = generate()
    assert ran
    assert shuffled.digest == first.digest
    assert shuffled.counts == first.counts
    for split in ("train", "eval"):
        (one,), (other,) = ((f / f"Split-{split}").iterdir() for f in (folder, shuffled_folder))
        assert one.read_bytes() == other.read_bytes()

    # One image's bytes.
    images = changing / "set" / "images"
    image = next(entry for entry in document["images"] if entry["id"] == 7)
    (images / image["file_name"]).write_bytes((images / image["file_name"]).read_bytes() + b"\0")
    ran, changed, _ = generate()
    assert ran
    assert changed.digest != first.digest
    ran, _, _ = generate()
    assert not ran

    # One annotation.
    document["annotations"][0]["area"] += 1
    annotations.write_text(json.dumps(document))
    ran, annotated, _ = generate()
    assert ran
    assert annotated.digest not in {first.digest, changed.digest}
