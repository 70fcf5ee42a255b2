"""Ed25519 keys: made, read from PEM files, and refused in words where they are something else.

A private key is never handed on as text: what is recorded of it, in a config or in ML Metadata, is the path of its
file, and in a release the id of its public half.
"""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from components.errors import ConfigError, StorageError

PUBLIC_SUFFIX = ".pub"
_PRIVATE_KIND = "an unencrypted PEM file with an Ed25519 private key, that others than its owner cannot use"
_PUBLIC_KIND = "a PEM file with an Ed25519 public key"
_MAKE_ONE = "`vww releases keygen FILE` makes FILE and FILE.pub"


def generate_key(path: Path) -> SSlibKey:
    """Makes a key pair: the private key at `path`, mode 0600, and the public one beside it with `.pub` added.

    Raises:
      StorageError: if one of the files is there already or cannot be written; a key is never overwritten.
    """
    private = Ed25519PrivateKey.generate()
    public_path = path.with_name(path.name + PUBLIC_SUFFIX)
    for taken in (path, public_path):
        if taken.exists():
            raise StorageError(f"{taken} is there already", hint="name another file; a key is never overwritten")
    try:
        _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _write_new(
            public_path, private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644
        )
    except OSError as error:
        raise StorageError(
            f"{error.filename}: {error.strerror}", hint="name a file in a folder you may write"
        ) from error
    return SSlibKey.from_crypto(private.public_key())


def read_signer(path: Path, key: str = "release.signing_key") -> CryptoSigner:
    """What signs with the private key in a file.

    Args:
      path: the PEM file.
      key: which setting names it, for the error.

    Raises:
      ConfigError: if it is missing, no Ed25519 private key, encrypted, or open to others than its owner.
        A group of this process may read it: Kubernetes mounts a secret so with `fsGroup`, where chmod is impossible.
    """
    content = _read(path, key, _PRIVATE_KIND)
    found = path.stat()
    is_own_group = found.st_gid in {os.getegid(), *os.getgroups()}
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IRGRP if is_own_group else 0):
        raise ConfigError(
            f"{key}: others than its owner may use {path}: received mode {stat.S_IMODE(found.st_mode):04o}",
            expected=_PRIVATE_KIND,
            hint=f"chmod 600 {path}; make a new key if somebody may have copied it",
        )
    try:
        private = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise ConfigError(
            f"{key}: {path} is encrypted", expected=_PRIVATE_KIND, hint="openssl pkey -in FILE -out DECRYPTED"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "this is a public key; name the file without .pub" if b"PUBLIC KEY" in content else _MAKE_ONE
        raise ConfigError(f"{key}: {path} holds no private key", expected=_PRIVATE_KIND, hint=hint) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(
            f"{key}: {path} holds a key of another kind: received {type(private).__name__}",
            expected=_PRIVATE_KIND,
            hint=_MAKE_ONE,
        )
    return CryptoSigner(private)


def read_public_key(path: Path, key: str = "release.trusted_keys") -> SSlibKey:
    """The public key in a file; `key` is which setting names it.

    Raises:
      ConfigError: if it is missing or no Ed25519 public key.
    """
    content = _read(path, key, _PUBLIC_KIND)
    try:
        public = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        is_private = b"PRIVATE KEY" in content
        hint = f"this is a private key; name its public half, FILE{PUBLIC_SUFFIX}" if is_private else _MAKE_ONE
        raise ConfigError(f"{key}: {path} holds no public key", expected=_PUBLIC_KIND, hint=hint) from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigError(
            f"{key}: {path} holds a key of another kind: received {type(public).__name__}",
            expected=_PUBLIC_KIND,
            hint=_MAKE_ONE,
        )
    return SSlibKey.from_crypto(public)


def _read(path: Path, key: str, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path}: {error.strerror}", expected=kind, hint=_MAKE_ONE) from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """The umask may take rights from the mode, and never adds any."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
