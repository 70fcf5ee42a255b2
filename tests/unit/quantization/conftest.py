"""Models for the tests of `components.quantization`: real ones, hand-built ones, and one that is converted here."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARED = Path(__file__).parents[4] / "shared"
SIDE = 96


@pytest.fixture(scope="session")
def shared_model() -> Callable[[str], bytes]:
    """Reads `../shared/models/<name>.tflite`, or skips the test."""

    def read(name: str) -> bytes:
        path = SHARED / "models" / f"{name}.tflite"
        if not path.is_file():
            pytest.skip(f"{path} is not there; it comes with the workspace, not with the repository")
        return path.read_bytes()

    return read


@dataclass
class TensorSpec:
    shape: tuple[int, ...]
    dtype: str = "INT8"
    data: bytes | None = None
    scale: float | None = 0.5
    zero_point: int = 0
    name: str = "t"


@dataclass
class OpSpec:
    name: str
    inputs: list[int]
    outputs: list[int]
    version: int = 1
    options: Any = None


@dataclass
class ModelSpec:
    """A flatbuffer in words; `build` writes it with the schema's own classes."""

    tensors: list[TensorSpec]
    operators: list[OpSpec]
    inputs: list[int]
    outputs: list[int]
    bodies: list[list[str]] = field(default_factory=list)  # of more subgraphs, by their operators
    metadata: list[bytes] = field(default_factory=list)

    def build(self) -> bytes:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT()
        model.version, model.description = 3, b"by hand"
        model.buffers = [schema.BufferT()]
        subgraph = schema.SubGraphT()
        subgraph.tensors = [self._tensor(schema, model, spec) for spec in self.tensors]
        subgraph.inputs, subgraph.outputs = self.inputs, self.outputs
        model.operatorCodes, model.subgraphs = [], [subgraph]
        subgraph.operators = [self._operator(schema, model, spec) for spec in self.operators]
        for names in self.bodies:
            body = copy(subgraph)
            body.operators = [self._operator(schema, model, OpSpec(name, self.inputs, self.outputs)) for name in names]
            model.subgraphs.append(body)
        for data in self.metadata:
            model.buffers.append(_buffer(schema, data))
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _tensor(schema, model, spec):
        tensor = schema.TensorT()
        tensor.shape, tensor.name = list(spec.shape), spec.name.encode()
        tensor.type = getattr(schema.TensorType, spec.dtype)
        tensor.buffer = 0
        if spec.data is not None:
            model.buffers.append(_buffer(schema, spec.data))
            tensor.buffer = len(model.buffers) - 1
        if spec.scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [spec.scale], [spec.zero_point]
        return tensor

    @classmethod
    def _operator(cls, schema, model, spec):
        model.operatorCodes.append(cls._code(schema, spec))
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, spec.inputs, spec.outputs
        if spec.options is not None:
            op.builtinOptions = spec.options
            name = type(spec.options).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        return op

    @staticmethod
    def _code(schema, spec):
        code = schema.OperatorCodeT()
        code.version = spec.version
        number = getattr(schema.BuiltinOperator, spec.name, None)
        if number is None:
            code.customCode, number = spec.name.encode(), schema.BuiltinOperator.CUSTOM
        code.deprecatedBuiltinCode, code.builtinCode = min(number, 127), number
        return code


def _buffer(schema, data):
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    return buffer


def reshape_model(dtype: str = "INT8", **changes: Any) -> ModelSpec:
    """The smallest model that both interpreters run: [1, 4] through RESHAPE."""
    spec = ModelSpec(
        tensors=[
            TensorSpec((1, 4), dtype, name="in", scale=None if dtype == "FLOAT32" else 0.5),
            TensorSpec((2,), "INT32", np.array([1, 4], "<i4").tobytes(), None, "shape"),
            TensorSpec((1, 4), dtype, name="out", scale=None if dtype == "FLOAT32" else 0.5),
        ],
        operators=[OpSpec("RESHAPE", [0, 1], [2])],
        inputs=[0],
        outputs=[2],
    )
    for name, value in changes.items():
        setattr(spec, name, value)
    return spec


@pytest.fixture(name="reshape_model")
def _reshape_model() -> Callable[..., ModelSpec]:
    return reshape_model


@pytest.fixture(name="model_spec")
def _model_spec() -> Callable[..., bytes]:
    """Builds a one-operator flatbuffer from the shapes of its tensors; the last one is the output."""

    def build(op: str, *shapes: tuple[int, ...], inputs: list[int] | None = None) -> bytes:
        last = len(shapes) - 1
        spec = ModelSpec(
            tensors=[TensorSpec(shape) for shape in shapes],
            operators=[OpSpec(op, list(range(last)) if inputs is None else inputs, [last])],
            inputs=[0],
            outputs=[last],
        )
        return spec.build()

    return build


