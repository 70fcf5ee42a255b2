import re
from pathlib import Path

import pytest

from components.errors import ReleaseError
from components.micro_operators import ADD_METHODS
from components.pusher.c_bundle.op_resolver import add_methods
from components.quantization.records import OpUse

# What Register_... builds beyond the schema's operators: custom ones, and a reference variant.
NOT_BUILTIN = {"BASIC_CLASSIFIER", "CIRCULAR_BUFFER", "DECODE", "DETECTION_POSTPROCESS", "ETHOSU", "L2NORM_REF"}


def test_add_methods_table_is_that_of_the_installed_interpreter():
    import tflite_micro

    (library,) = (Path(tflite_micro.__path__[0]) / "python").glob("**/_runtime.so")
    symbols = re.findall(rb"_ZN6tflite(?:5micro)?\d+Register_([A-Z0-9_]+?)Ev\b", library.read_bytes())
    assert {symbol.decode() for symbol in symbols} - NOT_BUILTIN == set(ADD_METHODS)


def test_add_methods_table_names_operators_of_the_schema():
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert [name for name in ADD_METHODS if not hasattr(BuiltinOperator, name)] == []
    assert len(set(ADD_METHODS.values())) == len(ADD_METHODS)


def test_add_methods_versions_of_one_operator_are_added_once():
    ops = [OpUse(name="SOFTMAX", version=2, count=1), *(OpUse(name="CONV_2D", version=v, count=1) for v in (1, 3))]
    assert add_methods(ops) == ("AddConv2D", "AddSoftmax")


@pytest.mark.parametrize(("name", "custom"), [("ERF", False), ("CONV_2D", True)])
def test_add_methods_operator_without_one_is_refused(name, custom):
    with pytest.raises(ReleaseError, match=f"received {name}"):
        add_methods([OpUse(name=name, version=1, count=1, custom=custom)])
