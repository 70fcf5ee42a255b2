from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from components.options import Options


class Colour(StrEnum):
    GRAY = "gray"


class Left(Options):
    name: Literal["left"]
    size: int = 1


class Right(Options):
    name: Literal["right"]


class Settings(Options):
    count: int
    share: float = 0.5
    float_: float = Field(default=0.0, alias="float")
    colour: Colour = Colour.GRAY
    limit: float | None = None
    files: tuple[str, ...] = ()
    side: Annotated[Left | Right, Field(discriminator="name")] = Right(name="right")


def test_options_json_reads_back_equal():
    settings = Settings(count=0, float_=4e-5, limit=None, files=("a", "b"), side=Left(name="left", size=7))
    assert Settings.from_json(settings.to_json()) == settings


def test_options_json_of_equal_options_is_one_string():
    one = Settings(count=1, files=("a",), share=0.25)
    other = Settings(share=0.25, count=1, files=("a",), side=Right(name="right"))
    assert one.to_json() == other.to_json()
    assert one.to_json() != Settings(count=1, files=("b",), share=0.25).to_json()


def test_options_json_carries_the_name_that_a_person_writes():
    assert '"float":0.0' in Settings(count=1).to_json()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"count": 1, "cuont": 2}', "cuont"),
        ('{"share": 0.1}', "count"),
        ('{"count": "1"}', "count"),
        ('{"count": 1.0}', "count"),
        ('{"count": true}', "count"),
        ('{"count": 1, "share": "0.1"}', "share"),
        ('{"count": 1, "colour": "red"}', "colour"),
        ('{"count": 1, "files": "ab"}', "files"),
        ('{"count": 1, "side": {"name": "right", "size": 1}}', "size"),
        ('{"count": 1, "side": {"name": "up"}}', "side"),
    ],
)
def test_options_from_json_wrong_key_or_type_is_refused_by_its_place(text, place):
    with pytest.raises(ValidationError, match=place):
        Settings.from_json(text)


def test_options_whole_number_is_a_float_where_one_is_asked_for():
    assert Settings.from_json('{"count": 1, "share": 1}').share == 1.0


def test_options_are_frozen():
    settings = Settings(count=1)
    with pytest.raises(ValidationError, match="frozen"):
        settings.count = 2
