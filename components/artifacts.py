"""Artifact types that TFX does not have."""

from tfx.types.artifact import Artifact


class DeviceFootprint(Artifact):  # type: ignore[misc]  # TFX publishes no types
    """What a model asks of a device.

    <artifact>/
      budget.json           a `components.trainer.budget.Budget`
    """

    TYPE_NAME = "DeviceFootprint"
