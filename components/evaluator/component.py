"""BaselineEvaluator: TFX's Evaluator beside a released model that may not exist yet."""

from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ExecutionParameter
from tfx.types.standard_component_specs import EvaluatorSpec

from components.evaluator.executor import Executor


class BaselineEvaluatorSpec(EvaluatorSpec):  # type: ignore[misc]  # TFX publishes no types
    """TFX's, and a digest that decides whether an earlier result still holds."""

    PARAMETERS = {**EvaluatorSpec.PARAMETERS, "code_digest": ExecutionParameter(type=str)}  # noqa: RUF012


class BaselineEvaluator(base_beam_component.BaseBeamComponent):  # type: ignore[misc]
    """Takes the first release in its stride: without a baseline, change thresholds do not apply.

    Args:
      examples: whose eval split the models are judged on.
      model: the candidate.
      baseline_model: what is released now; an artifact without a model in it while nothing is.
      eval_config: metrics, slices and thresholds.
      schema: of the examples.
      code_digest: changes when this stage's code changes.
    """

    SPEC_CLASS = BaselineEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        eval_config: EvalConfig,
        schema: types.BaseChannel,
        code_digest: str,
    ) -> None:
        super().__init__(
            BaselineEvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                eval_config=eval_config,
                schema=schema,
                code_digest=code_digest,
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
