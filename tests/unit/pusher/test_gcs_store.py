"""What a bucket adds to the promises of every store: kills at any request, lost answers, refused access."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.cloud.storage import Client

from components.errors import ReleaseError, StorageError
from components.pusher import gcs_store
from components.pusher.channels import Channel, Channels
from components.pusher.gcs_store import GcsStore
from components.pusher.manifest import read_manifest
from components.pusher.release import MANIFEST_NAME, STATEMENT_NAME
from components.pusher.stores import open_store
from components.pusher.verification import find_release_problems
from tests.faults.proxy import KINDS, STAGES
from tests.faults.store import run_rounds


@pytest.fixture
def quick_retries(monkeypatch):
    """The client's patience, a hundredth of it."""
    monkeypatch.setattr(gcs_store, "_RETRY", gcs_store._retry(1.5).with_delay(initial=0.01, maximum=0.05))


def object_names(uri):
    return [blob.name for blob in Client(project=None).list_blobs(uri.removeprefix("gs://"))]


def object_at(uri, path):
    return Client(project=None).bucket(uri.removeprefix("gs://")).blob(path)


@pytest.mark.parametrize("stage_of_request", STAGES)
def test_kill_at_any_request_of_a_promotion_leaves_old_or_new_state(
    bucket_uri, proxy, stage, put, in_child, stage_of_request
):
    old, new = stage("old"), stage("new")
    states = set()
    request = 0
    while True:
        request += 1
        uri = f"{bucket_uri}/{request}"
        store = open_store(uri)
        store.publish(*old)
        put(store, old)

        def promote(uri=uri, request=request):
            proxy.kill(os.getpid(), request=request, stage=stage_of_request)
            child_store = open_store(uri)
            child_store.publish(*new)
            put(child_store, new, before=old.version)

        if in_child(promote) == 0:
            break
        versions = {release.version for release in store.list_releases()}
        assert versions in ({old.version}, {old.version, new.version}), f"killed at request {request}"
        held = store.channels(old.model).held(Channel.STAGING)
        assert held in versions
        assert all(store.verify(old.model, version) == [] for version in versions)
        states.add((len(versions), held == new.version))

        store.check_usable(new.model)
        store.publish(*new)
        put(store, new, before=held)
        assert store.verify(new.model, new.version) == []
        assert [entry.version for entry in store.channels(old.model).log] == [old.version, new.version]
    print(f"{request - 1} kills")
    assert request > 12
    assert states == {(1, False), (2, False)} | ({(2, True)} if stage_of_request == "after" else set())


def test_publish_and_move_whose_answers_are_lost_count_as_done(bucket_uri, proxy, stage, put, quick_retries):
    staged, lost = stage(), 0
    store = open_store(bucket_uri)
    proxy.fail(seed=1, rate=0.3, kinds=("lost answer",))
    assert not store.publish(*staged).already_published
    assert put(store, staged)
    lost = proxy.counts()["lost answer"]
    proxy.fail(rate=0)
    assert lost > 3
    assert store.verify(staged.model, staged.version) == []
    assert store.channels(staged.model).sequence == 1


def test_publish_overwrites_what_a_killed_publish_left(bucket_uri, stage):
    staged = stage()
    leftover = object_at(bucket_uri, f"{staged.model}/{staged.version}/labels.txt")
    leftover.upload_from_string(b"half a fi")
    store = open_store(bucket_uri)
    assert store.list_releases() == ()
    store.publish(*staged)
    assert store.verify(staged.model, staged.version) == []


def test_publish_large_file_goes_in_parts_and_through_a_bad_network(bucket_uri, proxy, stage, quick_retries, tmp_path):
    content = os.urandom(9 << 20)
    staged = stage(payload={"large.bin": content})
    store = open_store(bucket_uri)
    proxy.fail(seed=3, rate=0.2, kinds=("503", "reset", "truncated answer"))
    store.publish(*staged)
    proxy.fail(seed=4, rate=0.2, kinds=("503", "reset", "truncated answer"))
    store.fetch(staged.model, staged.version, tmp_path / "out")
    assert proxy.counts().total() - proxy.counts()["requests"] > 2
    assert (tmp_path / "out" / "large.bin").read_bytes() == content


