"""`vww inspect --against-float`: readers of float models, and the words; `quantization/test_layers.py` measures."""

import keras
import pytest

from components.errors import ConfigError, ModelError
from components.quantization.flatbuffer import read_graph
from components.quantization.records import LayerLoss
from pipeline.evaluation.float_flatbuffer import float_flatbuffer
from pipeline.show_layers import name_worst, show_layers


@pytest.fixture(scope="module")
def model():
    source = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(4, 3, activation="relu")(source)
    return keras.Model(source, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(features)))


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_float_flatbuffer_of_every_kind_has_the_models_operators_at_batch_1(model, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    if suffix:
        model.save(path)
    else:
        archive = keras.export.ExportArchive()
        archive.track(model)
        spec = keras.InputSpec(shape=(1, 8, 8, 1), dtype="float32", name="image")
        archive.add_endpoint("pixels", lambda image: model(image, training=False), [spec])
        archive.write_out(str(path), verbose=False)
    graph = read_graph(float_flatbuffer(path))
    assert [op.name for op in graph.operators if op.name != "RESHAPE"] == ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"]
    assert graph.inputs[0].shape == (1, 8, 8, 1)
    assert {tensor.dtype for tensor in graph.tensors} <= {"float32", "int32"}


def test_float_flatbuffer_of_what_is_no_float_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="nothing is there"):
        float_flatbuffer(tmp_path / "nothing")
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    with pytest.raises(ModelError, match="not a float model"):
        float_flatbuffer(tmp_path / "model.onnx")


def test_show_layers_without_images_or_file_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="needs images"):
        show_layers(tmp_path / "a.tflite", tmp_path, None, "-1..1", as_json=False)
    with pytest.raises(ModelError, match="cannot read"):
        show_layers(tmp_path / "a.tflite", tmp_path, tmp_path, "-1..1", as_json=False)


def test_name_worst_says_operator_layer_and_noise():
    loss = LayerLoss(
        index=7,
        op="CONV_2D",
        name="mobilenet_v1_1/conv_pw_3_relu_1/Relu6;mobilenet_v1_1/conv_pw_3_bn_1/add",
        output_shape=(1, 4, 4, 2),
        snr_db=12.0,
        cosine=0.98,
        noise=0.06,
        added=0.0257,
    )
    nameless = loss.model_copy(update={"name": "", "index": 8})
    assert (
        name_worst((loss, nameless)) == "Most noise is added by CONV_2D 7 (conv_pw_3_relu_1) +2.57%, CONV_2D 8 +2.57%."
    )
    assert name_worst(()) == "No operator adds noise."
