"""Searches of the project's own training: tiny ones, and the oracles by themselves."""

import json

import pytest

from components import progress
from components.errors import ModelError, StorageError, VwwError
from components.hyperparameters import chosen_values
from components.trainer.job import TrainingJob
from components.trainer.options import Adam, CosineSchedule, TrainerOptions
from components.trainer.tuner_options import TunerOptions
from components.trainer.tuning import TrainingTuner, build_oracle

RATES = {"trainer.learning_rate": {"min": 1e-3, "max": 1e-1, "sampling": "log"}}


def make_job(**changes):
    settings = {
        "optimizer": Adam(name="adam"),
        "learning_rate": 0.01,
        "schedule": CosineSchedule(name="cosine"),
        "batch_size": 16,
        "epochs": 5,
    }
    return TrainingJob(trainer=TrainerOptions(**settings | changes), side=32, channels=1, label_count=2, seed=0)


def make_options(space, **changes):
    return TunerOptions.from_json(json.dumps({"space": space, "max_trials": 2, "epochs": 1, **changes}))


@pytest.fixture(scope="module")
def files(write_transformed, bright_and_dark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformed")
    return {
        "train_files": write_transformed(folder / "train", *bright_and_dark(32, seed=1)),
        "eval_files": write_transformed(folder / "eval", *bright_and_dark(16, seed=2)),
    }


@pytest.fixture
def said():
    texts = []
    progress.listen(lambda *_: None, texts.append)
    yield texts
    progress._on_report.pop()
    progress._on_say.pop()


def draw(oracle, folder, count, score=lambda number: 0.5):
    """The values of the first trials, each ended with a score."""
    oracle._set_project_dir(str(folder), "search")
    drawn = []
    for number in range(count):
        trial = oracle.create_trial("tuner0")
        drawn.append(chosen_values(trial.hyperparameters.get_config()))
        oracle.update_trial(trial.trial_id, {"accuracy": score(number)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return drawn


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband"])
def test_oracle_with_the_same_seed_chooses_the_same_trials(oracle, tmp_path):
    options = make_options(RATES, oracle=oracle, max_trials=5, epochs=4)
    runs = [draw(build_oracle(make_job(), options), tmp_path / str(run), 5, lambda n: n / 10) for run in range(2)]
    assert runs[0] == runs[1]
    assert len({values["trainer.learning_rate"] for values in runs[0]}) > 2
    assert all(1e-3 <= values["trainer.learning_rate"] <= 1e-1 for values in runs[0])


@pytest.mark.parametrize(
    ("path", "dimension", "values"),
    [
        ("trainer.batch_size", {"min": 2, "max": 32, "sampling": "log", "step": 2}, {2, 4, 8, 16, 32}),
        ("trainer.batch_size", {"min": 1, "max": 5, "step": 2.0}, {1, 3, 5}),
        ("trainer.dropout", {"min": 0.0, "max": 0.5, "step": 0.25}, {0.0, 0.25, 0.5}),
    ],
)
def test_oracle_takes_every_kind_of_step(path, dimension, values, tmp_path):
    oracle = build_oracle(make_job(), make_options({path: dimension}, max_trials=len(values)))
    assert {drawn[path] for drawn in draw(oracle, tmp_path, len(values))} == values


def test_search_takes_the_best_trial_and_outlives_a_diverging_one(files, tmp_path, said):
    rates = {"trainer.learning_rate": {"values": [1e30, 0.01]}}
    tuner = TrainingTuner(make_job(), make_options(rates), tmp_path / "search")
    tuner.search(**files)
    best = chosen_values(tuner.get_best_hyperparameters()[0].get_config())
    assert best == {"trainer.learning_rate": 0.01}
    assert sorted(trial.status for trial in tuner.oracle.trials.values()) == ["COMPLETED", "FAILED"]
    assert any("failed: ModelError: training diverged" in text for text in said)
    assert "the best of 2 trials: learning_rate=0.01" in said
    # Nothing of the size of a model is left.
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".npz", ".h5"}]


def test_search_whose_time_was_up_goes_on_with_what_it_has(files, tmp_path, said):
    def search(**changes):
        said.clear()
        tuner = TrainingTuner(make_job(), make_options(RATES, **changes), tmp_path / "search")
        tuner.search(**files)
        return [text.split(":")[0] for text in said if text.startswith("trial")]

    assert search(max_trials=9, max_hours=1e-6) == ["trial 1 of 9", "trial 1"]
    assert "tuner.max_hours=1e-06 is over after 1 trials" in said
    assert search(max_trials=2) == ["trial 2 of 2", "trial 2"]
    assert search(max_trials=2) == []


def test_search_without_any_result_is_an_error_that_names_the_reason(files, tmp_path):
    options = make_options({"trainer.batch_size": {"values": [500, 600]}})
    tuner = TrainingTuner(make_job(), options, tmp_path / "search")
    with pytest.raises(ModelError, match=r"none of the Tuner's 2 trials .*batch_size"):
        tuner.search(**files)


def test_search_on_a_full_disk_stops_at_once(files, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise StorageError("no room")

    monkeypatch.setattr("components.trainer.tuning.train", refuse)
    tuner = TrainingTuner(make_job(), make_options(RATES), tmp_path / "search")
    with pytest.raises(Exception, match="no room") as caught:
        tuner.search(**files)
    assert isinstance(caught.value.__cause__, VwwError)  # which the worker looks for


def test_search_that_is_damaged_is_named(tmp_path, files):
    tuner = TrainingTuner(make_job(), make_options(RATES), tmp_path / "search")
    tuner.save()
    (tmp_path / "search" / "oracle.json").write_text('{"half')
    with pytest.raises(StorageError, match="cannot be gone on with"):
        TrainingTuner(make_job(), make_options(RATES), tmp_path / "search")
