import json

from components.pusher.manifest import CodeRecord, Manifest, parse_manifest
from components.pusher.provenance.statement import render_statement
from components.pusher.release import FileDigest

CONFIG = {"config.yaml": FileDigest(sha256="b" * 64, size_bytes=20)}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def materials(manifest: Manifest):
    statement = json.loads(render_statement(manifest, {}))
    listed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {material.pop("name"): material for material in listed}


def test_statement_of_a_fine_tuned_release_names_code_lock_weights_and_baseline(manifest):
    code = CodeRecord(
        version="0.1.0", commit=COMMIT, dirty=True, repository="https://example.org/vww", lock_sha256="9" * 64
    )
    tuned = manifest.model_copy(
        update={"files": CONFIG, "code": code, "initial_weights_sha256": "7" * 64, "baseline": "0123456789ab"}
    )
    found = materials(tuned)
    assert found["code"] == {
        "uri": f"git+https://example.org/vww@{COMMIT}",
        "digest": {"gitCommit": COMMIT},
        "annotations": {"dirty": True, "version": "0.1.0"},
    }
    assert found["uv.lock"] == {"digest": {"sha256": "9" * 64}}
    assert found["initial-weights"] == {"digest": {"sha256": "7" * 64}}
    assert found["baseline"] == {"digest": {"vwwRelease": "0123456789ab"}}


def test_statement_of_what_was_searched_holds_the_choice(manifest):
    tuned = {"trainer.learning_rate": 0.01}
    statement = json.loads(render_statement(manifest.model_copy(update={"files": CONFIG, "tuned": tuned}), {}))
    assert statement["predicate"]["buildDefinition"]["internalParameters"] == {"tuned": tuned}


def test_statement_of_equal_manifests_is_the_same_bytes(manifest):
    one = manifest.model_copy(update={"files": CONFIG})
    assert render_statement(one, {}) == render_statement(parse_manifest(one.to_json(), "manifest.json"), {})
