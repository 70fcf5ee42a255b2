"""Puts TFLite_Detection_PostProcess behind an int8 detector, so that a phone's LiteRT gives detections and not codes.

The operators of the detector stay as they are, to the byte of their weights; what follows them is float32, because
the operator's kernels take nothing else:

    boxes   -> DEQUANTIZE -> (CONCATENATION) ------------> +------------------------------+ -> detection_boxes
    scores  -> DEQUANTIZE -> (CONCATENATION) -> LOGISTIC -> | TFLite_Detection_PostProcess | -> detection_classes
    anchors, float32 [anchors, 4] ----------------------> |                              | -> detection_scores
                                                          +------------------------------+ -> num_detections

TensorFlow's converter writes the same only out of a SavedModel with a function of that name, and gives its outputs no
shapes, which TFLite Micro takes for single numbers and writes past. Hence the operator is written here.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.detection.anchors import VARIANCES
from components.detection.options import DecoderOptions
from components.errors import ModelError
from components.quantization.flatbuffer import read_graph
from components.quantization.flatbuffer_records import pack_model, unpack_model
from components.quantization.outputs import boxes_and_scores

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
_ALIGNMENT = 16  # as schema.fbs asks for constants
_DEQUANTIZES_INT8 = 2  # since this version of DEQUANTIZE


def append_postprocess(
    flatbuffer: bytes, anchors_yxhw: npt.NDArray[np.float32], options: DecoderOptions, *, labels: int
) -> bytes:
    """A detector whose last operator gives detections.

    They are those of `detection.coding.decode_detections` but for three things: overlaps are measured, and boxes given,
    without clipping them to the image; all anchors of a label are looked at instead of the best `max_candidates`, which
    limits what is kept of a label; and classes count from 0, one below our labels.

    Args:
      flatbuffer: full integer, with outputs as `convert_full_integer` orders them; for LiteRT, so not a slim one.
      anchors_yxhw: float32 [anchors, 4], of all feature maps.
      options: thresholds and limits, `max_iou` above 0, as they are with `postprocess_op`.
      labels: with the background.

    Returns:
      The file, in one way for the same arguments. Its outputs are float32: boxes [1, n, 4] (ymin, xmin, ymax, xmax, in
      shares of the image), classes [1, n], scores [1, n] in 0...1, and [1] how many of the n =
      `options.max_detections` there are; the rest is 0. Its signature names them as in `OUTPUTS`.

    Raises:
      ModelError: when the flatbuffer is no detector of these anchors and labels.
    """
    boxes, scores = boxes_and_scores(read_graph(flatbuffer).outputs)
    found = sum(box.shape[1] for box in boxes), scores[0].shape[2] + 1
    if found != (len(anchors_yxhw), labels):
        raise ModelError(
            f"the flatbuffer is another detector's: received anchors={found[0]}, labels={found[1]}.",
            expected=f"anchors={len(anchors_yxhw)}, labels={labels} (with the background)",
        )
    writer = _Writer(flatbuffer)
    places = writer.graph.outputs.tolist()
    parts = [writer.concatenate([writer.dequantize(place) for place in some]) for some in (places[0::2], places[1::2])]
    anchors = writer.add_tensor("anchors", anchors_yxhw.shape, anchors_yxhw.astype(np.float32))
    writer.postprocess([parts[0], writer.logistic(parts[1]), anchors], _op_options(options, labels))
    return pack_model(writer.model, alignment=_ALIGNMENT)


def _op_options(options: DecoderOptions, labels: int) -> dict[str, int | float | bool]:
    """What the kernel's Init reads (tensorflow/lite/kernels/detection_postprocess.cc)."""
    scales = {f"{axis}_scale": 1 / variance for axis, variance in zip("yxhw", VARIANCES, strict=True)}
    return {
        "max_detections": options.max_detections,
        "max_classes_per_detection": 1,
        "detections_per_class": min(options.max_candidates, options.max_detections),
        "use_regular_nms": True,  # label by label, as our decoders do it
        "nms_score_threshold": options.min_score,
        "nms_iou_threshold": options.max_iou,
        "num_classes": labels - 1,
        **scales,
    }


class _Writer:
    """Adds operators and tensors at the end of a flatbuffer's records."""

    def __init__(self, flatbuffer: bytes) -> None:
        from ai_edge_litert import schema_py_generated

        self._schema = schema_py_generated
        self.model = unpack_model(flatbuffer)
        (self.graph,) = self.model.subgraphs

    def add_tensor(self, name: str, shape: Iterable[int], data: npt.NDArray[np.float32] | None = None) -> int:
        """The place of a new float32 tensor, constant if there is data."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.type = name.encode(), self._schema.TensorType.FLOAT32
        tensor.shape, tensor.buffer = np.array([*shape], np.int32), 0
        if data is not None:
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(self._schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(data.astype("<f4").tobytes(), np.uint8)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def dequantize(self, place: int) -> int:
        """The real values of a quantized tensor."""
        source = self.graph.tensors[place]
        real = self.add_tensor(f"{source.name.decode()}_real", source.shape)
        self._add_operator("DEQUANTIZE", [place], [real], version=_DEQUANTIZES_INT8)
        return real

    def concatenate(self, places: list[int]) -> int:
        """The anchors of all feature maps in one tensor."""
        if len(places) == 1:
            return places[0]
        shapes = [self.graph.tensors[place].shape for place in places]
        whole = self.add_tensor("all_maps", (1, sum(shape[1] for shape in shapes), shapes[0][2]))
        operator = self._add_operator("CONCATENATION", places, [whole])
        operator.builtinOptionsType = self._schema.BuiltinOptions.ConcatenationOptions
        operator.builtinOptions = self._schema.ConcatenationOptionsT()
        operator.builtinOptions.axis = 1
        return whole

    def logistic(self, place: int) -> int:
        """Probabilities of logits."""
        probabilities = self.add_tensor("probabilities", self.graph.tensors[place].shape)
        self._add_operator("LOGISTIC", [place], [probabilities])
        return probabilities

    def postprocess(self, places: list[int], options: dict[str, int | float | bool]) -> None:
        """Ends the graph in the operator; `places` of encoded boxes, probabilities and anchors."""
        from flatbuffers import flexbuffers

        count = options["max_detections"]
        shapes: Any = ((1, count, 4), (1, count), (1, count), (1,))
        outputs = [self.add_tensor(name, shape) for name, shape in zip(OUTPUTS, shapes, strict=True)]
        operator = self._add_operator("CUSTOM", places, outputs, custom=POSTPROCESS_OP)
        operator.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
        self.graph.outputs = np.array(outputs, np.int32)
        for signature in self.model.signatureDefs or ():
            signature.outputs = [self._tensor_map(*row) for row in zip(OUTPUTS, outputs, strict=True)]

    def _tensor_map(self, name: str, place: int) -> Any:
        row = self._schema.TensorMapT()
        row.name, row.tensorIndex = name.encode(), place
        return row

    def _add_operator(
        self, name: str, inputs: list[int], outputs: list[int], *, version: int = 1, custom: str | None = None
    ) -> Any:
        code, operator = self._schema.OperatorCodeT(), self._schema.OperatorT()
        code.builtinCode, code.version = getattr(self._schema.BuiltinOperator, name), version
        code.deprecatedBuiltinCode, code.customCode = code.builtinCode, custom and custom.encode()
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self.graph.operators.append(operator)
        return operator
