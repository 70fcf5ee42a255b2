"""A run with a Tuner: killed in its second trial, gone on with, and released with the config that was trained."""

import json
from pathlib import Path

import pytest

from components.errors import PipelineError
from pipeline.config import read_config

# The seed draws a batch of 32 first and one of 16 second: only the second trial has a fifth step.
SPACE = (
    "{trainer.learning_rate: {min: 1e-3, max: 3e-2, sampling: log}, "
    "trainer.optimizer: {values: [{name: adam}, {name: sgd, momentum: 0.5}]}, trainer.batch_size: {values: [16, 32]}}"
)
SETTINGS = (
    "trainer.epochs=1",
    "trainer.checkpoint_interval_steps=2",
    f"tuner={{max_trials: 2, epochs: 1, space: {SPACE}}}",
)


class Search:
    """One attempt at the run; what its Tuner and its Trainer said."""

    def __init__(self, config, warm_run, stop=None):
        self.said = []

        def on_event(event, worker):
            if event.kind == "node_said":
                self.said.append(event.text)

        self.error = self.run = None
        try:
            self.run = warm_run(config, stop=stop, on_event=on_event)
        except PipelineError as error:
            self.error = error

    @property
    def trials(self):
        return [text.partition(":")[0] for text in self.said if text.startswith("trial ")]


@pytest.fixture(scope="module")
def config(sample_set, tiny_config, tmp_path_factory):
    return tiny_config(sample_set, tmp_path_factory.mktemp("tuned") / "run", *SETTINGS)


@pytest.fixture(scope="module")
def killed(config, warm_run):
    return Search(config, warm_run, stop=("Tuner", "report 5"))


@pytest.fixture(scope="module")
def finished(killed, config, warm_run):
    return Search(config, warm_run)


def test_run_killed_in_a_trial_keeps_those_before_and_goes_on_in_it(killed, finished):
    assert "SIGKILL" in str(killed.error)
    assert killed.trials == ["trial 1 of 2", "trial 1", "trial 2 of 2"]
    assert finished.trials == ["trial 2 of 2", "trial 2"]
    assert "goes on after step 4 of 6" in finished.said


def test_run_trains_and_releases_what_its_tuner_chose(finished, config, tmp_path):
    assert finished.run.ran[-4:] == ["Tuner", "Trainer", "Evaluator", "MicroPusher"]
    (best,) = (text for text in finished.said if text.startswith("the best of 2 trials: "))
    assert f"with what the Tuner chose: {best.partition(': ')[2]}" in finished.said
    text = Path(finished.run.outcome.publication.uri, "config.yaml").read_text()
    (tmp_path / "released.yaml").write_text(text)
    released = read_config(str(tmp_path / "released.yaml"))
    (results,) = (json.loads(path.read_text()) for path in results_of(config))
    assert len(results) == 2
    chosen = max(results, key=lambda trial: trial["score"])
    assert released.tuner is None
    assert released.trainer.learning_rate == chosen["trainer.learning_rate"]
    assert released.trainer.batch_size == json.loads(chosen["trainer.batch_size"])
    assert "# tuner:\n" in text


def results_of(config):
    return Path(config.run.root).glob("artifacts/Tuner/tuner_results/*/tuner_results.json")
