"""Thresholds on the data, the float model and the int8 flatbuffer: the config section `gates`."""

from pydantic import Field

from components.options import Options


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
    """What the Evaluator asks of the float model, on the whole eval split.

    Attributes:
      min_accuracy: share of the eval examples that it labels right.
      min_auc: area under the ROC curve, of label 1 of two, and the mean over all labels of more; None asks nothing.
      max_accuracy_drop: how far it may fall below the released model on the same examples; None asks nothing.
    """

    min_accuracy: float = Field(ge=0, le=1)
    min_auc: float | None = Field(default=None, ge=0, le=1)
    max_accuracy_drop: float | None = Field(default=0.02, ge=0, le=1)


class DeviceBudget(Options):
    """What a device has for the model; None asks nothing.

    Attributes:
      max_flatbuffer_bytes: size of the `.tflite` file.
      max_arena_bytes: tensor arena under TFLite Micro's 64-bit host interpreter; a 32-bit device needs less.
      max_macs: multiply-accumulates of one inference.
    """

    max_flatbuffer_bytes: int | None = Field(default=320_000, ge=1)
    max_arena_bytes: int | None = Field(default=100_000, ge=1)
    max_macs: int | None = Field(default=None, ge=1)


class Int8Gates(DeviceBudget):
    """What the MicroPusher asks of the int8 flatbuffer that would ship; its device budget is asked before training too.

    Attributes:
      min_accuracy: share of the eval split that it labels right.
      max_accuracy_drop: how far it may fall below the float model on the same examples.
      max_parity_lsb: how far any output code under TFLite Micro may differ from the reference kernels'.
    """

    min_accuracy: float = Field(ge=0, le=1)
    max_accuracy_drop: float = Field(default=0.03, ge=0, le=1)
    max_parity_lsb: int = Field(default=1, ge=0)

    @property
    def device_budget(self) -> DeviceBudget:
        """The part that depends on the architecture alone, and not on what was learned."""
        return DeviceBudget(**{key: getattr(self, key) for key in DeviceBudget.model_fields})


class GateOptions(Options):
    """The thresholds that decide, on the data, the float model and the int8 flatbuffer."""

    data: DataGates = DataGates()
    float_: FloatGates = Field(alias="float")
    int8: Int8Gates