def test_dead_network_is_an_error_in_time(bucket_uri, proxy, stage, monkeypatch, quick_retries):
    monkeypatch.setattr(gcs_store, "_TIMEOUT_S", (0.2, 0.2))
    staged = stage()
    store = open_store(bucket_uri)
    proxy.fail(rate=1.0, kinds=("silence",))
    for work in (
        lambda: store.publish(*staged),
        lambda: store.channels(staged.model),
        lambda: store.read_file(staged.model, staged.version, "labels.txt"),
        store.list_releases,
    ):
        started = time.monotonic()
        with pytest.raises(StorageError) as caught:
            work()
        assert "check the network" in (caught.value.hint or "")
        assert time.monotonic() - started < 5


def test_bucket_out_of_reach_for_a_while_is_waited_for_and_the_log_says_so(
    bucket_uri, proxy, stage, quick_retries, caplog
):  # fmt: skip
    staged = stage()
    store = open_store(bucket_uri)
    proxy.fail(rate=1.0, kinds=("503", "reset"))
    back = threading.Timer(0.5, proxy.fail, kwargs={"rate": 0})
    back.start()
    assert not store.publish(*staged).already_published
    back.join()
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) > 1
    assert told[0].startswith("the release store does not answer, tried again for 2 s at most: ")
    assert store.verify(staged.model, staged.version) == []


def test_bucket_that_asks_to_slow_down_for_too_long_is_an_error(bucket_uri, proxy, stage, quick_retries):
    store = open_store(bucket_uri)
    proxy.fail(rate=1.0, kinds=("429",))
    with pytest.raises(StorageError):
        store.publish(*stage())


def test_bucket_emptied_between_two_calls_is_named_and_can_be_filled_again(bucket_uri, stage, put):
    staged = stage()
    store = open_store(bucket_uri)
    seen = store.publish(*staged).seen
    for name in object_names(bucket_uri):
        object_at(bucket_uri, name).delete()
    for work in (
        lambda: put(store, staged),
        lambda: store.verify(staged.model, staged.version),
        lambda: store.read_file(staged.model, staged.version, "labels.txt"),
    ):
        with pytest.raises(ReleaseError, match=f"has no release {staged.version}"):
            work()
    assert seen.log == store.channels(staged.model).log == ()
    store.publish(*staged)
    assert put(store, staged)


def test_check_usable_leaves_no_object(bucket_uri):
    open_store(f"{bucket_uri}/prefix/").check_usable("person_detect")
    assert object_names(bucket_uri) == []


def test_missing_bucket_is_named_with_the_next_step(emulator, monkeypatch, stage):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    store = open_store("gs://no-such-bucket/prefix")
    staged = stage()
    for work in (
        lambda: store.check_usable("person_detect"),
        store.list_releases,
        lambda: store.channels("person_detect"),
        lambda: store.publish(*staged),
        lambda: store.read_manifest(staged.model, staged.version),
    ):
        with pytest.raises(StorageError, match="gs://no-such-bucket/prefix: there is no such bucket") as caught:
            work()
        assert "buckets create" in (caught.value.hint or "")


