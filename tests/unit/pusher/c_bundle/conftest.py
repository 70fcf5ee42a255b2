"""A small model that TFLite Micro runs, its bundle, and the compilers that must have nothing to say about it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from components.detection.anchors import AnchorMap
from components.detection.options import DecoderOptions
from components.pusher.c_bundle.spec import BundleSpec, DetectorSpec
from components.quantization.golden import Golden
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.records import OperatingPoint
from components.quantization.tflm import run_under_tflm

WARNINGS = ("-Wall", "-Wextra", "-Werror")
ROWS, COLUMNS = 8, 6
SELF_TEST_FLAGS = ("-std=c++17", "-O1", *WARNINGS, "-fno-rtti", "-fno-exceptions")
_RUN = """
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
from tflite_micro import runtime
arena_size = int(sys.argv[2])
arena = ctypes.create_string_buffer(arena_size + 16)
aligned = ctypes.c_void_p((ctypes.addressof(arena) + 15) // 16 * 16)
run = ctypes.CDLL(sys.argv[1])["_ZN19person_detect_model11RunSelfTestEPhm"]
sys.exit(run(aligned, ctypes.c_size_t(arena_size)))
"""


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


class _Builder:
    """A flatbuffer of full-integer layers on one image, int8 [1, 8, 6, 1] with the pixel contract's scale."""

    def __init__(self):
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.model, self.subgraph = schema, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers, self.model.subgraphs = 3, [schema.BufferT()], [self.subgraph]
        self.model.operatorCodes = []
        self.subgraph.tensors, self.subgraph.operators, self.subgraph.inputs = [], [], [0]
        self.random = np.random.default_rng(0)
        self.image = self.add_tensor("image", (1, ROWS, COLUMNS, 1), 2 / 255, -1)

    def add_tensor(self, name, shape, scale, zero_point, dtype=None, data=None):
        schema, tensor = self.schema, self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.INT8 if dtype is None else dtype
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers) - 1
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def add_operator(self, kind, inputs, outputs, options):
        schema, operator = self.schema, self.schema.OperatorT()
        kinds = [code.builtinCode for code in self.model.operatorCodes]
        if getattr(schema.BuiltinOperator, kind) not in kinds:
            code = schema.OperatorCodeT()
            code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = code.builtinCode
            self.model.operatorCodes.append(code)
            kinds.append(code.builtinCode)
        operator.opcodeIndex = kinds.index(getattr(schema.BuiltinOperator, kind))
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.subgraph.operators.append(operator)

    def add_fully_connected(self, name, columns, scale, zero_point):
        int32 = self.schema.TensorType.INT32
        weights = self.random.integers(-127, 128, (columns, ROWS * COLUMNS)).astype(np.int8)
        inputs = [
            self.image,
            self.add_tensor("weights", weights.shape, 1 / 127, 0, data=weights),
            self.add_tensor("bias", (columns,), 2 / 255 / 127, 0, int32, np.zeros(columns, "<i4")),
        ]
        output = self.add_tensor(name, (1, columns), scale, zero_point)
        self.add_operator("FULLY_CONNECTED", inputs, [output], self.schema.FullyConnectedOptionsT())
        return output

    def add_reshape(self, name, tensor, shape, scale, zero_point):
        int32 = self.schema.TensorType.INT32
        new_shape = self.add_tensor("shape", (len(shape),), None, None, int32, np.array(shape, "<i4"))
        output, options = self.add_tensor(name, shape, scale, zero_point), self.schema.ReshapeOptionsT()
        options.newShape = list(shape)
        self.add_operator("RESHAPE", [tensor, new_shape], [output], options)
        return output

    def build(self, outputs):
        import flatbuffers

        self.subgraph.outputs = outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


