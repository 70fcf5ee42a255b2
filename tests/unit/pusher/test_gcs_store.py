"""What a bucket adds to the promises of every store: kills between requests, lost answers, refused access."""

import os
import signal
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from google.cloud.storage import Client

from components.errors import ReleaseError, StorageError
from components.pusher.release_store import open_store


def object_names(uri):
    return [blob.name for blob in Client(project=None).list_blobs(uri.removeprefix("gs://"))]


def after_requests(count, action):
    """Has `action(send)` take the place of this process's n-th HTTP request."""
    send = requests.adapters.HTTPAdapter.send
    sent = 0

    def counting_send(self, request, **options):
        nonlocal sent
        sent += 1
        really_send = lambda: send(self, request, **options)  # noqa: E731
        return action(really_send) if sent == count else really_send()

    requests.adapters.HTTPAdapter.send = counting_send


def die(send):
    os.kill(os.getpid(), signal.SIGKILL)


def send_and_die(send):
    send()
    die(send)


@pytest.mark.parametrize("action", [die, send_and_die])
def test_kill_at_any_request_of_a_promotion_leaves_old_or_new_state(bucket_uri, stage, in_child, action):
    old, new = stage("old"), stage("new")
    states = set()
    request = 0
    while True:
        request += 1
        uri = f"{bucket_uri}/{request}"
        store = open_store(uri)
        store.publish(*old)
        store.point_latest(old.model, old.version, expected_previous=None)
        if in_child(lambda uri=uri, request=request: promote_until(uri, old, new, request, action)) == 0:
            break
        versions = {release.version for release in store.list_releases()}
        assert versions in ({old.version}, {old.version, new.version}), f"killed at request {request}"
        latest = store.latest(old.model)
        assert latest in versions
        assert all(store.verify(old.model, version) == [] for version in versions)
        states.add((len(versions), latest == new.version))

        store.check_usable(new.model)
        store.publish(*new)
        store.point_latest(new.model, new.version, expected_previous=latest)
        assert store.verify(new.model, new.version) == []
    assert request > 8
    assert states == {(1, False), (2, False)} | ({(2, True)} if action is send_and_die else set())


def promote_until(uri, old, new, request, action):
    store = open_store(uri)
    after_requests(request, action)
    store.publish(*new)
    store.point_latest(new.model, new.version, expected_previous=old.version)


def test_point_latest_of_two_at_once_one_wins(bucket_uri, stage, race):
    store = open_store(bucket_uri)
    base, *rivals = [stage(str(number)) for number in range(3)]
    for staged in (base, *rivals):
        store.publish(*staged)
    store.point_latest(base.model, base.version, expected_previous=None)

    for _ in range(20):
        before = store.latest(base.model)
        codes = race(*(partial(promote, bucket_uri, rival, before) for rival in rivals))
        assert sorted(codes) == [0, 3]
        winner = rivals[codes.index(0)]
        assert store.latest(base.model) == winner.version
        store.point_latest(base.model, base.version, expected_previous=winner.version)


def promote(uri, staged, before):
    open_store(uri).point_latest(staged.model, staged.version, expected_previous=before)


def lose_answer(send):
    send()
    raise requests.ConnectionError("the answer was lost")


@pytest.mark.parametrize("request_number", [2, 6], ids=["first file", "manifest"])
def test_publish_upload_whose_answer_is_lost_counts_as_written(bucket_uri, stage, in_child, request_number):
    staged = stage()

    def publish():
        store = open_store(bucket_uri)
        after_requests(request_number, lose_answer)
        assert not store.publish(*staged).already_published

    assert in_child(publish) == 0
    assert open_store(bucket_uri).verify(staged.model, staged.version) == []


def test_point_latest_whose_answer_is_lost_counts_as_won(bucket_uri, stage, in_child):
    staged = stage()
    open_store(bucket_uri).publish(*staged)

    def point():
        store = open_store(bucket_uri)
        after_requests(3, lose_answer)  # after the manifest and the pointer were read
        store.point_latest(staged.model, staged.version, expected_previous=None)

    assert in_child(point) == 0
    assert open_store(bucket_uri).latest(staged.model) == staged.version


def test_publish_leftover_object_of_other_content_is_not_overwritten(bucket_uri, stage):
    staged = stage()
    key = f"{staged.model}/{staged.version}/labels.txt"
    blob = Client(project=None).bucket(bucket_uri.removeprefix("gs://")).blob(key)
    blob.upload_from_string(b"junk")
    store = open_store(bucket_uri)
    with pytest.raises(ReleaseError, match="in the way of a release"):
        store.publish(*staged)
    assert blob.download_as_bytes() == b"junk"
    assert store.list_releases() == ()


def test_check_usable_leaves_no_object(bucket_uri):
    open_store(f"{bucket_uri}/prefix/").check_usable("person_detect")
    assert object_names(bucket_uri) == []


def test_missing_bucket_is_named_with_the_next_step(bucket_uri, stage):
    store = open_store("gs://no-such-bucket/prefix")
    staged = stage()
    for work in (
        lambda: store.check_usable("person_detect"),
        store.list_releases,
        lambda: store.publish(*staged),
        lambda: store.read_manifest(staged.model, staged.version),
    ):
        with pytest.raises(StorageError, match="gs://no-such-bucket/prefix: there is no such bucket") as caught:
            work()
        assert "buckets create" in (caught.value.hint or "")


@pytest.fixture
def refusing_server(monkeypatch):
    """A server that answers every request with 403."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_error(403)

        do_POST = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def test_refused_access_is_named_with_the_role(refusing_server, stage):
    store = open_store("gs://bucket/prefix")
    staged = stage()
    for work in (lambda: store.check_usable("person_detect"), store.list_releases, lambda: store.publish(*staged)):
        with pytest.raises(StorageError, match="access was refused") as caught:
            work()
        assert "roles/storage.objectUser" in (caught.value.hint or "")


def test_missing_credentials_are_named_with_the_login(monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StorageError, match="no usable Google Cloud credentials") as caught:
        open_store("gs://bucket/prefix")
    assert "application-default login" in (caught.value.hint or "")
