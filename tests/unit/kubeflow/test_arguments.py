"""Arguments of a step that the launcher would not write: each ends in one line."""

import json

import pytest

from components.errors import ConfigError
from components.kubeflow.arguments import parse_inputs_spec, parse_invocation

OUTPUTS = {
    "outputFile": "/tmp/kfp_outputs/output_metadata.json",
    "artifacts": {"out": {"artifacts": [{"uri": "gs://b"}]}},
}


def with_input(artifact):
    return {"inputs": {"artifacts": {"model": {"artifacts": [artifact]}}}, "outputs": OUTPUTS}


def test_parse_invocation_gives_the_whole_of_it():
    given = {**with_input({"uri": "gs://b/in", "type": {"instanceSchema": ""}, "name": "7"}), "more": 1}
    assert parse_invocation(json.dumps(given)) == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the step's invocation: Input should be an object; received []"),
        ({"inputs": {}}, "the step's invocation: outputs: Field required"),
        ({"outputs": {"artifacts": {}}}, "the step's invocation: outputs.outputFile: Field required"),
        (with_input({"name": "7"}), "the step's invocation, input model: uri: Field required"),
        (with_input({"uri": ""}), "the step's invocation, input model: uri: String should have at least 1 character"),
        (
            {"outputs": {**OUTPUTS, "artifacts": {"out": {"artifacts": [{}]}}}},
            "the step's invocation, output out: uri: Field required",
        ),
    ],
)
def test_parse_invocation_of_another_form_names_the_place(given, message):
    with pytest.raises(ConfigError) as raised:
        parse_invocation(json.dumps(given))
    assert raised.value.message.startswith(message)
    assert "\n" not in raised.value.message


def test_parse_inputs_spec_without_a_type_names_the_input():
    with pytest.raises(ConfigError, match=r"the step's inputs: artifacts\.model\.artifactType: Field required"):
        parse_inputs_spec('{"artifacts": {"model": {}}}')