@pytest.fixture
def refuse(monkeypatch):
    """Starts a server that answers every request with one status and message, as Google's JSON API words them."""
    servers = []

    def start(status, message):
        class Refuse(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                content = json.dumps({"error": {"code": status, "message": message}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Refuse)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


ROLE = "roles/storage.objectUser"


@pytest.mark.parametrize(
    ("status", "message", "words", "hint"),
    [
        (401, "Invalid Credentials", "no usable Google Cloud credentials", "application-default login"),
        (403, "me@x does not have storage.objects.create access", "access was refused: .*objects.create", ROLE),
        (403, "The project to be billed is associated with a closed billing account", "closed billing account", ROLE),
        (404, "The specified bucket does not exist.", "there is no such bucket", "buckets create"),
        (400, "User project specified in the request is invalid.", "User project", "project that is not yours"),
    ],
    ids=["credentials", "permission", "project", "bucket", "user project"],
)
def test_refused_access_is_told_before_anything_is_written(refuse, stage, status, message, words, hint):
    refuse(status, message)
    store = open_store("gs://bucket/prefix")
    staged = stage()
    for work in (lambda: store.check_usable("person_detect"), store.list_releases, lambda: store.publish(*staged)):
        with pytest.raises(StorageError, match=words) as caught:
            work()
        assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("status", [404, 410])
def test_ended_upload_session_is_not_called_a_missing_bucket(monkeypatch, stage, status):
    class Expire(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(200, b"{}")

        def do_POST(self):
            host = f"http://127.0.0.1:{self.server.server_port}"
            self.answer(200, b"{}", Location=f"{host}/upload?uploadType=resumable&upload_id=1")

        def do_PUT(self):
            self.answer(status, b"")

        def answer(self, status, content, **headers):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Expire) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(GcsStore, "channels", lambda *_: Channels(model="person_detect"))
        with pytest.raises(StorageError, match="the session of an upload in parts has ended"):
            open_store("gs://bucket/prefix").publish(*stage(payload={"aaa.bin": bytes(9 << 20)}))
        server.shutdown()


def test_other_object_beside_is_told_and_side_files_of_a_lost_race_are_not(bucket_uri, stage):
    staged = stage()
    store = open_store(bucket_uri)
    store.publish(*staged)
    folder = f"{staged.model}/{staged.version}/beside-0123456789ab"
    object_at(bucket_uri, f"{folder}/{STATEMENT_NAME}").upload_from_string(b"of a run that lost")
    assert store.verify(staged.model, staged.version) == []
    object_at(bucket_uri, f"{folder}/payload.bin").upload_from_string(b"smuggled")
    assert store.verify(staged.model, staged.version) == ["beside-0123456789ab/payload.bin is not in the manifest"]


def test_missing_credentials_are_named_with_the_login(monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StorageError, match="no usable Google Cloud credentials") as caught:
        open_store("gs://bucket/prefix")
    assert "application-default login" in (caught.value.hint or "")


def test_bad_network_loses_nothing_and_shows_nothing_half_done(
    bucket_uri, emulator, proxy, stage, quick_retries, tmp_path
):
    # quick_retries, so that what the rounds set is set back; `python -m tests.faults.store` runs more of them.
    releases = (stage("old"), stage("new"))
    counts = run_rounds(proxy, emulator, bucket_uri.removeprefix("gs://"), releases, 8, tmp_path / "out", seed=0)
    print(dict(counts))
    assert counts["calls that failed"] > 2
    assert all(counts[kind] for kind in KINDS[:-1])


def test_publish_of_one_payload_by_two_runs_at_once_ends_with_the_files_of_one(bucket_uri, stage, monkeypatch):
    first, second = stage(), stage()
    (second.folder / MANIFEST_NAME).write_text(
        read_manifest(second.folder).model_copy(update={"created_utc": "2030-01-01T00:00:00Z"}).to_json()
    )
    (second.folder / STATEMENT_NAME).write_text("of the second run")
    write = GcsStore._write

    def write_after_the_other(self, key, file, generation):
        if key.endswith(MANIFEST_NAME) and file.parent == second.folder:
            assert not open_store(bucket_uri).publish(*first).already_published
        return write(self, key, file, generation)

    monkeypatch.setattr(GcsStore, "_write", write_after_the_other)
    store = open_store(bucket_uri)
    assert store.publish(*second).already_published
    assert find_release_problems(store, first.model, first.version) == []