def _constant(values: np.ndarray, name: str, dtype: str) -> TensorSpec:
    return TensorSpec(values.shape, dtype, values.tobytes(), name=name)


@pytest.fixture(scope="session")
def convolutions() -> Callable[[int], bytes]:
    """Two convolutions of n channels each, quantized by channel as the converter does it, on [1, 8, 8, n] int8."""

    @cache
    def build(channels: int, seed: int = 0) -> bytes:
        from ai_edge_litert import schema_py_generated as schema

        from components.quantization.flatbuffer_records import pack_model, unpack_model

        random = np.random.default_rng(seed)
        options = schema.Conv2DOptionsT()
        options.strideW = options.strideH = 1
        shape = (1, 8, 8, channels)
        tensors = [TensorSpec(shape, scale=0.05, zero_point=-3, name="activation 0")]
        for layer in range(2):
            weights = random.integers(-127, 128, (channels, 1, 1, channels)).astype(np.int8)
            biases = random.integers(-500, 500, channels).astype("<i4")
            tensors += [_constant(weights, f"filter {layer}", "INT8"), _constant(biases, f"bias {layer}", "INT32")]
            tensors.append(TensorSpec(shape, scale=0.1, zero_point=4, name=f"activation {layer + 1}"))
        operators = [OpSpec("CONV_2D", [first, first + 1, first + 2], [first + 3], 3, options) for first in (0, 3)]
        model = unpack_model(ModelSpec(tensors, operators, [0], [6]).build())
        for tensor in model.subgraphs[0].tensors:
            if not tensor.name.startswith(b"activation"):
                tensor.quantization.scale = random.uniform(0.001, 0.01, channels).astype(np.float32)
                tensor.quantization.zeroPoint = np.zeros(channels, np.int64)
        return pack_model(model)

    return build


@pytest.fixture(scope="session")
def rasters() -> np.ndarray:
    """120 smooth 8-bit images, uint8 [120, 96, 96, 1]."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (120, 12, 12, 1))
    fine = np.kron(coarse, np.ones((1, 8, 8, 1))) + rng.normal(0, 8, (120, SIDE, SIDE, 1))
    return fine.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory, rasters) -> Path:
    """MobileNet v1 0.25 96x96x1 with the BatchNorm statistics of the rasters; signatures `pixels` and `free`."""
    import keras
    import tensorflow as tf

    from components import pixels

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(input_shape=(SIDE, SIDE, 1), alpha=0.25, weights=None, classes=2, dropout=0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one pass makes the statistics those of its batch
    model(pixels.normalize(rasters[:64].astype(np.float32)), training=True)
    kernel, bias = model.get_layer("conv_preds").get_weights()
    model.get_layer("conv_preds").set_weights([kernel * 4, bias])

    def probabilities(image):
        return {"probabilities": model(image, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("pixels", probabilities, [tf.TensorSpec([1, SIDE, SIDE, 1], tf.float32, name="image")])
    archive.add_endpoint("free", probabilities, [tf.TensorSpec([None, SIDE, SIDE, 1], tf.float32, name="image")])
    path = tmp_path_factory.mktemp("saved_model")
    archive.write_out(str(path), verbose=False)
    return path


@pytest.fixture(scope="session")
def calibration(rasters) -> np.ndarray:
    """20 of the rasters as they calibrate, float32 [22, 96, 96, 1]."""
    from components import pixels
    from components.quantization.representative_dataset import pin_input_range

    return pin_input_range(pixels.normalize(rasters[:20].astype(np.float32)))


@pytest.fixture(scope="session")
def full_integer(saved_model, calibration) -> bytes:
    """`saved_model` as a full-integer flatbuffer."""
    from components.quantization.convert import convert_full_integer

    return convert_full_integer(saved_model, "pixels", calibration)


@pytest.fixture(scope="session")
def odd_saved_model(tmp_path_factory) -> Path:
    """A tiny model on [1, 8, 8, 1] with one signature for each way in which a conversion goes wrong."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    source = keras.Input((8, 8, 1), batch_size=1)
    flat = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, strides=4)(source))
    model = keras.Model(source, flat)
    image = tf.TensorSpec([1, 8, 8, 1], tf.float32, name="image")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("good", lambda image: {"out": model(image)}, [image])
    archive.add_endpoint("no_int8_form", lambda image: {"out": tf.math.erf(model(image))}, [image])
    archive.add_endpoint("float_between", lambda image: {"out": tf.cumsum(model(image), -1)}, [image])
    archive.add_endpoint("constant", lambda image: {"out": model(image) * 1e-12}, [image])
    path = tmp_path_factory.mktemp("odd_saved_model")
    archive.write_out(str(path), verbose=False)
    return path
