"""AnomalyGate: TFX's ExampleValidator, with the power to stop the run."""

from tfx.components import ExampleValidator
from tfx.dsl.components.base import executor_spec

from components.data_validation.executor import Executor


class AnomalyGate(ExampleValidator):  # type: ignore[misc]  # TFX publishes no types
    """ExampleValidator records anomalies and lets the pipeline go on; this one fails its node and names them."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
