"""Where an int8 model loses against the float model that it was made from, operator by operator.

Both run on the same images, the int8 file under TFLite Micro as on a device, and the output of every operator is held
against that of its float twin. The errors are those that have come together so far: an operator that is no worse than
what it was given loses nothing itself.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelError
from components.quantization.feeding import check_input
from components.quantization.flatbuffer import Graph, Operator, Tensor, read_graph
from components.quantization.records import LayerLoss, LayersReport
from components.quantization.tflm import operators_under_tflm

_CALCULATES_NOTHING = ("QUANTIZE", "DEQUANTIZE", "RESHAPE")  # a converter of another age has them elsewhere
_IMAGES_AT_ONCE = 32

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Pair:
    """An operator of the int8 model and the float tensor that its output stands for."""

    index: int
    operator: Operator
    output: Tensor
    real: int  # index of the float graph's tensor
    name: str


@dataclass
class _Sums:
    """What SNR and cosine are made of, in float64."""

    real: float = 0.0  # of squares of the float values
    coded: float = 0.0  # of squares of the values that the codes stand for
    both: float = 0.0
    error: float = 0.0

    def add(self, real: Floats, coded: Floats) -> None:
        real, coded = real.astype(np.float64).ravel(), coded.astype(np.float64).ravel()
        self.real += float(real @ real)
        self.coded += float(coded @ coded)
        self.both += float(real @ coded)
        self.error += float((real - coded) @ (real - coded))

    @property
    def noise(self) -> float:
        return self.error / max(self.real, float(np.finfo(np.float32).tiny))

    @property
    def snr_db(self) -> float | None:
        return None if self.error == 0 else -10 * math.log10(self.noise)

    @property
    def cosine(self) -> float | None:
        return None if 0 in (self.real, self.coded) else self.both / math.sqrt(self.real * self.coded)


def measure_layers(
    int8: bytes, float32: bytes, codes: npt.NDArray[Any], images: Floats, *, time_limit_s: float
) -> LayersReport:
    """Holds every operator's output against that of its float twin.

    Args:
      int8: a full-integer flatbuffer of one input; a slim one will do.
      float32: the same graph in float: the same operators with the same shapes, but for those that calculate nothing.
      codes: [n, ...], the images as the int8 model takes them.
      images: float32 [n, ...], the same ones as the float model takes them.
      time_limit_s: seconds after which TFLite Micro is given up, for every 32 images.

    Raises:
      ModelError: when the graphs are not alike, when either cannot be run on the images, or when the int8 model has
        outputs in float.
    """
    graph, twin = read_graph(int8), read_graph(float32)
    check_input(twin, images)
    pairs = _pair(graph, twin)
    sums = [_Sums() for _ in pairs]
    source = _Sums()
    for start in range(0, len(codes), _IMAGES_AT_ONCE):
        part = slice(start, start + _IMAGES_AT_ONCE)
        run = operators_under_tflm(int8, codes[part], time_limit_s=time_limit_s)
        if run.failure is not None:
            raise ModelError(f"TFLite Micro does not run the model: {run.failure}", expected="one that it runs")
        source.add(images[part], _values(codes[part], graph.inputs[0]))
        outputs = _float_outputs(float32, images[part], [pair.real for pair in pairs])
        for pair, real, found in zip(pairs, outputs, sums, strict=True):
            found.add(real, _values(run.outputs[pair.index, 0], pair.output))
    noise = {id(graph.inputs[0]): source.noise}
    noise |= {id(pair.output): found.noise for pair, found in zip(pairs, sums, strict=True)}
    for operator in graph.operators:
        if operator.name in _CALCULATES_NOTHING:
            noise[id(_first(operator))] = _given(operator, noise)
    return LayersReport(
        images=len(codes),
        input_snr_db=source.snr_db,
        layers=tuple(_loss(pair, found, noise) for pair, found in zip(pairs, sums, strict=True)),
    )


def _pair(graph: Graph, twin: Graph) -> list[_Pair]:
    """The operators of both graphs, in order of execution.

    Raises:
      ModelError: when they are not the same operators on the same shapes.
    """
    ours, theirs = (
        [(index, op) for index, op in enumerate(one.operators) if op.name not in _CALCULATES_NOTHING]
        for one in (graph, twin)
    )
    kinds = [[(op.name, _first(op).shape) for _, op in operators] for operators in (ours, theirs)]
    if kinds[0] != kinds[1]:
        both = zip(*kinds, strict=False)
        place = next((place for place, (one, other) in enumerate(both) if one != other), min(map(len, kinds)))
        words = [f"{found[place][0]} {found[place][1]}" if place < len(found) else "the end" for found in kinds]
        raise ModelError(
            f"the float model is another graph: its operator {place} is {words[1]}, that of the int8 model {words[0]}.",
            expected="the model that the int8 file was converted from, by a converter of the same age",
            hint="the SavedModel of the same release, or a float .tflite of the same conversion",
        )
    # By identity: tensors without names may be equal.
    places = {id(tensor): place for place, tensor in enumerate(twin.tensors)}
    return [
        _Pair(index, op, _first(op), places[id(_first(real))], _first(real).name or _first(op).name)
        for (index, op), (_, real) in zip(ours, theirs, strict=True)
    ]


def _first(operator: Operator) -> Tensor:
    if not operator.outputs or operator.outputs[0] is None:
        raise ModelError(f"damaged flatbuffer: operator {operator.name} has no output.", expected="one output")
    return operator.outputs[0]


def _values(codes: npt.NDArray[Any], tensor: Tensor) -> Floats:
    """The real values that the codes of an activation stand for."""
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise ModelError(
            f"the model to inspect is not full integer: {tensor.name or 'a tensor'} is {tensor.dtype} without a scale.",
            expected="an int8 model, and a float one to hold it against",
            hint="pass the int8 file first and the float model with --against-float",
        )
    return (codes.astype(np.float64) - tensor.zero_points[0]) * tensor.scales[0]


def _float_outputs(flatbuffer: bytes, images: Floats, tensors: Sequence[int]) -> Iterator[Floats]:
    """These tensors of a float model for all images, one after another: float32 [n, ...]."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=flatbuffer,
            # One thread and no delegate, which would fuse operators and keep their tensors to itself.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        found: list[list[Floats]] = [[] for _ in tensors]
        for image in images:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
            interpreter.invoke()
            for values, tensor in zip(found, tensors, strict=True):
                values.append(interpreter.get_tensor(tensor))
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT refuses the float model: {error}", expected="a float model that it runs") from error
    return (np.stack(values) for values in found)


def _given(operator: Operator, noise: dict[int, float]) -> float:
    """The noise of the noisiest input; constants have none that is known."""
    return max((noise.get(id(tensor), 0.0) for tensor in operator.inputs), default=0.0)


def _loss(pair: _Pair, found: _Sums, noise: dict[int, float]) -> LayerLoss:
    return LayerLoss(
        index=pair.index,
        op=pair.operator.name,
        name=pair.name,
        output_shape=pair.output.shape,
        snr_db=found.snr_db,
        cosine=found.cosine,
        noise=found.noise,
        added=found.noise - _given(pair.operator, noise),
    )
