import re

import pytest

from components import errors
from components.errors import ConfigError, DataError, GateError, VwwError


def subclasses(cls):
    return [cls, *(below for child in cls.__subclasses__() for below in subclasses(child))]


CLASSES = [cls for cls in subclasses(VwwError) if cls.__module__ == errors.__name__]


def test_errors_tree_in_the_docstring_names_every_class():
    drawn = re.findall(r"^ +(?:[├└]── )?(\w+Error) ", errors.__doc__, re.MULTILINE)
    assert drawn == [cls.__name__ for cls in CLASSES]


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_exit_code_is_2_for_the_command_line_3_for_a_gate_and_1_otherwise(cls):
    assert cls.exit_code == {ConfigError: 2, GateError: 3}.get(cls, 1)
    assert issubclass(cls, VwwError)


def test_error_text_says_what_was_expected_and_what_to_do():
    error = DataError("instances.json: no `images`.", expected="a list", hint="pass --images DIR")
    assert str(error) == ("DataError: instances.json: no `images`.\n  expected: a list\n  hint: pass --images DIR")


def test_error_text_without_advice_is_one_line():
    assert str(DataError("cannot.")) == "DataError: cannot."


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("expected", "hint"), [(None, None), ("größer\nthan", '"quoted"')], ids=["bare", "full"])
def test_error_json_is_one_line_and_reads_back_as_the_same_class(cls, expected, hint):
    error = cls("first line\nsecond", expected=expected, hint=hint)
    text = error.to_json()
    again = VwwError.from_json(text)
    assert "\n" not in text
    assert type(again) is cls
    assert (again.message, again.expected, again.hint, str(again)) == (error.message, expected, hint, str(error))
