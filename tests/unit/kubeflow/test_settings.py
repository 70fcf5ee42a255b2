"""Inputs named `set__…`: where they are written, and what becomes of one that fits nowhere."""

import json

import pytest

from components.errors import ConfigError
from components.kubeflow.settings import apply_settings
from components.yaml_text import parse_yaml_text

OPTIONS = '{"images":"/a","splits":{"eval":0.25},"seed":1}'


def apply(whole=(), **parameters):
    return apply_settings(parameters, frozenset(whole))


def test_apply_settings_without_any_leaves_the_properties_alone():
    assert apply(options=OPTIONS, count=3.0) == {"options": OPTIONS, "count": 3.0}


def test_apply_settings_of_a_key_in_json_writes_it_back_as_options_do():
    found = apply(options=OPTIONS, set__options__images="gs://b/images")
    assert found == {"options": OPTIONS.replace("/a", "gs://b/images")}


def test_apply_settings_goes_through_json_within_json():
    config = json.dumps({"job": json.dumps({"trainer": {"epochs": 5, "alpha": 0.25}}), "gpus": 1})
    found = apply(whole=["set__custom_config__job__trainer__epochs"], custom_config=config,
                  set__custom_config__job__trainer__epochs=7.0)  # fmt: skip
    job = json.loads(found["custom_config"])["job"]
    assert json.loads(job) == {"trainer": {"epochs": 7, "alpha": 0.25}}
    assert '"epochs":7,' in job  # a whole number, though the driver gave a float


def test_apply_settings_goes_into_the_recorded_config_and_keeps_its_order():
    job = json.dumps({"config_yaml": "name: a\ndata:\n  images: /a\ntrainer: {learning_rate: 0.01}\n"})
    found = apply(job=job, set__job__config_yaml__data__images=["gs://b/1", "gs://b/2"])
    text = json.loads(found["job"])["config_yaml"]
    assert parse_yaml_text(text)["data"]["images"] == ["gs://b/1", "gs://b/2"]
    assert list(parse_yaml_text(text)) == ["name", "data", "trainer"]


def test_apply_settings_of_a_whole_property_replaces_it():
    assert apply(version="1", set__version="2") == {"version": "2"}


def test_apply_settings_sets_several_keys_of_one_property():
    found = apply(options=OPTIONS, set__options__images="/b", set__options__splits__eval=0.5)
    assert json.loads(found["options"]) == {"images": "/b", "splits": {"eval": 0.5}, "seed": 1}


def test_apply_settings_leaves_out_what_is_meant_for_the_driver():
    assert apply(**{"options": OPTIONS, "pipelinechannel--image": "registry/image:1"}) == {"options": OPTIONS}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("set__option__images", "one of count, options, text"),
        ("set__options__image", "one of images, seed, splits"),
        ("set__options__seed__low", "a section, not a single value"),
        ("set__count__low", "a section, not a single value"),
        ("set__text__low", "a section, not a single value"),
    ],
)
def test_apply_settings_where_nothing_is_names_the_parameter(name, expected):
    with pytest.raises(ConfigError, match=f"the parameter {name} sets what is not there") as raised:
        apply(**{"options": OPTIONS, "count": 3, "text": "no JSON", name: "x"})
    assert raised.value.expected == expected


def test_apply_settings_with_a_placeholder_left_by_the_driver_is_refused():
    with pytest.raises(ConfigError, match=r"set__job__run_id is still \{\{\$\.pipeline_job_uuid\}\}"):
        apply(job='{"run_id":""}', set__job__run_id="{{$.pipeline_job_uuid}}")


@pytest.mark.parametrize("value", [2.5, float("nan"), float("inf"), "2", True])
def test_apply_settings_of_no_whole_number_where_one_stood_is_refused(value):
    with pytest.raises(ConfigError, match=f"the parameter epochs is no whole number: received {value!r}"):
        apply(whole=["set__job__epochs"], job='{"epochs":5}', set__job__epochs=value)


@pytest.mark.parametrize("value", ["", [], {}])
def test_apply_settings_of_an_empty_value_names_the_parameter(value):
    with pytest.raises(ConfigError, match="the parameter images is empty"):
        apply(options=OPTIONS, set__options__images=value)
