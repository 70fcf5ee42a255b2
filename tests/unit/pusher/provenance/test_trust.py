import shutil
from pathlib import Path

import pytest

from components.errors import ConfigError, ReleaseError
from components.pusher.options import ReleaseOptions
from components.pusher.provenance.trust import check_baseline, check_keys


def options(signing_key=None, *trusted):
    return ReleaseOptions(
        signing_key=None if signing_key is None else str(signing_key),
        trusted_keys=tuple(f"{key}.pub" for key in trusted),
    )


def test_check_keys_nothing_configured_trusts_nobody_and_asks_nothing():
    assert check_keys(options()) == ()


def test_check_keys_own_key_among_the_trusted_gives_them(key_file, other_key_file, public_key):
    trusted = check_keys(options(key_file, other_key_file, key_file))
    assert trusted == (public_key(other_key_file), public_key(key_file))


def test_check_keys_signing_key_that_would_not_be_trusted_is_refused(key_file, other_key_file):
    with pytest.raises(ConfigError, match=r"is not one of release\.trusted_keys"):
        check_keys(options(key_file, other_key_file))


def test_check_keys_trusted_keys_without_one_to_sign_with_are_refused(key_file):
    with pytest.raises(ConfigError, match="names no key to sign with"):
        check_keys(options(None, key_file))


def test_check_keys_unusable_signing_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"release\.signing_key: cannot read"):
        check_keys(options(tmp_path / "missing"))


def test_check_baseline_unsigned_release_under_a_key_is_refused(publish, local_store, key_file, public_key):
    with pytest.raises(ReleaseError, match=r"cannot be trusted: it is not signed(.|\n)*signed by key [0-9a-f]{12}"):
        check_baseline(local_store, publish("a"), (public_key(key_file),))


def test_check_baseline_signed_release_is_taken(publish, local_store, key_file, other_key_file, public_key):
    check_baseline(local_store, publish("a", key_file), (public_key(other_key_file), public_key(key_file)))


def test_fetch_under_a_key_takes_only_what_it_signed(
    publish, local_store, key_file, other_key_file, public_key, tmp_path
):
    manifest = publish("a", key_file)
    where = (manifest.model, manifest.version)
    with pytest.raises(ReleaseError, match="was signed by another key"):
        local_store.fetch(*where, tmp_path / "out", (public_key(other_key_file),))
    assert not (tmp_path / "out").exists()
    assert local_store.fetch(*where, tmp_path / "out", (public_key(key_file),)) == manifest


def test_fetch_release_that_was_replaced_since_it_was_promoted_is_refused(
    publish, stage_real, local_store, put, tmp_path
):
    manifest = publish("a")
    put(local_store, manifest)
    _, other = stage_real("a", created_utc="2027-01-01T00:00:00Z")  # whole in itself; only the log knows better
    there = Path(local_store.release_uri(manifest.model, manifest.version))
    shutil.rmtree(there)
    shutil.copytree(other, there)
    with pytest.raises(ReleaseError, match=r"manifest\.json has sha256 \w+ instead of the promotions log's"):
        local_store.fetch(manifest.model, manifest.version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
