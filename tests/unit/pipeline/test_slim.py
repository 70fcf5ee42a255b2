"""`vww slim` on small files, TFLite Micro included."""

import json

import numpy as np
import pytest
from PIL import Image

from components.errors import ConfigError, DataError, ModelError
from components.quantization.flatbuffer_records import pack_model
from components.quantization.tflm import run_under_tflm
from pipeline.console import RunView
from pipeline.evaluation.image_files import read_image_files
from pipeline.slim import slim_file

SIDE = 4


def _model(op="SOFTMAX", dtype="INT8"):
    """One operator on images of SIDE pixels, quantized as a camera's pixels are, with a name to lose."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph.tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, scale, zero_point in zip(graph.tensors, (2 / 255, 1 / 256), (-1, -128), strict=True):
        tensor.shape, tensor.name = [1, SIDE, SIDE, 1], b"a name that nobody on the device reads"
        tensor.type = getattr(schema.TensorType, dtype)
        if dtype == "INT8":
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    operator.builtinOptions = schema.SoftmaxOptionsT()
    operator.builtinOptions.beta, operator.inputs, operator.outputs = 1.0, [0], [1]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    model.operatorCodes, model.subgraphs = [code], [graph]
    return pack_model(model)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(_model())
    return path


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index, name in enumerate(["b.png", "deeper/a.JPG", "c.jpeg"]):
        picture = random.integers(0, 256, (7 + index, 9, 3), np.uint8)
        Image.fromarray(picture).save(folder / name)
    (folder / "readme.txt").write_text("no image")
    return folder


def _slim(file, output=None, images=None, *, as_json=True):
    with RunView() as view:
        slim_file(file, output, images, as_json=as_json, view=view)


@pytest.mark.parametrize("dtype", ["INT8", "FLOAT32"])
def test_slim_file_writes_the_slim_file_beside_the_original(file, dtype, capsys):
    file.write_bytes(_model(dtype=dtype))
    _slim(file)
    found = json.loads(capsys.readouterr().out)
    slim = file.with_name("model_micro.tflite")
    assert (found["output"], found["equal"], found["equality"]["images"]) == (str(slim), True, 100)
    assert found["steps"][-1]["bytes_after"] == slim.stat().st_size < file.stat().st_size
    assert run_under_tflm(slim.read_bytes(), None, time_limit_s=60).failure is None
    assert sorted(path.name for path in file.parent.iterdir()) == ["model.tflite", "model_micro.tflite"]


def test_slim_file_with_images_feeds_them_and_says_so(file, images, tmp_path, capsys):
    target = tmp_path / "other.tflite"
    target.write_bytes(b"of an earlier call")
    _slim(file, target, images, as_json=False)
    said = capsys.readouterr().out
    assert f"3 images ({images})" in said
    assert f"Written: {target}, {target.stat().st_size:,} bytes" in said


def test_slim_file_over_its_input_is_refused(file, tmp_path):
    link = tmp_path / "link.tflite"
    link.symlink_to(file)
    before = file.read_bytes()
    for target in (file, link):
        with pytest.raises(ConfigError, match="is the file that is to be slimmed"):
            _slim(file, target)
    assert file.read_bytes() == before


def test_slim_file_of_a_model_that_cannot_be_proven_writes_nothing(file):
    file.write_bytes(_model("HASHTABLE_SIZE"))
    with pytest.raises(ModelError, match="was not written: TFLite Micro does not run the original: Didn't find op"):
        _slim(file)
    assert [path.name for path in file.parent.iterdir()] == ["model.tflite"]


def test_slim_file_that_is_missing_or_no_flatbuffer_is_refused(file, tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        _slim(tmp_path / "nothing.tflite")
    file.write_bytes(b"text")
    with pytest.raises(ModelError, match="not a TensorFlow Lite flatbuffer"):
        _slim(file)


def test_read_image_files_in_order_of_path_and_of_the_models_shape(images):
    gray = read_image_files(images, (SIDE, SIDE, 1), 10)
    colour = read_image_files(images, (SIDE, 5, 3), 2)
    assert (gray.shape, colour.shape) == ((3, SIDE, SIDE, 1), (2, SIDE, 5, 3))
    with Image.open(images / "b.png") as image:
        expected = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(gray[0, ..., 0], expected)


def test_read_image_files_without_images_or_of_a_damaged_one_is_refused(images, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_image_files(tmp_path / "nothing", (SIDE, SIDE, 1), 10)
    (images / "a.png").write_bytes(b"\x89PNG\r\n cut")
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        read_image_files(images, (SIDE, SIDE, 1), 10)
