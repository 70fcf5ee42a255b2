"""What both back ends promise."""

import json

import pytest

from components.errors import ConfigError, ReleaseError
from components.pusher.channels import Channels
from components.pusher.manifest import FORMAT_VERSION, read_manifest
from components.pusher.release import MANIFEST_NAME, SIDE_FILES, hash_bytes
from components.pusher.release_store import PublishResult, Release
from components.pusher.sealed import SEAL, render_sealed
from components.pusher.stores import open_store


def test_publish_new_release_is_listed_readable_and_clean(store, stage):
    staged = stage()
    assert store.list_releases() == ()

    result = store.publish(*staged)

    uri = f"{store.uri}/{staged.model}/{staged.version}"
    digest = store.manifest_digest(staged.model, staged.version)
    assert result == PublishResult(
        uri, already_published=False, manifest_sha256=digest, seen=Channels(model=staged.model)
    )
    assert store.list_releases() == (Release(staged.model, staged.version),)
    assert store.list_releases(staged.model) == store.list_releases()
    assert store.list_releases("another_model") == ()
    assert store.read_manifest(staged.model, staged.version).files.keys() >= {"saved_model/variables/variables.index"}
    assert store.read_file(staged.model, staged.version, "labels.txt") == b"not-person\nperson\n"
    assert store.verify(staged.model, staged.version) == []
    assert store.channels(staged.model) == Channels(model=staged.model)


def test_publish_same_content_twice_writes_nothing(store, stage):
    first, second = stage(), stage()
    later = read_manifest(second.folder).model_copy(update={"created_utc": "2030-01-01T00:00:00Z"})
    (second.folder / MANIFEST_NAME).write_text(later.to_json())

    store.publish(*first)
    assert store.publish(*second).already_published
    assert store.read_manifest(first.model, first.version).created_utc.startswith("2026")


@pytest.mark.parametrize("content", [b"junk", None])
def test_publish_over_damaged_release_is_refused_and_changes_nothing(store, stage, tamper, content):
    staged = stage()
    store.publish(*staged)
    tamper(f"{staged.model}/{staged.version}/labels.txt", content)

    with pytest.raises(ReleaseError, match=r"damaged: labels\.txt"):
        store.publish(*staged)
    assert store.verify(staged.model, staged.version) != []


def test_publish_staged_file_changed_after_manifest_is_refused(store, stage):
    staged = stage()
    (staged.folder / "labels.txt").write_text("person\nnot-person\n")
    with pytest.raises(ReleaseError, match=r"labels\.txt has sha256"):
        store.publish(*staged)
    assert store.list_releases() == ()


def test_publish_under_another_version_is_refused(store, stage):
    staged = stage()
    with pytest.raises(ReleaseError, match="the manifest is that of"):
        store.publish(staged.model, "0123456789ab", staged.folder)
    assert store.list_releases() == ()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (("labels.txt", b"changed\n"), "labels.txt has 8 bytes instead of the manifest's 18"),
        (("labels.txt", b"not-person\nperson!"), "labels.txt has sha256"),
        (("labels.txt", None), "labels.txt is missing"),
        (("provenance.json", None), "provenance.json is missing"),
        (("saved_model/extra.pb", b"x"), "saved_model/extra.pb is not in the manifest"),
        ((MANIFEST_NAME, b"{"), "is no JSON"),
        ((MANIFEST_NAME, b'{"format_version": %d}' % (FORMAT_VERSION + 1)), f"format_version={FORMAT_VERSION + 1}"),
        ((MANIFEST_NAME, b'{"format_version": %d}' % FORMAT_VERSION), "model: Field required"),
    ],
)
def test_verify_names_each_problem(store, stage, tamper, damage, problem):
    staged = stage()
    store.publish(*staged)
    path, content = damage
    tamper(f"{staged.model}/{staged.version}/{path}", content)
    (found,) = store.verify(staged.model, staged.version)
    assert problem in found


def test_verify_release_in_wrong_place_names_its_own(store, stage, tamper):
    staged = stage()
    store.publish(*staged)
    for file in staged.folder.rglob("*"):
        if file.is_file():
            path = file.relative_to(staged.folder).as_posix()
            if path in SIDE_FILES and store.uri.startswith("gs://"):
                path = f"beside-{hash_bytes((staged.folder / MANIFEST_NAME).read_bytes()).sha256[:12]}/{path}"
            tamper(f"{staged.model}/0123456789ab/{path}", file.read_bytes())
    assert store.verify(staged.model, "0123456789ab") == [
        f"the manifest is that of {staged.model}/{staged.version}",
        f"the manifest's files make version {staged.version}",
    ]


def test_read_unknown_release_names_those_that_are_there(store, stage):
    with pytest.raises(ReleaseError, match="no release 0123456789ab of person_detect"):
        store.verify("person_detect", "0123456789ab")
    staged = stage()
    store.publish(*staged)
    with pytest.raises(ReleaseError) as caught:
        store.read_manifest(staged.model, "0123456789ab")
    assert caught.value.expected == f"one of {staged.version}"
    with pytest.raises(ReleaseError, match=r"has no file nothing\.txt"):
        store.read_file(staged.model, staged.version, "nothing.txt")


