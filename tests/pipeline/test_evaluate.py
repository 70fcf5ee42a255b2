"""`vww evaluate` and `vww tensorboard` on what a run left behind, against what the run itself measured."""

import json
import socket
import urllib.request

import pytest

from components.features import EVAL
from components.pusher.outcome import OUTCOME_FILE, Outcome


def judge(vww, released, what, *arguments):
    code, stdout, stderr = vww("evaluate", what, released.config_file, "--json", *arguments)
    assert code == 0, stderr
    report = json.loads(stdout)
    return {row["slice"]: row["metrics"] for row in report["slices"]}


def test_evaluate_saved_model_gives_the_evaluators_metrics_and_slices(released, vww):
    slices = judge(vww, released, released.output("Trainer", "model"))
    outcome = Outcome.from_json((released.output("MicroPusher", "pushed_model") / OUTCOME_FILE).read_text())
    whole = outcome.evaluation.metrics
    assert slices[""]["example_count"] == whole.examples
    assert slices[""]["accuracy"] == pytest.approx(whole.accuracy, abs=1e-6)
    assert slices[""]["auc_1"] == pytest.approx(whole.auc, abs=1e-6)
    assert set(slices) == {"", *outcome.evaluation.slices}
    for name, metrics in outcome.evaluation.slices.items():
        assert slices[name]["example_count"] == metrics.examples
        assert slices[name]["accuracy"] == pytest.approx(metrics.accuracy, abs=1e-6)
        assert slices[name]["auc_1"] is None


def test_evaluate_release_gives_the_accuracy_that_was_gated(released, vww):
    manifest = json.loads((released.release / "manifest.json").read_text())
    slices = judge(vww, released, released.release.parent / "staging")
    assert slices[""]["accuracy"] == pytest.approx(manifest["figures"]["int8_metrics"][EVAL]["accuracy"], abs=1e-6)
    assert slices[""]["example_count"] == manifest["figures"]["int8_metrics"][EVAL]["examples"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("no.tflite", "--split", "eval"), 1, "nothing is there"),
        (("no.tflite", "--split", "test"), 1, "the test split holds no image"),
        (("no.tflite", "--split", "val"), 2, "'val' is not one of 'train', 'eval', 'test'"),
        (("no.tflite", "--input-range", "0-1"), 2, "'0-1' is not one of"),
    ],
)
def test_evaluate_bad_arguments_are_refused(released, vww, arguments, exit_code, said):
    what, *options = arguments
    code, stdout, stderr = vww("evaluate", what, released.config_file, *options)
    assert code == exit_code
    assert not stdout
    assert said in stderr


def test_tensorboard_serves_the_curves_of_a_run(released, start_vww, wait_until):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = start_vww("tensorboard", released.config.run.root, "--port", port)
    answers = []

    def answered():
        assert command.process.poll() is None, command.stderr
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/data/runs", timeout=5) as answer:
                answers.append(json.load(answer))
        except OSError:
            return False
        return len(answers[-1]) > 1

    wait_until(answered, 120)
    command.end()
    assert {name.partition("/")[2] for name in answers[-1]} >= {"train", "validation"}


def test_tensorboard_of_a_run_without_training_says_so(vww, tmp_path):
    code, _, stderr = vww("tensorboard", tmp_path)
    assert code == 2
    assert "holds no training yet" in stderr
