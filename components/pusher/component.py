"""MicroPusher: from a blessed float model to a released C bundle."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.pusher.executor import Executor, PushJob


class MicroPusherSpec(ComponentSpec):  # type: ignore[misc]  # TFX publishes no types
    """`job` says what to do; the digest only decides whether an earlier result still holds."""

    PARAMETERS = {  # noqa: RUF012  # TFX's way
        "job": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "model": ChannelParameter(type=standard_artifacts.Model),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "released_model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}  # noqa: RUF012


class MicroPusher(base_component.BaseComponent):  # type: ignore[misc]
    """Quantizes the blessed model, judges the int8 flatbuffer under TFLite Micro, and releases what passed to staging.

    Args:
      model: the candidate.
      statistics: of the transformed examples, for the release.
      anomalies: what the ExampleValidator found, the drift from the released model's data among it.
      blessing: the Evaluator's verdict on it.
      evaluation: the Evaluator's metrics.
      released_model: the baseline, which staging still has to hold when the candidate goes there.
      examples: what the candidate was made from, for the manifest.
      transformed_examples: calibrates from the train split, judges on the eval split, measures on the test split.
      hyperparameters: what the Tuner chose, for the release's config; None where there is no Tuner.
      job: everything else.
      code_digest: changes when this stage's code changes.
    """

    SPEC_CLASS = MicroPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        statistics: types.BaseChannel,
        anomalies: types.BaseChannel,
        blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        released_model: types.BaseChannel,
        examples: types.BaseChannel,
        transformed_examples: types.BaseChannel,
        hyperparameters: types.BaseChannel | None,
        job: PushJob,
        code_digest: str,
    ) -> None:
        super().__init__(
            MicroPusherSpec(
                model=model,
                statistics=statistics,
                anomalies=anomalies,
                blessing=blessing,
                evaluation=evaluation,
                released_model=released_model,
                examples=examples,
                transformed_examples=transformed_examples,
                hyperparameters=hyperparameters,
                job=job.to_json(),
                code_digest=code_digest,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
