import json

import pytest

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
        (("int8_metrics", "eval", "accuracy"), "0.9", r"int8_metrics\.eval\.accuracy"),
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


def test_manifest_number_that_json_cannot_hold_is_refused(manifest):
    metrics = manifest.int8_metrics["eval"]
    with pytest.raises(ValueError, match="finite"):
        type(metrics)(examples=1, accuracy=float("nan"), auc=None)
