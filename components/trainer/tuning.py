"""What TFX's Tuner runs: trials of the project's own training, chosen and kept by KerasTuner.

    <run.root>/checkpoints/<digest of job, search, code and examples>/
        oracle.json  tuner0.json          KerasTuner's state
        trial_<n>/trial.json              one trial: its values, status and score
        trial_<n>/checkpoints/            of the running trial, as the Trainer's own
        trial_<n>/curves/                 for TensorBoard

TFX deletes the output folder of an interrupted execution, so they lie beside the artifacts. The budget is no part of
the digest: a search that is given more trials goes on from those that it has.
"""

import json
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.errors import FailedTrialError, FatalError
from pydantic import ValidationError
from tfx.components.tuner.component import TunerFnResult

from components import progress
from components.errors import ConfigError, ModelError, StorageError
from components.hyperparameters import chosen_values, describe_values
from components.trainer.checkpoints import CheckpointFolder
from components.trainer.job import TrainingJob
from components.trainer.loop import metric_values
from components.trainer.replicas import check_gpus
from components.trainer.run_fn import BEST_WEIGHTS, find_files, train
from components.trainer.tuner_options import TunerOptions, apply_values, describe

_EPOCHS = "tuner/epochs"  # which Hyperband sets for each trial
_COMPLETED = "COMPLETED"
_CHECKPOINTS = "checkpoints"


class TrainingTuner(BaseTuner):  # type: ignore[misc]  # KerasTuner publishes no types
    """Runs trials of a job.

    Args:
      job: the training whose settings are varied.
      options: what is searched, and how far.
      folder: where the search is kept, and gone on with.

    Raises:
      StorageError: if what is kept there is damaged.
    """

    def __init__(self, job: TrainingJob, options: TunerOptions, folder: Path) -> None:
        self._job = job
        self._options = options
        self._seconds_before = 0.0
        self._start = time.monotonic()
        oracle = build_oracle(job, options)
        try:
            super().__init__(oracle=oracle, directory=str(folder.parent), project_name=folder.name)
        except (ValueError, RuntimeError) as error:
            raise StorageError(
                f"the search in {folder} cannot be gone on with: {error}", hint=f"delete {folder} to search anew"
            ) from error

    def get_state(self) -> dict[str, Any]:
        """KerasTuner keeps it beside the trials."""
        return {"seconds": self._seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from it."""
        self._seconds_before = state["seconds"]

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._start

    def pre_create_trial(self) -> None:
        """Ends the search where its time is up."""
        limit = self._options.max_hours
        done = len(self.oracle.trials)
        if limit is not None and done and self._seconds >= limit * 3600:
            progress.say(f"tuner.max_hours={limit:g} is over after {done} trials")
            self.oracle.max_trials = done

    def run_trial(self, trial: Any, train_files: Sequence[str], eval_files: Sequence[str]) -> dict[str, float]:
        """Trains with a trial's values; returns the best epoch's metric.

        Raises:
          FailedTrialError: if these values cannot be trained, or their training diverges.
          FatalError: if no other values would help.
        """
        values = chosen_values(trial.hyperparameters.get_config())
        progress.say(f"trial {int(trial.trial_id) + 1} of {self._options.max_trials}: {describe_values(values)}")
        epochs = trial.hyperparameters.values.get(_EPOCHS, self._options.epochs)
        folder = Path(self.get_trial_dir(trial.trial_id))
        try:
            options = apply_values(self._job.trainer, {**values, "trainer.epochs": epochs})
            job = self._job.model_copy(update={"trainer": options})
            return {options.best_metric: _train_and_score(job, train_files, eval_files, folder)}
        except ValidationError as error:
            raise FailedTrialError(describe(error)) from error
        except (ConfigError, ModelError, tf.errors.ResourceExhaustedError) as error:
            shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
            raise FailedTrialError(str(error)) from error
        except Exception as error:
            raise FatalError(str(error)) from error

    def on_trial_end(self, trial: Any) -> None:
        """Keeps the trial, and says how it went."""
        super().on_trial_end(trial)
        number = int(trial.trial_id) + 1
        kept = self.oracle.get_trial(trial.trial_id)
        if kept.status == _COMPLETED:
            progress.say(f"trial {number}: {self.oracle.objective.name} {kept.score:.4f}")
        else:
            progress.say(f"trial {number} failed: {_reason(kept)}")

    def on_search_end(self) -> None:
        """Says which trial was the best.

        Raises:
          ModelError: if none came to a result.
        """
        best = self.oracle.get_best_trials(1)[0]
        if best.status != _COMPLETED:
            raise ModelError(
                f"none of the Tuner's {len(self.oracle.trials)} trials came to a result; the first: {_reason(best)}",
                expected="values that can be trained",
                hint="narrow tuner.space",
            )
        values = describe_values(chosen_values(best.hyperparameters.get_config()))
        progress.say(f"the best of {len(self.oracle.trials)} trials: {values}")


def _train_and_score(job: TrainingJob, train_files: Sequence[str], eval_files: Sequence[str], folder: Path) -> float:
    """The metric of `best_by`, of the best epoch."""
    keras.utils.clear_session()
    # Digests of code and examples stand in the folder above.
    checkpoints = CheckpointFolder(folder / _CHECKPOINTS, job.to_json(), "", [])
    train(job, train_files, eval_files, str(folder / "curves"), checkpoints)
    checkpoint = checkpoints.read()
    assert checkpoint is not None  # the last epoch has left one
    (folder / "curves" / BEST_WEIGHTS).unlink()
    best = max(metric_values(checkpoint.position.history, job.trainer.best_metric))
    checkpoints.delete()
    return -best if job.trainer.best_metric == "loss" else best


def _reason(trial: Any) -> str:
    """Of a failed trial, without its stack."""
    text = str(trial.message or "its score is no number")
    lines = [line for line in text.splitlines() if "FailedTrialError: " in line]
    return (lines[-1] if lines else text).rpartition("FailedTrialError: ")[2]


def build_oracle(job: TrainingJob, options: TunerOptions) -> Any:
    """KerasTuner's oracle of a search; the same seed chooses the same trials."""
    metric = job.trainer.best_metric
    common = {
        "objective": keras_tuner.Objective(metric, "min" if metric == "loss" else "max"),
        "hyperparameters": _space(options),
        "seed": job.seed + 1,  # KerasTuner draws a seed of its own for 0
        "max_consecutive_failed_trials": sys.maxsize,
    }
    match options.oracle:
        case "random":
            oracle = keras_tuner.oracles.RandomSearchOracle(max_trials=options.max_trials, **common)
        case "bayesian":
            oracle = keras_tuner.oracles.BayesianOptimizationOracle(max_trials=options.max_trials, **common)
        case "hyperband":
            oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=options.epochs, **common)
            oracle.max_trials = options.max_trials
    return oracle


