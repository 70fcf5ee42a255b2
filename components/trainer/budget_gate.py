"""BudgetGate: measures what the model would ask of its device, and stops the run before anything is spent on it."""

from typing import Any

from tensorflow.io import gfile
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental.simple_artifacts import Metrics

from components import progress
from components.trainer.budget import BUDGET_FILE, BudgetJob
from components.trainer.footprint import measure_budget


class Executor(BaseExecutor):  # type: ignore[misc]  # TFX publishes no types
    """Measures on a model of random weights."""

    def Do(  # noqa: N802  # TFX's name
        self,
        input_dict: dict[str, Any],  # noqa: ARG002  # it has none
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the artifact that `components.trainer.budget` shows.

        Raises:
          GateError: naming each limit that does not hold.
        """
        budget = measure_budget(BudgetJob.from_json(exec_properties["job"]))
        progress.say(budget.describe())
        uri = artifact_utils.get_single_uri(output_dict["footprint"])
        with gfile.GFile(f"{uri}/{BUDGET_FILE}", "w") as file:
            file.write(budget.model_dump_json(indent=2) + "\n")
        budget.check()


class BudgetGateSpec(ComponentSpec):  # type: ignore[misc]
    """`job` says what to measure; the digest only decides whether an earlier result still holds."""

    PARAMETERS = {  # noqa: RUF012  # TFX's way
        "job": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {"footprint": ChannelParameter(type=Metrics)}  # noqa: RUF012


class BudgetGate(base_component.BaseComponent):  # type: ignore[misc]
    """Fails its node, so that no image is read and nothing trained, where the model would not fit its device.

    Args:
      job: the architecture and the limits, and nothing that a changed learning rate would change.
      code_digest: changes when this stage's code changes.
    """

    SPEC_CLASS = BudgetGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, *, job: BudgetJob, code_digest: str) -> None:
        super().__init__(BudgetGateSpec(job=job.to_json(), code_digest=code_digest, footprint=Channel(type=Metrics)))
