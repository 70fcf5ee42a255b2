"""CocoExampleGen: a COCO instances file and an images folder to labelled, split TFRecords."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.example_gen.executor import Executor
from components.example_gen.options import ExampleGenOptions


class CocoExampleGenSpec(ComponentSpec):  # type: ignore[misc]  # TFX publishes no types
    """`options` says what to do; the two digests only decide whether an earlier result still holds."""

    PARAMETERS = {  # noqa: RUF012  # TFX's way
        "options": ExecutionParameter(type=str),
        "dataset_fingerprint": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}  # noqa: RUF012


class CocoExampleGen(base_beam_component.BaseBeamComponent):  # type: ignore[misc]
    """Labels and splits a COCO set and writes it as examples; `components.dataset` shows the artifact.

    Args:
      options: which images, labelled by which rule, in which splits.
      dataset_fingerprint: changes when the data changes; empty where caching is off.
      code_digest: changes when this stage's code changes.
    """

    SPEC_CLASS = CocoExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, *, options: ExampleGenOptions, dataset_fingerprint: str, code_digest: str) -> None:
        super().__init__(
            CocoExampleGenSpec(
                options=options.to_json(),
                dataset_fingerprint=dataset_fingerprint,
                code_digest=code_digest,
                examples=Channel(type=standard_artifacts.Examples),
            )
        )