def _space(options: TunerOptions) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    for path, dimension in options.space.items():
        if dimension.values is not None:
            space.Choice(path, [json.dumps(value) for value in dimension.values])
        else:
            add = space.Int if dimension.is_whole else space.Float
            add(path, dimension.min, dimension.max, step=dimension.step, sampling=dimension.sampling)
    return space


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """TFX's entry point.

    Args:
      fn_args: TFX's `FnArgs`; of `custom_config`, `job` and `tuner` hold a `TrainingJob` and `TunerOptions` as JSON,
        `code_digest` the digest of the code, `checkpoint_root` the folder of all that outlives an execution, and
        `gpus` how many have to be there.

    Raises:
      ConfigError: if GPUs are missing, before anything is read.
    """
    custom = fn_args.custom_config
    check_gpus(custom["gpus"])
    options = TunerOptions.from_json(custom["tuner"])
    files = find_files(fn_args.train_files), find_files(fn_args.eval_files)
    search = options.model_copy(update={"max_trials": 1, "max_hours": None}).to_json()
    root, job = Path(custom["checkpoint_root"]), custom["job"]
    folder = CheckpointFolder(root, f"{job}{search}", custom["code_digest"], [*files[0], *files[1]]).path
    logging.info("the search is kept in %s", folder)
    tuner = TrainingTuner(TrainingJob.from_json(job), options, folder)
    return TunerFnResult(tuner=tuner, fit_kwargs={"train_files": files[0], "eval_files": files[1]})
