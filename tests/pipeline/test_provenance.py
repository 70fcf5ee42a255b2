"""Where the release of a real run came from: its statement, its signature, ML Metadata, and the way back."""

import hashlib
import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from components.errors import ReleaseError
from components.example_gen.plan import plan_dataset
from components.pusher.code_version import code_version
from components.pusher.manifest import read_manifest
from components.pusher.provenance.keys import generate_key
from components.pusher.provenance.model_card import render_model_card
from pipeline.console import RunView
from pipeline.run import run_pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def statement(released):
    return json.loads((released.release / "provenance.json").read_text())


@pytest.fixture(scope="module")
def key(released):
    return Path(released.config.release.signing_key)


@pytest.fixture(scope="module")
def splits(released):
    """Split by image id, from the plan."""
    return {image.record.source_id: image.split for image in plan_dataset(released.config.data).records}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_statement_subjects_are_the_files_that_lie_there(released, statement):
    there = {
        str(path.relative_to(released.release)): sha256(path) for path in released.release.rglob("*") if path.is_file()
    }
    for name in ("provenance.json", "provenance.intoto.jsonl"):
        del there[name]
    assert {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]} == there


def test_statement_names_the_code_and_the_lock_that_ran(statement):
    code = code_version()
    if code.commit is None:
        pytest.skip("the tests do not run from a checkout")
    materials = {m["name"]: m for m in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    commit = materials["code"]["digest"]["gitCommit"]  # there may be a newer one by now
    kind = subprocess.run(["git", "cat-file", "-t", commit], cwd=ROOT, check=True, capture_output=True, text=True)
    assert kind.stdout == "commit\n"
    assert materials["uv.lock"]["digest"] == {"sha256": code.lock_sha256}


def test_statement_run_is_that_of_ml_metadata_which_holds_the_same_links(released, statement):
    run_id = statement["predicate"]["runDetails"]["metadata"]["invocationId"]
    connection = sqlite3.connect(f"file:{released.root}/metadata.sqlite?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT a.uri, p.name, p.string_value FROM Context c JOIN Attribution b ON b.context_id = c.id"
        " JOIN Artifact a ON a.id = b.artifact_id JOIN ArtifactProperty p ON p.artifact_id = a.id WHERE c.name = ?",
        (run_id,),
    ).fetchall()
    connection.close()
    pushed = {name: value for uri, name, value in rows if "/pushed_model/" in uri}
    flatbuffer = released.manifest["golden"]["flatbuffer"]
    assert (
        pushed.items()
        >= {
            "pushed_version": released.release.name,
            "pushed_destination": str(released.release),
            "manifest_sha256": sha256(released.release / "manifest.json"),
            "flatbuffer_sha256": sha256(released.release / flatbuffer),
        }.items()
    )
    examples = {name: value for uri, name, value in rows if "/examples/" in uri}
    dataset = released.manifest["dataset"]
    assert examples.items() >= {key: dataset[key] for key in ("digest", "split_digest", "fingerprint")}.items()


def test_manifest_split_digest_is_the_sum_over_ids_and_splits(splits, released):
    total = sum(
        int.from_bytes(hashlib.sha256(f"{split}\0{source_id}".encode()).digest(), "big")
        for source_id, split in splits.items()
    )
    assert released.manifest["dataset"]["split_digest"] == f"{total % 2**256:064x}"


def test_release_is_verified_by_its_key_and_by_no_other(released, vww, key, tmp_path):
    code, stdout, _ = vww("releases", "verify", "tiny", "--uri", released.uri, "--key", f"{key}.pub")
    assert code == 0
    assert f"signed by key {released.manifest['signing_key_id'][:12]}\n" in stdout
    other = tmp_path / "other.key"
    assert vww("releases", "keygen", other)[0] == 0
    code, stdout, stderr = vww("releases", "verify", "tiny", "--uri", released.uri, "--key", f"{other}.pub")
    assert code == 1
    assert "was signed by another key" in stderr


def test_private_key_stands_nowhere_that_the_run_wrote(released, key):
    secret = key.read_text().splitlines()[1].encode()
    found = [path for path in released.root.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert found == []


def test_model_card_is_a_function_of_the_manifest(released):
    card = (released.release / "MODEL_CARD.md").read_text()
    assert card == render_model_card(read_manifest(released.release))
    assert "drawn for these tests" in card


def test_whence_compiled_c_array_comes_from_the_release(released, vww, tmp_path):
    source = next(released.release.glob("*_model_data.cc"))
    compiled = tmp_path / "firmware.o"
    subprocess.run(["g++", "-c", source, "-o", compiled], check=True)
    code, stdout, stderr = vww("whence", compiled, "--uri", released.uri, "--json")
    (origin,) = json.loads(stdout)
    assert (code, stderr) == (0, "")
    assert (origin["release"], origin["version"]) == (str(released.release), released.release.name)
    assert [match["sha256"] for match in origin["matches"]] == [sha256(released.release / origin["matches"][0]["file"])]
    assert origin["run"] == released.manifest["run"]
    assert origin["metadata"] == f"{released.root}/metadata.sqlite"


def test_run_over_a_release_that_no_trusted_key_signed_is_refused_before_it_starts(released, tiny_config, tmp_path):
    key = tmp_path / "other.key"
    generate_key(key)
    own = [f"release.uri={released.uri}", f"release.signing_key={key}", f"release.trusted_keys=[{key}.pub]"]
    config = tiny_config(released.data, tmp_path / "run", *own)
    with pytest.raises(ReleaseError, match="was signed by another key"), RunView() as view:
        run_pipeline(config, view, None)
