"""What lies in the store is looked at before the staging channel moves to it."""

import pytest

from components.errors import ReleaseError
from components.pusher.channels import Channel
from components.pusher.options import ReleaseOptions
from components.pusher.publishing import publish_to_staging


@pytest.fixture
def release(local_store, stage_real):
    """Stages the same payload, signed by a key, publishes it, and gives back what staging holds."""

    def run(signing_key, *trusted, baseline=None, mark="a"):
        manifest, folder = stage_real(mark, signing_key)
        options = ReleaseOptions(trusted_keys=tuple(f"{key}.pub" for key in trusted))
        publish_to_staging(local_store, manifest, folder, options, baseline=baseline, by="run r")
        return local_store.channels(manifest.model).held(Channel.STAGING), manifest

    return run


def test_publish_to_staging_release_of_a_trusted_key_is_staged(release, key_file):
    held, manifest = release(key_file, key_file)
    assert held == manifest.version


def test_publish_to_staging_same_payload_and_key_again_is_no_error(release, key_file):
    held, manifest = release(key_file, key_file)
    assert release(key_file, key_file, baseline=held) == (held, manifest)


def test_publish_to_staging_payload_that_another_key_signed_before_is_refused(
    release, publish, local_store, key_file, other_key_file
):
    old = publish("a", key_file)
    with pytest.raises(ReleaseError, match=r"published before and cannot be trusted: .*signed by another key") as error:
        release(other_key_file, other_key_file)
    assert "a file of another name" in error.value.hint
    assert "vww releases gc" in error.value.hint
    assert local_store.channels(old.model).held(Channel.STAGING) is None
    assert local_store.read_manifest(old.model, old.version) == old


def test_publish_to_staging_payload_that_was_not_signed_before_is_refused(release, publish, key_file):
    publish("a")
    with pytest.raises(ReleaseError, match="it is not signed"):
        release(key_file, key_file)


def test_publish_to_staging_new_version_beside_the_old_key_is_staged(release, publish, key_file, other_key_file):
    publish("a", key_file)
    held, manifest = release(other_key_file, other_key_file, mark="another key path in the config")
    assert held == manifest.version
