"""What is known of a run on a cluster when it is compiled; the rest its steps find out."""

from components.errors import DataError
from components.example_gen.image_folder import read_image_folder
from components.in_step import IN_STEP
from pipeline.config import RunConfig
from pipeline.graph import RunFacts
from pipeline.kubeflow.options import StepName


def cluster_facts(config: RunConfig) -> RunFacts:
    """What the graph has to be told, without the data of a COCO set or the release store being in reach.

    Raises:
      DataError: if the labels are class folders that cannot be listed from here.
    """
    return RunFacts(
        run_id=IN_STEP,
        dataset_fingerprint=IN_STEP,
        released_version=IN_STEP,
        code=IN_STEP,
        label_names=_label_names(config),
        started_utc=IN_STEP,
        gpus=_count_gpus(config, "Trainer"),
        tuner_gpus=_count_gpus(config, "Tuner"),
    )


def _count_gpus(config: RunConfig, step: StepName) -> int:
    accelerator = None if config.kubeflow is None else config.kubeflow.step(step).accelerator
    return 0 if accelerator is None else accelerator.count


def _label_names(config: RunConfig) -> tuple[str, ...]:
    if config.data.format == "coco":
        return config.data.category_labels
    assert isinstance(config.data.images, str)
    try:
        return read_image_folder(config.data.images).label_names
    except DataError as error:
        hint = "class folders name the labels, so compile where they can be listed, or use data.format=coco"
        raise DataError(
            error.message, expected=error.expected, hint=hint if error.hint is None else f"{error.hint}; {hint}"
        ) from error
