import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import ReleaseError
from components.pusher.manifest import FORMAT_VERSION, parse_manifest


def test_manifest_json_is_deterministic_and_reads_back(manifest):
    text = manifest.to_json()
    assert parse_manifest(text, "manifest.json") == manifest
    assert parse_manifest(text, "manifest.json").to_json() == text
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format_version",), FORMAT_VERSION + 1, f"format_version={FORMAT_VERSION + 1}"),
        (("format_version",), str(FORMAT_VERSION), f"format_version='{FORMAT_VERSION}'"),
        (("format_version",), True, "format_version"),
        (("version",), 7, "version: Input should be a valid string"),
        (("surprise",), 1, "surprise: Extra inputs are not permitted"),
        (("created_utc",), "yesterday", "created_utc"),
        (("files",), {"../x": {"sha256": "0" * 64, "size_bytes": 1}}, "stays in the release"),
        (("files",), {"x": {"sha256": "0", "size_bytes": 1}}, r"files\.x\.sha256"),
        (("files",), {"x": {"sha256": "0" * 64, "size_bytes": -1}}, r"files\.x\.size_bytes"),
        (
            ("figures", "int8_metrics", "eval", "accuracy"),
            "0.9",
            r"int8_metrics\.eval\.accuracy",
        ),
        (("gates", 0, "comparison"), ">", r"gates\.0\.comparison"),
        (("calibration", "count"), 3, "count: expected 2"),
        (("footprint",), None, "footprint"),
    ],
)
def test_parse_manifest_wrong_value_is_refused_by_its_path(manifest, path, value, words):
    fields = json.loads(manifest.to_json())
    place = fields
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ReleaseError, match=words) as caught:
        parse_manifest(json.dumps(fields), "releases/m/v/manifest.json")
    assert caught.value.message.startswith("releases/m/v/manifest.json")
    assert caught.value.hint is not None


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000, "NaN,"])
def test_parse_manifest_no_json_is_refused(text):
    with pytest.raises(ReleaseError, match="is no JSON"):
        parse_manifest(text, "manifest.json")


@pytest.mark.parametrize("text", ["[]", "null", "1", "{}", '"text"'])
def test_parse_manifest_other_json_is_refused(text):
    with pytest.raises(ReleaseError, match="format_version=None"):
        parse_manifest(text, "manifest.json")


def edits(length):
    """(position, how many bytes go, what comes in their place): one byte changed, left out or added."""
    one = st.binary(min_size=1, max_size=1)
    return st.tuples(st.integers(0, length - 1), st.sampled_from([0, 1]), st.one_of(one, st.just(b""))).filter(
        lambda edit: edit[1] or edit[2]
    )


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parse_manifest_any_edit_of_one_byte_is_refused(manifest, data):
    original = manifest.to_json().encode()
    position, gone, added = data.draw(edits(len(original)))
    edited = original[:position] + added + original[position + gone :]
    if edited != original:
        with pytest.raises(ReleaseError):
            parse_manifest(edited.decode(errors="replace"), "manifest.json")


def test_parse_manifest_edited_figure_is_named_as_an_edit(manifest):
    edited = manifest.to_json().replace('"accuracy": 0.925', '"accuracy": 0.925000001', 1)
    with pytest.raises(ReleaseError, match="was edited") as caught:
        parse_manifest(edited, "manifest.json")
    assert "content_sha256" in (caught.value.expected or "")


def test_parse_manifest_number_beyond_all_numbers_is_refused(manifest):
    edited = manifest.to_json().replace('"threshold": 0.50390625', '"threshold": 1e999', 1)
    with pytest.raises(ReleaseError, match="is not what a manifest holds"):
        parse_manifest(edited, "manifest.json")


def test_manifest_number_that_json_cannot_hold_is_refused(manifest):
    metrics = manifest.figures.int8_metrics["eval"]
    with pytest.raises(ValueError, match="finite"):
        type(metrics)(examples=1, accuracy=float("nan"), auc=None)
