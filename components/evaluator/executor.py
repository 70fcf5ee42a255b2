"""Executor of the Evaluator."""

from typing import Any

from tensorflow.io import gfile
from tfx.components.evaluator import executor as evaluator
from tfx.utils import path_utils

BASELINE = "baseline_model"


class Executor(evaluator.Executor):  # type: ignore[misc]  # TFX publishes no types
    """TFX's Evaluator, for which a baseline artifact without a model means that nothing was released yet."""

    def Do(  # noqa: N802  # TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Evaluates the candidate, beside the baseline if there is one."""
        baselines = [m for m in input_dict.get(BASELINE, []) if gfile.exists(path_utils.serving_model_path(m.uri))]
        super().Do({**input_dict, BASELINE: baselines}, output_dict, exec_properties)