def test_fetch_copies_every_file(store, stage, tmp_path):
    staged = stage()
    store.publish(*staged)
    destination = tmp_path / "new" / "folder"
    store.fetch(staged.model, staged.version, destination)
    for file in staged.folder.rglob("*"):
        if file.is_file():
            assert (destination / file.relative_to(staged.folder)).read_bytes() == file.read_bytes()
    with pytest.raises(ReleaseError, match="is there already"):
        store.fetch(staged.model, staged.version, destination)


def test_fetch_damaged_release_leaves_no_folder(store, stage, tamper, tmp_path):
    staged = stage()
    store.publish(*staged)
    tamper(f"{staged.model}/{staged.version}/labels.txt", b"junk")
    with pytest.raises(ReleaseError, match=r"is damaged: labels\.txt has 4 bytes"):
        store.fetch(staged.model, staged.version, tmp_path / "out" / "here")
    assert list((tmp_path / "out").iterdir()) == []


def test_fetch_manifest_path_that_leaves_the_folder_is_refused(store, stage, tamper, tmp_path):
    staged = stage()
    store.publish(*staged)
    fields = json.loads((staged.folder / MANIFEST_NAME).read_text())
    del fields[SEAL]
    fields["files"]["../escaped.txt"] = fields["files"].pop("labels.txt")
    tamper(f"{staged.model}/{staged.version}/{MANIFEST_NAME}", render_sealed(fields).encode())
    with pytest.raises(ReleaseError, match="stays in the release"):
        store.fetch(staged.model, staged.version, tmp_path / "out")
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "A", ".hidden", "a..b", "x" * 200, "ä", "a\n"])
def test_names_that_could_leave_the_store_are_refused(store, stage, name):
    staged = stage()
    with pytest.raises(ReleaseError, match="name"):
        store.publish(name, staged.version, staged.folder)
    with pytest.raises(ReleaseError, match="name"):
        store.read_manifest(staged.model, name)
    with pytest.raises(ReleaseError, match="name"):
        store.channels(name)
    with pytest.raises(ReleaseError, match="name"):
        store.list_releases(name)
    with pytest.raises(ReleaseError, match="name"):
        store.check_usable(name)


def test_read_file_outside_the_release_is_refused(store, stage):
    staged = stage()
    store.publish(*staged)
    with pytest.raises(ReleaseError, match="not a path in a release"):
        store.read_file(staged.model, staged.version, "../channels.json")


def test_check_usable_fresh_and_used_store_pass_and_leave_no_trace(store, stage, put):
    store.check_usable("person_detect")
    staged = stage()
    store.publish(*staged)
    put(store, staged)
    before = store.list_releases(), store.channels(staged.model)
    store.check_usable(staged.model)
    assert (store.list_releases(), store.channels(staged.model)) == before
    assert store.verify(staged.model, staged.version) == []


def test_check_usable_foreign_file_in_model_folder_is_named(store, tamper):
    tamper("person_detect/holiday.jpg", b"jpeg")
    with pytest.raises(ReleaseError, match=r"something else than releases, for example holiday\.jpg") as caught:
        store.check_usable("person_detect")
    assert "move it away" in (caught.value.hint or "")
    store.check_usable("another_model")


@pytest.mark.parametrize(
    "uri",
    ["", "s3://bucket/prefix", "file:///tmp/releases", "gs://", "gs:///prefix", "gs://Bucket", "gs://a", "gs://-b-/p"],
)
def test_open_store_other_uri_is_refused(uri):
    with pytest.raises(ConfigError, match=r"release\.uri="):
        open_store(uri)


def test_publish_staged_release_without_its_statement_is_refused(store, stage):
    staged = stage()
    (staged.folder / "provenance.json").unlink()
    with pytest.raises(ReleaseError, match=r"provenance\.json is missing"):
        store.publish(*staged)


def test_fetch_brings_the_files_beside_the_manifest(store, stage, tmp_path):
    staged = stage()
    store.publish(*staged)
    manifest = store.fetch(staged.model, staged.version, tmp_path / "fetched")
    for name in manifest.side_files:
        assert (tmp_path / "fetched" / name).read_bytes() == (staged.folder / name).read_bytes()


def test_fetch_side_file_that_the_statement_does_not_speak_of_is_refused(store, stage, tamper, tmp_path):
    staged = stage()
    store.publish(*staged)
    tamper(f"{staged.model}/{staged.version}/MODEL_CARD.md", b"fit for every use")
    with pytest.raises(ReleaseError, match=r"cannot be trusted: provenance\.json speaks of another MODEL_CARD\.md"):
        store.fetch(staged.model, staged.version, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_check_usable_on_the_layout_of_an_older_vww_is_refused_by_name(store, tamper):
    tamper("person_detect/latest", b"0123456789ab\n")
    with pytest.raises(ReleaseError, match=r"person_detect was laid out by an older vww: it has `latest`") as caught:
        store.check_usable("person_detect")
    assert "set release.uri to another place, or move that folder away" in (caught.value.hint or "")
