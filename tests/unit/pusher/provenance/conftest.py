"""Two keys, and releases with real side files in a store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.pusher.manifest import Manifest, parse_manifest
from components.pusher.provenance.keys import generate_key, read_public_key, read_signer
from components.pusher.provenance.side_files import write_side_files
from components.pusher.release import MANIFEST_NAME, hash_files, release_version
from components.pusher.release_store import ReleaseStore
from components.pusher.stores import open_store

SBOM = b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}\n'


@pytest.fixture(scope="session")
def key_file(tmp_path_factory) -> Path:
    """An Ed25519 private key, its public half beside it."""
    path = tmp_path_factory.mktemp("key") / "release.key"
    generate_key(path)
    return path


@pytest.fixture(scope="session")
def other_key_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("other-key") / "other.key"
    generate_key(path)
    return path


@pytest.fixture(scope="session")
def public_key():
    """The public half of a key file."""
    return lambda path: read_public_key(path.with_name(path.name + ".pub"))


@pytest.fixture
def local_store(tmp_path) -> ReleaseStore:
    return open_store(str(tmp_path / "releases"))


@pytest.fixture
def stage_real(stage) -> Callable[..., tuple[Manifest, Path]]:
    """Stages a release with real side files, signed by a key file or not; `changes` go into its manifest."""

    def stage_marked(
        mark: str,
        signing_key: Path | None = None,
        *,
        payload: dict[str, bytes] | None = None,
        **changes: str,
    ) -> tuple[Manifest, Path]:
        staged = stage(payload={"labels.txt": b"not-person\nperson\n", **(payload or {})}, mark=mark)
        for name in staged.folder.iterdir():
            if name.name in {"MODEL_CARD.md", "provenance.json", "sbom.cdx.json"}:
                name.unlink()
        files = hash_files(staged.folder)
        signer = None if signing_key is None else read_signer(signing_key)
        text = (staged.folder / MANIFEST_NAME).read_text()
        key_id = None if signer is None else signer.public_key.keyid
        manifest = parse_manifest(text, "manifest.json").model_copy(update={"signing_key_id": key_id, **changes})
        (staged.folder / MANIFEST_NAME).write_text(manifest.to_json())
        write_side_files(staged.folder, manifest, SBOM, signer)
        assert release_version(files) == manifest.version
        return manifest, staged.folder

    return stage_marked


@pytest.fixture
def publish(local_store, stage_real) -> Callable[..., Manifest]:
    """Publishes what `stage_real` stages."""

    def publish_staged(*arguments, **options) -> Manifest:
        manifest, folder = stage_real(*arguments, **options)
        local_store.publish(manifest.model, manifest.version, folder)
        return manifest

    return publish_staged


@pytest.fixture
def overwrite(local_store) -> Callable[[Manifest, str, bytes], None]:
    """Writes over a file of a published release, behind the store's back."""

    def write(manifest: Manifest, name: str, content: bytes) -> None:
        path = Path(local_store.release_uri(manifest.model, manifest.version)) / name
        path.chmod(0o644)
        path.write_bytes(content)

    return write
