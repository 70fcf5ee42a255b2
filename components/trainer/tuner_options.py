"""Settings of the Tuner: the config section `tuner`, and how a trial's values become a training's."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.detection.options import DetectorNetwork
from components.hyperparameters import set_path
from components.options import Options
from components.trainer.options import TrainerOptions

_SECTION = "trainer"
_FOOTPRINT = "it decides the footprint, which is measured before the Tuner runs; vww sweep tries it"
# The budget, what trials are compared by, and what a run has looked at before the Tuner starts.
_FIXED = {
    "trainer.epochs": "a trial has tuner.epochs",
    "trainer.stages": "a trial has tuner.epochs",
    "trainer.best_by": "trials are compared by it",
    "trainer.best_by.metric": "trials are compared by it",
    "trainer.initial_weights": "they are looked at before the run starts; sweep them",
    **dict.fromkeys(("trainer.backbone", "trainer.alpha", "trainer.activation", "trainer.border"), _FOOTPRINT),
    "trainer.detector": "it decides the footprint; search its loss, match_iou, localization_weight or class_prior",
}


class Dimension(Options):
    """What one config path may be: one of `values`, or a number from `min` to `max`.

    Attributes:
      values: anything that the path takes, sections included.
      min, max: both included; whole numbers if both are written so.
      sampling: `log` draws every factor equally often, such as 0.001 to 0.01 as often as 0.01 to 0.1.
      step: the distance between neighbours, with `log` the factor; None for any number.
    """

    values: tuple[Any, ...] | None = Field(default=None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None
    sampling: Literal["linear", "log"] = "linear"
    step: int | float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.values is not None:
            if (self.min, self.max, self.step) != (None, None, None):
                raise ValueError("either values, or min and max")
            return self
        if self.min is None or self.max is None:
            raise ValueError("either values, or both min and max")
        if self.min >= self.max:
            raise ValueError(f"min must be below max, received {self.min} and {self.max}")
        if self.sampling == "log" and self.min <= 0:
            raise ValueError(f"with sampling: log, min must be above 0, received {self.min}")
        if self.sampling == "log" and self.step is not None and self.step <= 1:
            raise ValueError(f"with sampling: log, step is a factor and must be above 1, received {self.step}")
        if self.is_whole and self.step is not None and self.step % 1:
            raise ValueError(f"between whole numbers, step must be whole, received {self.step}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.min, int) and isinstance(self.max, int)

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Values that have to be valid for the path, for all to be."""
        return (self.min, self.max) if self.values is None else self.values


class TunerOptions(Options):
    """How the hyper-parameters are searched.

    Attributes:
      oracle: how the next trial is chosen.
      space: what each config path, below `trainer`, may be.
      max_trials: how many trials at most.
      epochs: of a trial; with `hyperband` of the longest ones.
      max_hours: no trial begins later, counted over all runs of a search that was interrupted; None for no limit.
    """

    oracle: Literal["random", "bayesian", "hyperband"] = "random"
    space: dict[str, Dimension] = Field(min_length=1)
    max_trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    max_hours: float | None = Field(default=None, gt=0)


def apply_values(options: TrainerOptions, values: Mapping[str, Any]) -> TrainerOptions:
    """The settings with values at config paths such as `trainer.optimizer.rho`, validated as if they stood in a file.

    Raises:
      pydantic.ValidationError: if a value does not fit, by itself or beside the others.
    """
    tree = {_SECTION: options.model_dump(mode="json", by_alias=True)}
    for path, value in values.items():
        set_path(tree, path, value)
    return TrainerOptions.from_json(json.dumps(tree[_SECTION]))


def check_space(options: TrainerOptions, tuner: TunerOptions, check: Callable[[TrainerOptions], None]) -> None:
    """Checks every path and the values at its ends; whether values fit each other is seen in a trial.

    Args:
      options: what the values are put into.
      tuner: the search.
      check: raises ValueError for settings that do not fit the rest of the config.

    Raises:
      ValueError: naming the first path that cannot be searched.
    """
    if options.stages is not None:
        raise ValueError("tuner: trainer.stages have epochs of their own; tune one stage, by epochs and learning_rate")
    for path, dimension in tuner.space.items():
        if fixed := _why_fixed(path):
            raise ValueError(f"tuner.space: {path} cannot be searched: {fixed}")
        if not path.startswith(f"{_SECTION}."):
            raise ValueError(
                f"tuner.space: {path} is not below {_SECTION}; the data is fixed before the Tuner runs"
                f" (vww sweep --over {path}=… runs it all)"
            )
        if part := next((other for other in tuner.space if other.startswith(f"{path}.")), None):
            raise ValueError(f"tuner.space: {part} is a part of {path}; search one of them")
        for value in dimension.extremes:
            try:
                check(apply_values(options, {path: value, "trainer.epochs": tuner.epochs}))
            except ValueError as error:
                reason = describe(error) if isinstance(error, ValidationError) else error
                raise ValueError(f"tuner.space: {path} cannot be {json.dumps(value)}: {reason}") from error


def _why_fixed(path: str) -> str | None:
    """Why a path cannot be searched; of a detector's network neither can any part, such as one of its anchors' keys."""
    section, _, rest = path.removeprefix(f"{_SECTION}.").partition(".")
    if section == "detector" and rest.partition(".")[0] in DetectorNetwork.model_fields:
        return _FOOTPRINT
    return _FIXED.get(path)


def describe(error: ValidationError) -> str:
    """The first of pydantic's problems, in words."""
    problem = error.errors()[0]
    if problem["type"] == "extra_forbidden":
        return "there is no such key"
    return problem["msg"].removeprefix("Value error, ")
