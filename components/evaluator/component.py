"""BaselineEvaluator: TFX's Evaluator beside a released model that may not exist yet."""

from tfx.components import Evaluator
from tfx.dsl.components.base import executor_spec

from components.evaluator.executor import Executor


class BaselineEvaluator(Evaluator):  # type: ignore[misc]  # TFX publishes no types
    """Takes the first release in its stride: without a baseline, change thresholds do not apply."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
