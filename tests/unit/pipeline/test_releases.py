"""`vww releases`, on a store of small releases."""

import json
import subprocess
import sys

import pytest

from components.pusher.channels import Channel, Kind
from components.pusher.promotion import move
from components.pusher.provenance.keys import generate_key
from components.pusher.stores import open_store
from pipeline.cli import main
from tests.unit.pusher.conftest import CONFIG, MODEL, PAYLOAD, stage_release


@pytest.fixture
def vww(monkeypatch, capsys, tmp_path):
    """Runs the command's main in this process, on the store; gives exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vww", "releases", *arguments, "--uri", str(tmp_path / "store")])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def versions(store, tmp_path):
    """Three releases, staged in their turn; the second has another config and one file more."""
    payloads = ({}, {"config.yaml": CONFIG["config.yaml"] + b"seed: 2\n", "extra.txt": b"x"}, {})
    found, before = [], None
    for number, payload in enumerate(payloads):
        staged = stage_release(tmp_path / f"staged-{number}", str(number), MODEL, {**PAYLOAD, **payload})
        seen = store.publish(*staged).seen
        move(
            store, Channel.STAGING, staged.version, seen=seen, expected_previous=before, kind=Kind.PUBLISH,
            by=f"run {number}", manifest_sha256=store.manifest_digest(MODEL, staged.version),
        )  # fmt: skip
        before = staged.version
        found.append(staged.version)
    return found


def test_list_is_in_the_order_of_the_log_with_channels(vww, versions):
    code, stdout, _ = vww("list")
    rows = [line.split() for line in stdout.splitlines() if line.startswith(MODEL)]
    assert (code, [row[1] for row in rows]) == (0, versions)
    assert rows[2][2] == "staging"
    code, stdout, _ = vww("list", "--json")
    assert [(row["version"], row["channels"]) for row in json.loads(stdout)] == [
        (versions[0], []), (versions[1], []), (versions[2], ["staging"]),
    ]  # fmt: skip


def test_list_with_an_unreadable_manifest_shows_the_others_and_exits_1(vww, versions, tmp_path):
    manifest = tmp_path / "store" / MODEL / versions[1] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text('{"format_version": 2}')
    code, stdout, stderr = vww("list")
    assert code == 1
    assert all(version in stdout for version in versions)
    assert "unreadable" in stdout
    assert "1 of 3 releases" in stderr
    assert "format_version=2" in stderr
    code, stdout, _ = vww("list", "--json")
    rows = {row["version"]: row for row in json.loads(stdout)}
    assert code == 1
    assert "format_version=2" in rows[versions[1]]["unreadable"]
    assert rows[versions[2]]["channels"] == ["staging"]


def test_list_with_junk_for_channels_shows_the_releases_and_exits_1(vww, versions, tmp_path):
    (tmp_path / "store" / MODEL / "channels.json").write_text("junk")
    code, stdout, stderr = vww("list")
    assert code == 1
    assert all(version in stdout for version in versions)
    assert "channels.json is no JSON" in stderr


def test_promote_says_what_it_did_and_that_there_was_nothing_to_do(vww, versions, store):
    assert vww("promote", MODEL, versions[0], "--to", "production") == (
        0, f"{MODEL}: production holds {versions[0]} now\n", "",
    )  # fmt: skip
    assert vww("promote", MODEL, "staging", "--to", "production") == (
        0, f"{MODEL}: production holds {versions[2]} now instead of {versions[0]}\n", "",
    )  # fmt: skip
    assert vww("promote", MODEL, versions[2], "--to", "production") == (
        0, f"{MODEL}: production holds {versions[2]} already; nothing was changed\n", "",
    )  # fmt: skip
    assert store.channels(MODEL).log[-1].by.count("@") == 1


def test_promote_unsigned_release_under_a_key_is_refused(vww, versions, tmp_path):
    generate_key(tmp_path / "k")
    code, stdout, stderr = vww("promote", MODEL, versions[0], "--to", "production", "--key", str(tmp_path / "k.pub"))
    assert (code, stdout) == (1, "")
    assert "cannot be trusted: it is not signed" in stderr


def test_promote_to_an_unknown_channel_is_a_usage_error(vww, versions):
    code, _, stderr = vww("promote", MODEL, versions[0], "--to", "latest")
    assert code == 2
    assert "staging" in stderr
    assert "production" in stderr


def test_rollback_goes_back_and_the_log_shows_it(vww, versions):
    assert vww("rollback", MODEL, "--channel", "staging") == (
        0, f"{MODEL}: staging is back to {versions[1]} instead of {versions[2]}\n", "",
    )  # fmt: skip
    code, stdout, _ = vww("log", MODEL)
    rows = [line.split() for line in stdout.splitlines()[2:] if line.strip()]
    assert code == 0
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert rows[3][2:6] == ["rollback", "staging", versions[1], versions[2]]
    entries = json.loads(vww("log", MODEL, "--json")[1])
    assert [entry["kind"] for entry in entries] == ["publish"] * 3 + ["rollback"]
    code, _, stderr = vww("rollback", MODEL, "--channel", "production")
    assert code == 1
    assert "production has nothing to go back to" in stderr


def test_fetch_prints_the_folder_and_refuses_a_used_one(vww, versions, tmp_path):
    folder = tmp_path / "out"
    code, stdout, _ = vww("fetch", MODEL, "staging", str(folder))
    assert (code, stdout) == (0, f"{folder}\n")
    assert (folder / "mark.txt").read_text() == "2"
    code, _, stderr = vww("fetch", MODEL, "staging", str(folder))
    assert code == 1
    assert "is there already" in stderr


def test_fetch_under_a_key_refuses_a_release_that_it_did_not_sign(vww, versions, tmp_path):
    generate_key(tmp_path / "k")
    code, stdout, stderr = vww("fetch", MODEL, "staging", str(tmp_path / "out"), "--key", str(tmp_path / "k.pub"))
    assert (code, stdout) == (1, "")
    assert "cannot be trusted: it is not signed" in stderr
    assert not (tmp_path / "out").exists()


def test_verify_says_what_was_looked_at_and_names_what_is_wrong(vww, versions, store, tmp_path):
    code, stdout, _ = vww("verify", MODEL, versions[0])
    assert code == 0
    for words in ("7 files as the manifest says", "6 gates passed", "not signed", "2 golden vectors answered"):
        assert words in stdout
    assert json.loads(vww("verify", MODEL, versions[0], "--json")[1])["problems"] == []
    labels = tmp_path / "store" / MODEL / versions[0] / "labels.txt"
    labels.chmod(0o644)
    labels.write_text("person\n")
    code, stdout, stderr = vww("verify", MODEL, versions[0], "--json")
    assert (code, len(json.loads(stdout)["problems"])) == (1, 2)
    assert "cannot be trusted: labels.txt has 7 bytes" in stderr
    assert "its gates, statement, signature and golden vectors were not looked at" in stderr


def test_diff_shows_figures_fields_files_and_a_config_patch(vww, versions, tmp_path):
    code, stdout, _ = vww("diff", MODEL, versions[0], versions[1])
    assert code == 0
    assert "figures.int8_metrics.eval.accuracy" in stdout
    assert "footprint.flatbuffer_bytes" in stdout
    assert [line for line in stdout.splitlines() if line.startswith("extra.txt")]
    patch = stdout[stdout.index(f"--- {versions[0]}/config.yaml") :]
    (tmp_path / "config.yaml").write_bytes(CONFIG["config.yaml"])
    subprocess.run(["patch", "-p1"], input=patch, text=True, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "config.yaml").read_bytes() == CONFIG["config.yaml"] + b"seed: 2\n"
    found = json.loads(vww("diff", MODEL, versions[0], versions[1], "--json")[1])
    assert {row["path"] for row in found["files"]} == {"config.yaml", "extra.txt", "mark.txt"}
    assert found["fields"] == []
    assert json.loads(vww("diff", MODEL, "staging", versions[2], "--json")[1])["files"] == []


def test_gc_lists_and_removes_only_when_asked(vww, versions, store):
    code, stdout, stderr = vww("gc", MODEL, "--keep", "1")
    assert code == 0
    assert f"{versions[0]}   would go" in stdout
    assert "Nothing was removed: add --delete to free" in stderr
    assert len(store.list_releases()) == 3
    code, stdout, stderr = vww("gc", MODEL, "--keep", "1", "--delete", "--json")
    assert (code, stderr) == (0, "")
    assert [row["version"] for row in json.loads(stdout)["removed"]] == [versions[0]]
    assert [release.version for release in store.list_releases()] == sorted(versions[1:])
    assert vww("gc", MODEL, "--keep", "0")[0] == 2
