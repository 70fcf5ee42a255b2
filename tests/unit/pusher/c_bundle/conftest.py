"""A small model that TFLite Micro runs, its bundle, and the compilers that must have nothing to say about it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from components.pusher.c_bundle.spec import BundleSpec
from components.quantization.golden import Golden
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.records import OperatingPoint
from components.quantization.tflm import run_under_tflm

WARNINGS = ("-Wall", "-Wextra", "-Werror")
ROWS, COLUMNS = 8, 6


@pytest.fixture(scope="session")
def tflite_micro() -> Path:
    """Include folder with TFLite Micro's interface, as far as the bundle uses it.

    A compile contract, written from the public headers; `test_self_test.py` links it with the real interpreter.
    """
    return Path(__file__).parent / "tflite_micro"


class Toolchain(NamedTuple):
    """The C and C++ compilers and the binutils of one target."""

    name: str
    prefix: str
    flags: tuple[str, ...]

    def compile(self, source: Path, *flags: str | Path) -> Path:
        """Compiles one source beside itself, with every warning an error."""
        target = source.with_suffix(f".{self.name}.o")
        compiler = "gcc" if source.suffix == ".c" else "g++"
        options = (*self.flags, *WARNINGS, "-I", source.parent, *flags)
        subprocess.run([f"{self.prefix}{compiler}", *options, "-c", source, "-o", target], check=True)
        return target


TOOLCHAINS = (
    Toolchain("host", "", ()),
    Toolchain("cortex-m4", "arm-none-eabi-", ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
)


@pytest.fixture(params=TOOLCHAINS, ids=lambda toolchain: toolchain.name)
def toolchain(request: pytest.FixtureRequest, require_tool: Callable[[str, str], str]) -> Toolchain:
    """Each of the two toolchains, or a skip that names the missing package."""
    for tool in ("gcc", "g++", "objcopy", "nm"):
        require_tool(f"{request.param.prefix}{tool}", _package(request.param))
    return request.param


def _package(toolchain: Toolchain) -> str:
    return "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib" if toolchain.prefix else "g++ binutils"


@pytest.fixture(scope="session")
def compiler(require_tool: Callable[[str, str], str]) -> str:
    """Path of g++."""
    return require_tool("g++", "g++")


@pytest.fixture
def compile_and_run(compiler: str, tmp_path: Path) -> Callable[..., bytes]:
    """Compiles a program, with more sources if wanted, and gives back what it prints."""

    def run(program: str, *sources: Path, stdin: bytes = b"") -> bytes:
        main = tmp_path / "main.cc"
        main.write_text(program)
        command = [compiler, "-std=c++17", *WARNINGS, "-I", tmp_path, main, *sources, "-o", tmp_path / "main"]
        subprocess.run(command, check=True)
        return subprocess.run([tmp_path / "main"], check=True, capture_output=True, input=stdin).stdout

    return run


@pytest.fixture(scope="session")
def flatbuffer() -> bytes:
    """FULLY_CONNECTED and SOFTMAX over int8 [1, 8, 6, 1], with the pixel contract's scales."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    weights = np.random.default_rng(0).integers(-127, 128, (2, ROWS * COLUMNS)).astype(np.int8)
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT()], [subgraph]
    subgraph.tensors, subgraph.operators, subgraph.inputs, subgraph.outputs = [], [], [0], [4]
    model.operatorCodes = []

    def add_tensor(name, shape, scale, zero_point, dtype=schema.TensorType.INT8, data=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), dtype, 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data, tensor.buffer = np.frombuffer(data.tobytes(), np.uint8), len(model.buffers) - 1
        subgraph.tensors.append(tensor)

    def add_operator(kind, inputs, outputs, options):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = code.builtinCode
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), inputs, outputs
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        model.operatorCodes.append(code)
        subgraph.operators.append(operator)

    add_tensor("image", (1, ROWS, COLUMNS, 1), 2 / 255, -1)
    add_tensor("weights", weights.shape, 1 / 127, 0, data=weights)
    add_tensor("bias", (2,), 2 / 255 / 127, 0, schema.TensorType.INT32, np.zeros(2, "<i4"))
    add_tensor("logits", (1, 2), 0.1, 0)
    add_tensor("probabilities", (1, 2), 1 / 256, -128)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    add_operator("FULLY_CONNECTED", [0, 1, 2], [3], schema.FullyConnectedOptionsT())
    add_operator("SOFTMAX", [3], [4], softmax)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def spec(flatbuffer: bytes) -> BundleSpec:
    """A bundle of that model, with TFLite Micro's own answers to eight images."""
    report = inspect_flatbuffer(flatbuffer)
    inputs = np.random.default_rng(1).integers(-128, 128, (8, ROWS, COLUMNS, 1)).astype(np.int8)
    run = run_under_tflm(flatbuffer, inputs, time_limit_s=60)
    assert run.outputs is not None
    assert run.arena is not None
    return BundleSpec(
        name="person_detect",
        flatbuffer=flatbuffer,
        ops=report.ops,
        labels=("not-person", "person"),
        positive="person",
        operating_point=OperatingPoint(
            label="person", index=1, max_false_alarm_rate=0.05, code=12, threshold=0.546875, rates={}
        ),
        input=report.inputs[0],
        output=report.outputs[0],
        golden=Golden(tuple(str(139 + number) for number in range(8)), (0, 1) * 4, inputs, run.outputs),
        arena_bytes=run.arena.total_bytes,
        arena_margin_bytes=4096,
        model="vww_mobilenet_v1_025_96_gray",
        vww_version="0.1.0",
    )


@pytest.fixture
def write_bundle(tmp_path: Path) -> Callable[[BundleSpec], Path]:
    """Renders a bundle into a folder."""
    from components.pusher.c_bundle.render import render_bundle

    def write(spec: BundleSpec) -> Path:
        for name, content in render_bundle(spec).items():
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return write


@pytest.fixture
def bundle(write_bundle: Callable[[BundleSpec], Path], spec: BundleSpec) -> Path:
    """The folder of `spec`'s bundle."""
    return write_bundle(spec)


@pytest.fixture(scope="session")
def of_labels(spec: BundleSpec) -> Callable[..., BundleSpec]:
    """`spec` as if its model told other labels apart; for what is rendered and compiled, not run."""
    from dataclasses import replace

    def make(labels: tuple[str, ...], positive: str | None, channels: int = 1) -> BundleSpec:
        inputs = np.zeros((len(labels), ROWS, COLUMNS, channels), np.int8)
        outputs = np.zeros((len(labels), len(labels)), np.int8)
        return replace(
            spec,
            labels=labels,
            positive=positive,
            operating_point=None,
            input=spec.input.model_copy(update={"shape": (1, ROWS, COLUMNS, channels)}),
            output=spec.output.model_copy(update={"shape": (1, len(labels))}),
            golden=Golden(labels, tuple(range(len(labels))), inputs, (outputs,)),
        )

    return make
