"""A release's statement and signature, held against the release that they stand in."""

import json

import pytest

from components.pusher.provenance.side_files import find_provenance_problems
from components.pusher.release import ENVELOPE_NAME, MANIFEST_NAME, SIDE_FILES, STATEMENT_NAME


@pytest.fixture
def problems_of(local_store, public_key):
    def find(manifest, *key_files):
        return find_provenance_problems(local_store, manifest, tuple(map(public_key, key_files)))

    return find


def read(local_store, manifest, name):
    return local_store.read_file(manifest.model, manifest.version, name)


def test_provenance_signed_release_has_no_problem(publish, problems_of, key_file, local_store):
    manifest = publish("a", key_file)
    assert local_store.verify(manifest.model, manifest.version) == []
    assert problems_of(manifest, key_file) == problems_of(manifest) == []


def test_provenance_unsigned_release_has_a_problem_only_where_a_key_is_asked_for(publish, problems_of, key_file):
    manifest = publish("a")
    assert problems_of(manifest) == []
    assert problems_of(manifest, key_file) == ["it is not signed"]


def test_provenance_release_of_another_key_is_a_problem(publish, problems_of, key_file, other_key_file):
    (problem,) = problems_of(publish("a", key_file), other_key_file)
    assert "signed by another key" in problem


@pytest.mark.parametrize("name", SIDE_FILES[:2])
def test_provenance_edited_side_file_is_named(publish, problems_of, overwrite, local_store, key_file, name):
    manifest = publish("a", key_file)
    overwrite(manifest, name, read(local_store, manifest, name) + b" ")
    (problem,) = problems_of(manifest, key_file)
    assert problem.startswith(f"provenance.json speaks of another {name}")


def test_provenance_edited_manifest_is_noticed(publish, problems_of, overwrite, local_store, key_file):
    manifest = publish("a", key_file)
    edited = read(local_store, manifest, MANIFEST_NAME).replace(b'"value": 0.925', b'"value": 0.985')
    overwrite(manifest, MANIFEST_NAME, edited)
    (problem,) = problems_of(manifest, key_file)
    assert problem.startswith("provenance.json speaks of another manifest.json")


def test_provenance_edited_statement_is_noticed(publish, problems_of, overwrite, local_store, key_file):
    manifest = publish("a", key_file)
    edited = read(local_store, manifest, STATEMENT_NAME).replace(b'"fingerprint": "f"', b'"fingerprint": "g"')
    overwrite(manifest, STATEMENT_NAME, edited)
    assert problems_of(manifest, key_file) == ["provenance.intoto.jsonl signs another statement than provenance.json"]


def test_provenance_that_is_no_statement_is_a_problem(publish, problems_of, overwrite):
    manifest = publish("a")
    overwrite(manifest, STATEMENT_NAME, b'{"_type": "https://in-toto.io/Statement/v0.1"}')
    assert problems_of(manifest) == ["provenance.json is no in-toto statement with a SLSA provenance"]


def test_provenance_signature_of_another_release_is_a_problem(publish, problems_of, overwrite, local_store, key_file):
    one, other = publish("a", key_file), publish("b", key_file)
    overwrite(one, ENVELOPE_NAME, read(local_store, other, ENVELOPE_NAME))
    assert problems_of(one, key_file) == ["provenance.intoto.jsonl signs another statement than provenance.json"]


def test_provenance_and_signature_of_another_release_are_a_problem(
    publish, problems_of, overwrite, local_store, key_file
):
    one, other = publish("a", key_file), publish("b", key_file)
    for name in (STATEMENT_NAME, ENVELOPE_NAME):
        overwrite(one, name, read(local_store, other, name))
    (problem,) = problems_of(one, key_file)
    assert problem.startswith("provenance.json speaks of another manifest.json")


def test_statement_names_every_file_and_every_material(publish, local_store, key_file):
    manifest = publish("a", key_file)
    statement = json.loads(read(local_store, manifest, STATEMENT_NAME))
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    named = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    assert named.keys() == {*manifest.files, MANIFEST_NAME, "MODEL_CARD.md", "sbom.cdx.json"}
    assert {name: named[name] for name in manifest.files} == {n: d.sha256 for n, d in manifest.files.items()}
    predicate = statement["predicate"]
    assert predicate.keys() == {"buildDefinition", "runDetails"}
    definition = predicate["buildDefinition"]
    assert [material["name"] for material in definition["resolvedDependencies"]] == [
        "dataset", "split", "label-rule", "calibration",
    ]  # fmt: skip
    assert all(material["digest"] for material in definition["resolvedDependencies"])
    config = definition["externalParameters"]["config"]["digest"]["sha256"]
    assert config == manifest.files["config.yaml"].sha256
    assert predicate["runDetails"]["metadata"] == {
        "invocationId": "20261122T030405",
        "startedOn": "2026-11-22T03:00:00Z",
        "finishedOn": "2026-11-22T03:04:05Z",
    }
