"""Encoded images, raw examples and one real transform graph, for the stages that meet in it."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

GRAPH_SIDE = 32


def draw_pixels(width: int, height: int, channels: int, seed: int) -> npt.NDArray[np.uint8]:
    """A picture with smooth parts, edges and grain: uint8 [height, width, channels]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / (3 + 2 * c) + seed) * np.cos(y / (5 + c)) for c in range(channels)], axis=-1)
    picture = 128 + 90 * waves + random.normal(0, 12, waves.shape)
    picture[height // 3 : height // 2, width // 4 : width // 2] = random.integers(0, 256, channels)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw() -> Callable[..., npt.NDArray[np.uint8]]:
    """`draw_pixels`."""
    return draw_pixels


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encodes uint8 [height, width, 1 or 3] with Pillow, as `encode(pixels, "JPEG", quality=90)`."""
    from PIL import Image

    def encode_pixels(pixels: npt.NDArray[np.uint8], image_format: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, image_format, **options)
        return buffer.getvalue()

    return encode_pixels


class EncodedImage(NamedTuple):
    name: str
    format: str
    width: int
    height: int
    data: bytes


@pytest.fixture(scope="session")
def encoded_images(encode) -> list[EncodedImage]:
    """One image of every kind that the examples may hold, of various sizes."""
    kinds = (
        ("gray_jpeg", "JPEG", 120, 80, 1, {"quality": 90}),
        ("colour_jpeg", "JPEG", 81, 143, 3, {"quality": 90}),
        ("colour_jpeg_without_subsampling", "JPEG", 64, 64, 3, {"quality": 95, "subsampling": 0}),
        ("progressive_jpeg", "JPEG", 200, 150, 3, {"quality": 85, "progressive": True}),
        ("gray_png", "PNG", 99, 67, 1, {}),
        ("colour_png", "PNG", 70, 110, 3, {}),
        ("small_png", "PNG", 7, 5, 3, {}),
        ("exact_png", "PNG", GRAPH_SIDE, GRAPH_SIDE, 1, {}),
    )
    return [
        EncodedImage(
            name, kind.lower(), width, height, encode(draw_pixels(width, height, channels, seed), kind, **options)
        )
        for seed, (name, kind, width, height, channels, options) in enumerate(kinds)
    ]


@pytest.fixture(scope="session")
def raw_examples(encoded_images) -> list[bytes]:
    """`encoded_images` as raw examples, every other one with a person."""
    from components.example_gen.image_bytes import CheckedImage
    from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
    from components.example_gen.records import encode_example

    examples = []
    for number, image in enumerate(encoded_images):
        person = Annotation(1, image.width * image.height / 4, (1.0, 1.0, 3.0, 2.5), is_crowd=False)
        objects = pack_annotations((person,) if number % 2 else ())
        record = ImageRecord(number, f"{image.name}.img", image.width, image.height, objects)
        parts = encode_example(
            record,
            CheckedImage(image.data, image.format, image.width, image.height, reencoded=False),
            label=number % 2,
            label_text=("not-person", "person")[number % 2],
            largest_object=("none", "over_10%")[number % 2],
            category_labels={1: 1},
            label_givers=[person],
        )
        examples.append(b"".join(parts))
    return examples


class TransformGraph(NamedTuple):
    """A transform graph.

    Attributes:
      uri: as `tft.TFTransformOutput` takes it.
      outputs: what it made of `raw_examples`, feature by feature, in their order.
    """

    uri: str
    outputs: dict[str, list[Any]]


@pytest.fixture(scope="session")
def transform_graph(raw_examples, tmp_path_factory) -> TransformGraph:
    """A classifier's."""
    return make_transform_graph(raw_examples, tmp_path_factory.mktemp("transform"))


def make_transform_graph(
    raw_examples: list[bytes], root: Path, *, label_count: int = 2, **settings: Any
) -> TransformGraph:
    """The transform graph as TFX's Transform makes it: from the curated schema, through Beam.

    Args:
      raw_examples: what it is applied to.
      root: where it goes.
      label_count: of the schema.
      settings: of the job; a classifier's of GRAPH_SIDE without.
    """
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_transform.beam as tft_beam
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.public import tfxio

    from components import features
    from components.data_validation.schema import raw_schema_text
    from components.transform.options import TransformJob, TransformOptions
    from components.transform.preprocessing import preprocessing_fn

    def write_batch(batch: Any) -> None:
        with pa.OSFile(str(root / "batch"), "wb") as file, pa.ipc.new_stream(file, batch[0].schema) as writer:
            writer.write_batch(batch[0])

    schema = text_format.Parse(raw_schema_text(label_count), schema_pb2.Schema())
    source = tfxio.TFExampleBeamRecord(physical_format="inmem", telemetry_descriptors=["tests"], schema=schema)
    job = {"options": TransformOptions(side=GRAPH_SIDE), "task": "classification"} | settings
    config = {"job": TransformJob(**job).to_json()}
    options = beam.options.pipeline_options.PipelineOptions(["--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline, tft_beam.Context(temp_dir=str(root / "tmp")):
        data = pipeline | beam.Create(raw_examples, reshuffle=False) | source.BeamSource(batch_size=len(raw_examples))
        (batches, _), transform_fn = (
            data,
            source.TensorAdapterConfig(),
        ) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config), output_record_batches=True
        )
        batches | beam.Map(write_batch)
        transform_fn | tft_beam.WriteTransformFn(str(root / "graph"))
    with pa.OSFile(str(root / "batch")) as file:
        columns = pa.ipc.open_stream(file).read_all().to_pydict()
    lists = {features.OBJECT_BOXES, features.BOXES, features.BOX_LABELS, features.BOX_CROWDS}
    outputs = {name: column if name in lists else [value for (value,) in column] for name, column in columns.items()}
    return TransformGraph(str(root / "graph"), outputs)


@pytest.fixture(scope="session")
def echo_model() -> Callable[..., bytes]:
    """Builds an int8 flatbuffer [1, n] of one operator: RESHAPE, so that it answers its input."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: bytes, shape: list[int], scale: float, zero_point: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, schema.TensorType.INT8, 0
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        return made

    def build(
        values: int, *, scale: float, zero_point: int, op: str = "RESHAPE", input_scale: float | None = None
    ) -> bytes:
        model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
        model.version, model.buffers = 3, [schema.BufferT()]
        code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
        options = {"RESHAPE": schema.ReshapeOptionsT, "SOFTMAX": schema.SoftmaxOptionsT}.get(op)
        if options is not None:
            operator.builtinOptions = options()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options.__name__.removesuffix("T"))
        if op == "RESHAPE":
            operator.builtinOptions.newShape = [1, values]
        elif op == "SOFTMAX":
            operator.builtinOptions.beta = 1.0
        shape = [1, values]
        graph.tensors = [
            tensor(b"in", shape, scale if input_scale is None else input_scale, zero_point),
            tensor(b"out", shape, scale, zero_point),
        ]
        graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
        model.operatorCodes, model.subgraphs = [code], [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return build


DETECTOR_SIDE = 16


@pytest.fixture(scope="session")
def detector_saved_model(tmp_path_factory) -> Path:
    """A tiny detector on [1, 16, 16, 1] with feature maps of 4 and 2 cells a side, three shapes each, and two labels.

    Its signatures are `pixels` (boxes [1, 60, 4] and scores [1, 60, 2]), `per_map` (boxes_0 [1, 48, 4] ...), and two
    that nobody could use: `unnamed`, and `shared`, whose boxes are its scores.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    image = keras.Input((DETECTOR_SIDE, DETECTOR_SIDE, 1), batch_size=1)
    stem = keras.layers.Conv2D(8, 3, 2, "same", activation="relu6")(image)
    first = keras.layers.Conv2D(16, 3, 2, "same", activation="relu6")(stem)
    second = keras.layers.Conv2D(16, 3, 2, "same", activation="relu6")(first)
    heads = [
        keras.layers.Reshape((-1, columns))(keras.layers.Conv2D(3 * columns, 1)(feature_map))
        for feature_map in (first, second)
        for columns in (4, 2)
    ]
    model = keras.Model(image, heads)
    for weight in model.weights:
        if weight.path.endswith("bias"):
            weight.assign(np.linspace(-0.5, 0.5, weight.shape[0]))

    def per_map(image: Any) -> dict[str, Any]:
        return dict(zip(("boxes_0", "scores_0", "boxes_1", "scores_1"), model(image), strict=True))

    def pixels(image: Any) -> dict[str, Any]:
        boxes_0, scores_0, boxes_1, scores_1 = model(image)
        return {"boxes": tf.concat([boxes_0, boxes_1], 1), "scores": tf.concat([scores_0, scores_1], 1)}

    def unnamed(image: Any) -> dict[str, Any]:
        return dict(zip("abcd", model(image), strict=True))

    def shared(image: Any) -> dict[str, Any]:
        return dict.fromkeys(("boxes", "scores"), model(image)[0])

    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec([1, DETECTOR_SIDE, DETECTOR_SIDE, 1], tf.float32, name="image")
    for endpoint in (pixels, per_map, unnamed, shared):
        archive.add_endpoint(endpoint.__name__, endpoint, [spec])
    path = tmp_path_factory.mktemp("detector")
    archive.write_out(str(path), verbose=False)
    return path


@pytest.fixture(scope="session")
def detector_rasters() -> npt.NDArray[np.uint8]:
    """20 pictures, uint8 [20, 16, 16, 1]."""
    return np.stack([draw_pixels(DETECTOR_SIDE, DETECTOR_SIDE, 1, seed) for seed in range(20)])


@pytest.fixture(scope="session")
def detector(detector_saved_model, detector_rasters) -> Callable[[str], bytes]:
    """The full-integer flatbuffer of one signature of `detector_saved_model`, calibrated on `detector_rasters`."""
    from components import pixels
    from components.quantization.convert import convert_full_integer
    from components.quantization.representative_dataset import pin_input_range

    images = pin_input_range(pixels.normalize(detector_rasters.astype(np.float32)))
    return cache(lambda signature: convert_full_integer(detector_saved_model, signature, images))
