import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from components.errors import ConfigError, StorageError
from components.pusher.provenance.keys import generate_key, read_public_key, read_signer


def private_pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


ED25519 = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def key_of(tmp_path):
    def write(content, mode=0o600):
        path = tmp_path / "some.key"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write


def test_generate_key_only_its_owner_may_read_the_private_half(tmp_path):
    before = os.umask(0)
    try:
        key = generate_key(tmp_path / "a.key")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.key": 0o600, "a.key.pub": 0o644}
    assert read_signer(tmp_path / "a.key").public_key == read_public_key(tmp_path / "a.key.pub") == key


@pytest.mark.parametrize("taken", ["a.key", "a.key.pub"])
def test_generate_key_file_that_is_there_is_never_overwritten(tmp_path, taken):
    (tmp_path / taken).write_text("precious")
    with pytest.raises(StorageError, match="there already"):
        generate_key(tmp_path / "a.key")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {taken: "precious"}


def test_generate_key_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        generate_key(tmp_path / "nowhere" / "a.key")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"junk", "holds no private key"),
        (public_pem(ED25519), "holds no private key(.|\n)*this is a public key"),
        (private_pem(ED25519, BestAvailableEncryption(b"secret")), "is encrypted"),
        (private_pem(EC), "another kind: received EC"),
        (private_pem(RSA), "another kind: received RSA"),
    ],
    ids=["junk", "public", "encrypted", "ec", "rsa"],
)
def test_read_signer_something_else_is_refused_by_name(key_of, content, words):
    with pytest.raises(ConfigError) as refusal:
        read_signer(key_of(content))
    refusal.match(words)
    assert "release.signing_key" in str(refusal.value)
    assert "PRIVATE KEY" not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o660, 0o444])
def test_read_signer_key_that_others_may_use_is_refused(key_of, mode):
    with pytest.raises(ConfigError, match=f"received mode {mode:04o}"):
        read_signer(key_of(private_pem(ED25519), mode))


@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_read_signer_key_that_a_group_of_the_process_may_read_is_taken(key_of, mode):
    path = key_of(private_pem(ED25519), mode)
    assert path.stat().st_gid in {os.getegid(), *os.getgroups()}
    assert read_signer(path).public_key.keyid


def test_read_signer_key_that_another_group_may_read_is_refused(key_of):
    path = key_of(private_pem(ED25519), 0o440)
    other = next(gid for gid in range(54321, 60000) if gid not in {os.getegid(), *os.getgroups()})
    try:
        os.chown(path, -1, other)
    except PermissionError:
        pytest.skip("only root may give a file to a group that it is not in")
    with pytest.raises(ConfigError, match="received mode 0440"):
        read_signer(path)


def test_read_signer_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*nothing\.key: No such file"):
        read_signer(tmp_path / "nothing.key")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"junk", "holds no public key"),
        (private_pem(ED25519), "holds no public key(.|\n)*this is a private key"),
        (public_pem(EC), "another kind"),
        (public_pem(RSA), "another kind"),
    ],
    ids=["junk", "private", "ec", "rsa"],
)
def test_read_public_key_something_else_is_refused_by_name(key_of, content, words):
    with pytest.raises(ConfigError) as refusal:
        read_public_key(key_of(content), "--key")
    refusal.match(words)
    assert "--key" in str(refusal.value)


def test_read_public_key_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*nothing\.pub"):
        read_public_key(tmp_path / "nothing.pub")
