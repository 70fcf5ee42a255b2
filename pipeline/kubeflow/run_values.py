"""What a run sets anew, held to what the config would have been held to: places in reach, epochs, images."""

from collections.abc import Collection, Mapping
from typing import Any

from components.errors import ConfigError
from pipeline.kubeflow.options import StepName, Target, is_image
from pipeline.kubeflow.reach import check_place, places

READER: StepName = "CocoExampleGen"  # of the data


def check_run_values(values: Mapping[str, Any], mounts: Collection[str], target: Target, option: str) -> None:
    """Refuses what would fail only once the steps run.

    Args:
      values: parameters of a run by name, defaults included; those of other names are not looked at.
      mounts: folders of the volumes and secrets of the step that reads the data.
      target: that the run is for.
      option: that sets a parameter, for the hint.

    Raises:
      ConfigError: naming the first parameter that a step could not use.
    """
    for name, value in values.items():
        if name in {"annotations", "images"}:
            _check_data(name, value, mounts, target, option)
        elif name == "epochs" and (not isinstance(value, int | float) or value < 1):
            raise ConfigError(
                f"received epochs={value}", expected="1 or more, as of trainer.epochs", hint=f"{option} epochs=COUNT"
            )
        elif (name == "image" or name.startswith("image_")) and not is_image(str(value)):
            raise ConfigError(
                f"received {name}={value}",
                expected="a container image such as registry.example/vww:1",
                hint=f"{option} {name}=IMAGE",
            )


def _check_data(name: str, value: Any, mounts: Collection[str], target: Target, option: str) -> None:
    in_bucket = f"{option} {name}=gs://BUCKET/PATH"
    named = places(value) if isinstance(value, str | list | dict) else []
    if not named or not all(isinstance(place, str) and place for place in named):
        raise ConfigError(f"received {name}={value}", expected="an address such as gs://BUCKET/PATH", hint=in_bucket)
    for place in named:
        check_place(
            name, place, READER, mounts, target,
            in_bucket=in_bucket,
            on_volume=f"{in_bucket}, or compile it anew with a volume in kubeflow.steps.{READER}.volumes",
        )  # fmt: skip
