"""DataGate: TFX's ExampleValidator, with a look at the released model's data and the power to stop the run."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.data_validation.executor import Executor
from components.gate_options import DataGates


class DataGateSpec(ComponentSpec):  # type: ignore[misc]  # TFX publishes no types
    """`gates` says what is asked; the digest only decides whether an earlier result still holds."""

    PARAMETERS = {  # noqa: RUF012  # TFX's way
        "gates": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "released_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)}  # noqa: RUF012


class DataGate(base_component.BaseComponent):  # type: ignore[misc]
    """Fails its node, so that nothing is trained, on an anomaly and on a drift beyond its limit.

    Args:
      statistics: of the transformed examples.
      released_statistics: of the train split of the released model, if there is one.
      schema: what the statistics have to fit.
      gates: how far the train split may have drifted.
      code_digest: changes when this stage's code changes.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        statistics: types.BaseChannel,
        released_statistics: types.BaseChannel,
        schema: types.BaseChannel,
        gates: DataGates,
        code_digest: str,
    ) -> None:
        super().__init__(
            DataGateSpec(
                statistics=statistics,
                released_statistics=released_statistics,
                schema=schema,
                gates=gates.to_json(),
                code_digest=code_digest,
                anomalies=Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