@pytest.fixture(scope="session")
def flatbuffer() -> bytes:
    """FULLY_CONNECTED and SOFTMAX over the image."""
    builder = _Builder()
    logits = builder.add_fully_connected("logits", 2, 0.1, 0)
    probabilities = builder.add_tensor("probabilities", (1, 2), 1 / 256, -128)
    softmax = builder.schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    builder.add_operator("SOFTMAX", [logits], [probabilities], softmax)
    return builder.build([probabilities])


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
        outputs=report.outputs,
        golden=Golden(tuple(str(139 + number) for number in range(8)), (0, 1) * 4, inputs, run.outputs),
        arena_bytes=run.arena.total_bytes,
        arena_margin_bytes=4096,
        model="vww_mobilenet_v1_025_96_gray",
        vww_version="0.1.0",
    )


# Feature maps of 2 x 2 and 1 x 1 cells: 12 anchors and 2.
DETECTOR_MAPS = (AnchorMap(2, 2, ((0.5, 0.5), (0.4, 0.7), (0.7, 0.4))), AnchorMap(1, 1, ((0.9, 0.9), (1.2, 0.6))))


@pytest.fixture(scope="session", params=["concatenated", "per_map"])
def detector_spec(request: pytest.FixtureRequest, spec: BundleSpec) -> BundleSpec:
    """A bundle of a detector of two labels, with TFLite Micro's own answers to eight images."""
    counts = [12, 2] if request.param == "per_map" else [14]
    builder, outputs = _Builder(), []
    for number, count in enumerate(counts):
        for name, columns, scale in (("boxes", 4, 0.03 + 0.01 * number), ("scores", 2, 0.05 + 0.01 * number)):
            codes = builder.add_fully_connected(name, count * columns, scale, 7 - number)
            outputs.append(builder.add_reshape(name, codes, (1, count, columns), scale, 7 - number))
    flatbuffer = builder.build(outputs)
    report = inspect_flatbuffer(flatbuffer)
    run = run_under_tflm(flatbuffer, spec.golden.inputs, time_limit_s=60)
    assert run.outputs is not None
    assert run.arena is not None
    return replace(
        spec,
        flatbuffer=flatbuffer,
        ops=report.ops,
        labels=("background", "cat", "traffic light"),
        positive=None,
        operating_point=None,
        outputs=report.outputs,
        golden=replace(spec.golden, outputs=run.outputs),
        arena_bytes=run.arena.total_bytes,
        model="vww_ssd_mobilenet_v1_025_96_gray",
        detector=DetectorSpec(DETECTOR_MAPS, DecoderOptions(min_score=0.3), threshold=0.45),
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

    def make(labels: tuple[str, ...], positive: str | None, channels: int = 1) -> BundleSpec:
        inputs = np.zeros((len(labels), ROWS, COLUMNS, channels), np.int8)
        outputs = np.zeros((len(labels), len(labels)), np.int8)
        return replace(
            spec,
            labels=labels,
            positive=positive,
            operating_point=None,
            input=spec.input.model_copy(update={"shape": (1, ROWS, COLUMNS, channels)}),
            outputs=(spec.outputs[0].model_copy(update={"shape": (1, len(labels))}),),
            golden=Golden(labels, tuple(range(len(labels))), inputs, (outputs,)),
        )

    return make


@pytest.fixture
def run_self_test(compiler, tflite_micro, spec):
    """Builds a bundle's self test and runs it with the interpreter of the wheel; gives exit code and what it says."""

    def run(bundle, *flags, arena_size=spec.tensor_arena_size):
        library = bundle / "self_test.so"
        options = [*SELF_TEST_FLAGS, "-DVWW_SELF_TEST_NO_MAIN", *flags]
        includes = ["-I", bundle, "-I", tflite_micro]
        pure = [source.with_suffix(".o") for source in bundle.glob("*.c")]
        for compiled in pure:
            command = ["gcc", "-std=c99", *WARNINGS, "-fPIC", "-c", compiled.with_suffix(".c"), "-o", compiled]
            subprocess.run(command, check=True)
        sources = [*sorted(bundle.glob("*.cc")), *pure]
        subprocess.run([compiler, *options, *includes, "-shared", "-fPIC", *sources, "-o", library], check=True)
        command = [sys.executable, "-c", _RUN, library, str(arena_size)]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    return run
