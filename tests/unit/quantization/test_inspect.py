import pytest

from components.errors import ModelError
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.records import OpUse


def test_inspect_person_detect_matches_published_figures(shared_model):
    report = inspect_flatbuffer(shared_model("person_detect"))
    assert report.flatbuffer_bytes == 300_568
    assert report.macs == sum(layer.macs for layer in report.layers) == 7_157_888
    assert report.ops == (
        OpUse(name="DEPTHWISE_CONV_2D", version=3, count=14),
        OpUse(name="CONV_2D", version=2, count=14),
        OpUse(name="AVERAGE_POOL_2D", version=2, count=1),
        OpUse(name="RESHAPE", version=1, count=1),
        OpUse(name="SOFTMAX", version=2, count=1),
    )
    (source,), (answer,) = report.inputs, report.outputs
    assert (source.dtype, source.shape, source.zero_point) == ("int8", (1, 96, 96, 1), -1)
    assert source.scale == pytest.approx(0.0078431377)
    assert (answer.dtype, answer.shape, answer.scale, answer.zero_point) == ("int8", (1, 2), 1 / 256, -128)
    assert (report.subgraphs, report.tensors, report.weight_bytes) == (1, 89, 218_928)
    assert (report.schema_version, report.description) == (3, "TOCO Converted.")


def test_inspect_mlperf_models_same_macs_in_int8_and_float(shared_model):
    integer, floating = (
        inspect_flatbuffer(shared_model("vww_96_int8")),
        inspect_flatbuffer(shared_model("vww_96_float")),
    )
    assert integer.macs == floating.macs == 7_489_664
    assert integer.flatbuffer_bytes == 333_288
    assert OpUse(name="FULLY_CONNECTED", version=4, count=1) in integer.ops
    assert (floating.inputs[0].dtype, floating.inputs[0].scale, floating.inputs[0].zero_point) == (
        "float32",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("op", "shapes", "macs"),
    [
        ("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 4), (1, 8, 8, 6)], 8 * 8 * 6 * 3 * 3 * 4),
        ("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 2), (1, 8, 8, 6)], 8 * 8 * 6 * 3 * 3 * 2),  # two groups
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 5, 8), (1, 4, 4, 8)], 4 * 4 * 8 * 3 * 5),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5), (1, 4, 4, 4, 5)], 4 * 4 * 4 * 5 * 27 * 2),
        ("FULLY_CONNECTED", [(1, 10), (3, 10), (1, 3)], 30),
        ("TRANSPOSE_CONV", [(4,), (6, 2, 2, 3), (1, 4, 4, 3), (1, 8, 8, 6)], 4 * 4 * 3 * 6 * 2 * 2),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5), (2, 3, 5)], 2 * 3 * 4 * 5),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5), (2, 3, 5)], 2 * 3 * 4 * 5),  # the left one transposed
        ("RESHAPE", [(1, 4), (1, 4)], 0),
    ],
)
def test_inspect_one_operator_counts_macs_by_its_layout(model_spec, op, shapes, macs):
    report = inspect_flatbuffer(model_spec(op, *shapes))
    assert report.macs == macs
    (layer,) = report.layers
    assert (layer.output_shape, layer.macs) == (shapes[-1], macs)


def test_inspect_unknown_batch_counts_as_one(model_spec):
    assert inspect_flatbuffer(model_spec("FULLY_CONNECTED", (-1, 10), (3, 10), (-1, 3))).macs == 30


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        ("CONV_2D", [(1, 8, 8, 4), (1, 8, 8, 6)]),
        ("CONV_2D", [(1, 8, 8, 4), (6, 3), (1, 8, 8, 6)]),
        ("BATCH_MATMUL", [(4,), (4, 5), (5,)]),
    ],
    ids=["no filter", "filter of another rank", "vectors"],
)
def test_inspect_operator_without_its_tensors_is_damaged(model_spec, op, shapes):
    with pytest.raises(ModelError, match=op) as caught:
        inspect_flatbuffer(model_spec(op, *shapes))
    assert caught.value.expected is not None
    assert caught.value.hint is not None


def test_inspect_operator_without_output_is_damaged(reshape_model):
    spec = reshape_model()
    spec.operators[0].name, spec.operators[0].outputs = "CONV_2D", []
    with pytest.raises(ModelError, match="output 0"):
        inspect_flatbuffer(spec.build())


def test_inspect_custom_operator_has_its_own_name(model_spec):
    (use,) = inspect_flatbuffer(model_spec("TFLite_Detection_PostProcess", (1, 4), (1, 4))).ops
    assert use == OpUse(name="TFLite_Detection_PostProcess", version=1, count=1, custom=True)


def test_inspect_operator_code_above_127_is_read_from_the_newer_field(model_spec):
    (use,) = inspect_flatbuffer(model_spec("GELU", (1, 4), (1, 4))).ops
    assert use.name == "GELU"


def test_inspect_several_subgraphs_reports_the_main_one_and_the_operators_of_all(reshape_model):
    report = inspect_flatbuffer(reshape_model(bodies=[["MUL"], ["MUL", "MyOp"]]).build())
    assert report.subgraphs == 3
    assert report.ops == (
        OpUse(name="RESHAPE", version=1, count=1),
        OpUse(name="MUL", version=1, count=2),
        OpUse(name="MyOp", version=1, count=1, custom=True),
    )
    assert [layer.op for layer in report.layers] == ["RESHAPE"]


def test_inspect_metadata_is_no_weight(reshape_model):
    assert inspect_flatbuffer(reshape_model(metadata=[bytes(1000)]).build()).weight_bytes == 8


def test_inspect_report_survives_json(shared_model):
    report = inspect_flatbuffer(shared_model("person_detect"))
    assert type(report).from_json(report.to_json()) == report


def test_inspect_layers_hold_the_weights_and_the_activations_of_every_operator(shared_model):
    report = inspect_flatbuffer(shared_model("person_detect"))
    assert len(report.layers) == 31
    assert sum(layer.weight_bytes for layer in report.layers) == report.weight_bytes == 218_928
    first = report.layers[0]
    assert (first.op, first.output_shape, first.output_bytes) == ("DEPTHWISE_CONV_2D", (1, 48, 48, 8), 48 * 48 * 8)
    assert first.weight_bytes == 3 * 3 * 8 + 4 * 8
    assert (report.layers[-1].op, report.layers[-1].macs, report.layers[-1].output_bytes) == ("SOFTMAX", 0, 2)


@pytest.mark.parametrize(("dtype", "size"), [("FLOAT32", 40), ("INT16", 20), ("BOOL", 10), ("STRING", 0)])
def test_inspect_output_bytes_follow_from_the_type(reshape_model, dtype, size):
    spec = reshape_model()
    spec.tensors[2].dtype, spec.tensors[2].shape = dtype, (1, 10)
    assert inspect_flatbuffer(spec.build()).layers[0].output_bytes == size
