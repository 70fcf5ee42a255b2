"""Thresholds on the data, the float model and the int8 flatbuffer: the config section `gates`."""

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from components.devices import DEVICES
from components.micro_operators import ADD_METHODS
from components.options import Options

Task = Literal["classification", "detection"]
Share = Annotated[float, Field(ge=0, le=1)]


class DecideOn(StrEnum):
    """What of a measured figure is held against its limit."""

    POINT = "point"  # the figure itself
    LOWER_BOUND = "lower_bound"  # the worse end of its 95 % interval: the lower of an accuracy, the upper of a drop


class DataGates(Options):
    """What the ExampleValidator asks of the train split, beside that of the released model; not of a first release.

    Attributes:
      max_label_drift: how far the share of any label may have moved (L-infinity distance); None asks nothing.
      max_feature_drift: how far any other descriptive feature may have moved (Jensen-Shannon divergence, to the
        base 2); None asks nothing.
    """

    max_label_drift: float | None = Field(default=None, ge=0, le=1)
    max_feature_drift: float | None = Field(default=None, ge=0, le=1)


class FloatGates(Options):
    """What the Evaluator asks of the float model, on the whole eval split; None asks nothing.

    Attributes:
      min_accuracy: share of the eval examples that a classifier labels right.
      min_auc: area under the ROC curve, of label 1 of two, and the mean over all labels of more.
      max_accuracy_drop: how far it may fall below the released model on the same examples.
      min_ap, min_ap50: COCO's AP of a detector, mean over IoU 0.5 to 0.95, and at 0.5 alone.
      max_ap_drop: how far its AP may fall below the released model's on the same examples.
      min_category_ap50: by label name.
    """

    min_accuracy: Share | None = None
    min_auc: Share | None = None
    max_accuracy_drop: Share | None = 0.02
    min_ap: Share | None = None
    min_ap50: Share | None = None
    max_ap_drop: Share | None = 0.02
    min_category_ap50: dict[str, Share] = Field(default_factory=dict)


class DeviceBudget(Options):
    """What a device has for the model; None asks nothing.

    Attributes:
      device: a preset of `components.devices`, whose limits hold where no other is stated.
      max_flatbuffer_bytes: size of the flatbuffer in the C array.
      max_arena_bytes: tensor arena under TFLite Micro's 64-bit host interpreter; a 32-bit device needs less.
      max_macs: multiply-accumulates of one inference.
      allowed_ops: the operators that the firmware registers, by the schema's names, such as `CONV_2D`.
    """

    device: str | None = None
    max_flatbuffer_bytes: int | None = Field(default=250_000, ge=1)
    max_arena_bytes: int | None = Field(default=100_000, ge=1)
    max_macs: int | None = Field(default=None, ge=1)
    allowed_ops: tuple[Annotated[str, Field(pattern=r"^\w+$")], ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _take_the_devices_limits(cls, stated: Any) -> Any:
        """Once, when the config is read: what is resolved states every limit, and so stays as it is."""
        if not isinstance(stated, dict):
            return stated
        if isinstance(stated.get("allowed_ops"), list):
            stated = stated | {"allowed_ops": tuple(stated["allowed_ops"])}  # JSON has no tuples
        name = stated.get("device")
        if not isinstance(name, str):
            return stated
        if name not in DEVICES:
            near = _did_you_mean(name, DEVICES)
            raise ValueError(f"device: no preset {name!r}; {near}expected one of {', '.join(DEVICES)}")
        return {key: getattr(DEVICES[name], key) for key in DeviceBudget.model_fields if key != "device"} | stated

    @field_validator("allowed_ops")
    @classmethod
    def _name_operators(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """A name that is none would refuse what the firmware does register."""
        for name in names or ():
            if name not in ADD_METHODS:
                raise ValueError(
                    f"no operator {name!r} that TFLite Micro can register; {_did_you_mean(name.upper(), ADD_METHODS)}"
                    "expected the schema's names, such as CONV_2D"
                )
        return names


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}? " if near else ""


class Int8Gates(DeviceBudget):
    """What the MicroPusher asks of the int8 flatbuffer that would ship; its device budget is asked before training too.

    Attributes:
      min_accuracy: share of the eval split that it labels right.
      min_auc: as in `FloatGates`; None asks nothing.
      min_recall: by label name, the share of its images that are labelled right.
      max_accuracy_drop: how far it may fall below the float model on the same examples.
      min_agreement: share of the eval split that it labels as the float model does; None asks nothing.
      min_ap, min_ap50, min_category_ap50: of a detector, as in `FloatGates`, through the decoder that ships.
      max_ap_drop: how far its AP may fall below the float model's on the same examples.
      max_parity_lsb: how far any output code under TFLite Micro may differ from the reference kernels'.
    """

    min_accuracy: Share | None = None
    min_auc: Share | None = None
    min_recall: dict[str, Share] = Field(default_factory=dict)
    max_accuracy_drop: Share = 0.03
    min_agreement: Share | None = None
    min_ap: Share | None = None
    min_ap50: Share | None = None
    min_category_ap50: dict[str, Share] = Field(default_factory=dict)
    max_ap_drop: Share = 0.03
    max_parity_lsb: int = Field(default=1, ge=0)

    @property
    def device_budget(self) -> DeviceBudget:
        """The part that depends on the architecture alone, and not on what was learned."""
        return DeviceBudget(**{key: getattr(self, key) for key in DeviceBudget.model_fields})


class GateOptions(Options):
    """The thresholds that decide, on the data, the float model and the int8 flatbuffer.

    Attributes:
      on: what of the accuracies, AUCs, recalls and drops is held against its limit.
      data, float_, int8: see their classes.
    """

    on: DecideOn = DecideOn.LOWER_BOUND
    data: DataGates = DataGates()
    float_: FloatGates = Field(alias="float")
    int8: Int8Gates


# Thresholds that have a meaning for one task alone; the first, or one of the first two, has to be stated.
_TASK_KEYS: dict[Task, tuple[str, ...]] = {
    "classification": ("min_accuracy", "min_auc", "max_accuracy_drop", "min_recall", "min_agreement"),
    "detection": ("min_ap", "min_ap50", "max_ap_drop", "min_category_ap50"),
}
_REQUIRED: dict[Task, tuple[str, ...]] = {"classification": ("min_accuracy",), "detection": ("min_ap", "min_ap50")}


def check_task_gates(gates: GateOptions, task: Task) -> None:
    """Checks that a task's thresholds are stated, and no other task's.

    Raises:
      ValueError: naming the key.
    """
    for section, options in (("float", gates.float_), ("int8", gates.int8)):
        for other, keys in _TASK_KEYS.items():
            for key in keys:
                field = type(options).model_fields.get(key)
                if (
                    other != task
                    and field is not None
                    and getattr(options, key) != field.get_default(call_default_factory=True)
                ):
                    raise ValueError(f"gates.{section}.{key}: has no meaning with task={task}; leave it out")
        if all(getattr(options, key) is None for key in _REQUIRED[task]):
            ways = " or ".join(f"--set gates.{section}.{key}=VALUE" for key in _REQUIRED[task])
            raise ValueError(f"gates.{section}.{_REQUIRED[task][0]}: missing; pass {ways} or write it into the file")
