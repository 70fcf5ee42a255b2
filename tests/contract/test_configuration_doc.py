"""docs/configuration.md names every key of RunConfig, and no other, with its default."""

import re
import types
import typing
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from components.errors import ConfigError
from pipeline.config import RunConfig, read_config

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs/configuration.md"
# Defaults that the table explains in words: what the words say, and what the code must say for them to be true.
IN_WORDS = {
    "release.uri": ("`releases` below `run.root`", None),
    "release.trusted_keys": ("`[]`", ()),
    "data.licenses": ("`[]`", ()),
    "gates.int8.min_recall": ("`{}`", {}),
    "gates.int8.min_category_ap50": ("`{}`", {}),
    "gates.float.min_category_ap50": ("`{}`", {}),
    "trainer.detector.extra_filters": ("`[512, 256, 256, 128]`", (512, 256, 256, 128)),
    "trainer.detector.anchors.aspect_ratios": ("`[1, 2, 0.5, 3, 0.3333333333333333]`", (1.0, 2.0, 0.5, 3.0, 1 / 3)),
    "kubeflow.steps": ("`{}`", {}),
    "kubeflow.all_steps.node_selector": ("`{}`", {}),
    "kubeflow.all_steps.env": ("`{}`", {}),
    "kubeflow.all_steps.tolerations": ("`[]`", ()),
    "kubeflow.all_steps.volumes": ("`[]`", ()),
    "kubeflow.all_steps.secrets": ("`[]`", ()),
    "data.category": ("`person`", None),
    "data.label_rule": ("`slim`", None),
    "data.splits": ("0.8 train, 0.2 eval", None),
    "trainer.class_balance": ("`none`", "none"),
    "trainer.augmentation": ("`none`", "none"),
}
REQUIRED = object()


def model_defaults(model, prefix=""):
    """(path, default) of every leaf below a model, once for each variant of a union."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        default = info.get_default(call_default_factory=True)
        yield from _leaves(path, info.annotation, REQUIRED if default is PydanticUndefined else default)


def _leaves(path, annotation, default):
    variants = _models(annotation)
    if variants:
        if default is None:  # the section may be left out, or hold a name
            yield path, None
        for variant in variants:
            yield from model_defaults(variant, f"{path}.")
    else:
        yield path, default


def _models(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def doc_rows():
    """(keys, default) of every row of the table but the section titles."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \| .* ?\|$", DOC.read_text(), re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", keys), default) for keys, default in rows]


DOCUMENTED = [
    (key, default if len(keys) == 1 or default == "required" else default.split(", ")[place])
    for keys, default in doc_rows()
    for place, key in enumerate(keys)
]
ACTUAL: dict[str, list[object]] = {}
for _path, _default in model_defaults(RunConfig):
    ACTUAL.setdefault(_path, [])
    if _default not in ACTUAL[_path]:
        ACTUAL[_path].append(_default)


def test_configuration_doc_names_every_key_once_and_no_other():
    names = [key for key, _ in DOCUMENTED]
    assert sorted(names) == sorted(ACTUAL)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("key", "stated"), DOCUMENTED, ids=[key for key, _ in DOCUMENTED])
def test_configuration_doc_default_is_the_codes(key, stated):
    actual = ACTUAL[key]
    if key in IN_WORDS:
        assert (stated, actual) == (IN_WORDS[key][0], [IN_WORDS[key][1]])
    elif actual == [REQUIRED]:
        assert stated == "required"
    else:
        assert [_value(text) for text in stated.split(" / ")] == actual


def _value(text):
    text = text.strip("`").replace(",", "")
    if text == "none":
        return None
    value = yaml.safe_load(text)
    try:
        return float(text) if isinstance(value, str) else value  # YAML 1.1 takes 1e-7 for a word
    except ValueError:
        return text


@pytest.mark.parametrize("config", sorted(path.name for path in (ROOT / "pipeline/configs").glob("*.yaml")))
def test_shipped_config_is_read_and_says_what_it_means(config):
    has_folders = "format: image_folder" in (ROOT / "pipeline/configs" / config).read_text()
    overrides = ["data.images=images"] + ([] if has_folders else ["data.annotations=a.json"])
    read = read_config(str(ROOT / "pipeline/configs" / config), overrides)
    assert RunConfig.model_validate_json(read.model_dump_json(by_alias=True)) == read
    assert read.name == config.removesuffix(".yaml")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_that_keras_would_refuse_after_the_data_is_refused_before(seed):
    demo = str(ROOT / "pipeline/configs/demo.yaml")
    with pytest.raises(ConfigError, match=r"run\.seed"):
        read_config(demo, [f"run.seed={seed}"])
    assert read_config(demo, ["run.seed=4294967295"]).run.seed == 2**32 - 1
