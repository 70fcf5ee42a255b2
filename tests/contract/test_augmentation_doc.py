"""docs/augmentation.md names every change with all its parameters and their defaults."""

import re
import typing
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from components.trainer.augmentation.options import PRESETS, Change

DOC = (Path(__file__).parents[2] / "docs/augmentation.md").read_text()
CHANGES = typing.get_args(typing.get_args(Change)[0])


def name_of(change):
    (name,) = typing.get_args(change.model_fields["name"].annotation)
    return name


def cell(section, name):
    """The second cell of the row of that name."""
    text = DOC.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"^\| `{name}` \| (.*?) \|", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_augmentation_doc_row_has_every_parameter_with_its_default(change):
    found = re.findall(r"`(\w+)`(?: ([\d.]+))?", cell("Changes", name_of(change)))
    stated = {key: float(value) if value else None for key, value in found}
    actual = {
        key: None if info.default is PydanticUndefined else float(info.default)
        for key, info in change.model_fields.items()
        if key != "name"
    }
    assert stated == actual


@pytest.mark.parametrize("preset", PRESETS)
def test_augmentation_doc_says_what_a_preset_stands_for(preset):
    named = [
        word for word in re.findall(r"`(\w+)`", cell("Presets", preset)) if any(word == name_of(c) for c in CHANGES)
    ]
    assert named == [change.name for change in PRESETS[preset]]
