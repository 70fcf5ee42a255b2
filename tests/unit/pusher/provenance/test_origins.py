"""From what a build made of a release back to it."""

import hashlib
from pathlib import Path

import pytest

from components.errors import ConfigError, ReleaseError
from components.pusher.provenance.origins import find_origins
from components.pusher.release import MANIFEST_NAME

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256))


@pytest.fixture
def whence(local_store):
    """The origins, and what was passed over."""

    def ask(what, *uris):
        unreadable = []
        origins = find_origins(str(what), uris or (local_store.uri,), unreadable.append)
        return origins, unreadable

    return ask


def matches(origins):
    return [(origin.version, match.where, match.file) for origin in origins for match in origin.matches]


@pytest.fixture
def release(publish):
    return publish("a", payload={"person_detect.tflite": FLATBUFFER})


def test_find_origins_flatbuffer_gives_release_run_and_data(whence, release, tmp_path, local_store):
    file = tmp_path / "somewhere.bin"
    file.write_bytes(FLATBUFFER)
    (origin,), unreadable = whence(file)
    assert matches([origin]) == [(release.version, "the whole file", "person_detect.tflite")]
    assert origin.matches[0].sha256 == hashlib.sha256(FLATBUFFER).hexdigest()
    assert origin.release == local_store.release_uri(release.model, release.version)
    assert (origin.run, origin.code, origin.label_rule) == (release.run, release.code, release.label_rule)
    assert (origin.dataset_digest, origin.split_digest) == (release.dataset.digest, release.dataset.split_digest)
    assert (origin.metadata, origin.channels, origin.ancestors, unreadable) == (None, (), (), [])


def test_find_origins_c_array_is_read_back(whence, release, tmp_path):
    source = tmp_path / "model.cc"
    source.write_text(f"const char a[] = {{1}};\nstatic const uint8_t m[] = {{{', '.join(map(str, FLATBUFFER))}}};\n")
    origins, _ = whence(source)
    assert matches(origins) == [(release.version, "the bytes of C array 2", "person_detect.tflite")]


def test_find_origins_firmware_is_searched(whence, release, tmp_path):
    image = tmp_path / "firmware.bin"
    image.write_bytes(b"\xff" * 4096 + FLATBUFFER + b"\xff" * 99)
    origins, _ = whence(image)
    assert matches(origins) == [(release.version, "at byte 4,096", "person_detect.tflite")]


@pytest.mark.parametrize("name", ["labels.txt", MANIFEST_NAME, "MODEL_CARD.md", "sbom.cdx.json", "provenance.json"])
def test_find_origins_any_file_of_a_release_is_known(whence, release, local_store, name):
    file = Path(local_store.release_uri(release.model, release.version)) / name
    origins, _ = whence(file)
    assert matches(origins) == [(release.version, "the whole file", name)]


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_find_origins_digest_or_its_start_is_known(whence, release, digits):
    origins, _ = whence(hashlib.sha256(FLATBUFFER).hexdigest()[:digits])
    assert matches(origins) == [(release.version, "the digest", "person_detect.tflite")]


def test_find_origins_digest_in_capitals_is_the_same(whence, release):
    (origin,), _ = whence(hashlib.sha256(FLATBUFFER).hexdigest().upper())
    assert (origin.version, origin.matches[0].where) == (release.version, "the digest")


def test_find_origins_junk_channels_are_told_and_passed_over(whence, release, local_store, tmp_path):
    junk = Path(local_store.uri) / release.model / "channels.json"
    junk.write_text("junk")
    (origin,), unreadable = whence(hashlib.sha256(FLATBUFFER).hexdigest())
    assert (origin.version, origin.channels) == (release.version, None)
    assert len(unreadable) == 1
    assert str(junk) in unreadable[0]


def test_find_origins_two_releases_with_the_same_model_are_both_named(whence, publish, release):
    other = publish("b", payload={"person_detect.tflite": FLATBUFFER})
    origins, _ = whence(hashlib.sha256(FLATBUFFER).hexdigest())
    assert {origin.version for origin in origins} == {release.version, other.version}


def test_find_origins_walks_the_baselines_back(whence, publish):
    first = publish("first")
    second = publish("second", baseline=first.version)
    third = publish("third", baseline=second.version, payload={"person_detect.tflite": FLATBUFFER})
    (origin,), _ = whence(hashlib.sha256(FLATBUFFER).hexdigest())
    assert (origin.version, origin.ancestors) == (third.version, (second.version, first.version))


@pytest.mark.parametrize("name", [MANIFEST_NAME, "provenance.json"])
def test_find_origins_damaged_release_is_told_and_passed_over(whence, publish, local_store, release, name):
    damaged = publish("b")
    file = Path(local_store.release_uri(damaged.model, damaged.version)) / name
    file.unlink()
    if name == MANIFEST_NAME:
        file.write_text("{}")
    origins, unreadable = whence(hashlib.sha256(FLATBUFFER).hexdigest())
    assert matches(origins) == [(release.version, "the digest", "person_detect.tflite")]
    assert len(unreadable) == 1
    assert damaged.version in unreadable[0]


def test_find_origins_looks_into_every_store(whence, release, tmp_path, local_store):
    digest = hashlib.sha256(FLATBUFFER).hexdigest()
    origins, _ = whence(digest, str(tmp_path / "empty"), local_store.uri)
    assert [origin.version for origin in origins] == [release.version]


def test_find_origins_unknown_file_is_an_error_that_says_where_was_looked(whence, release, tmp_path, local_store):
    (tmp_path / "a.tflite").write_bytes(FLATBUFFER[:-1] + b"\0")
    with pytest.raises(ReleaseError) as refusal:
        whence(tmp_path / "a.tflite")
    refusal.match(f"looked into: 1 in {local_store.uri}")


@pytest.mark.parametrize("what", ["nowhere.tflite", "0123456", "g" * 64, "0" * 65])
def test_find_origins_neither_file_nor_digest_is_refused(whence, what):
    with pytest.raises(ConfigError, match="cannot read"):
        whence(what)


def test_find_origins_folder_is_refused(whence, tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        whence(tmp_path)
