"""Writes the files that stand beside a release's manifest and speak of it, and holds them against it again."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.pusher.manifest import Manifest
from components.pusher.provenance.statement import parse_statement, render_statement
from components.pusher.release import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    MODEL_CARD_NAME,
    SBOM_NAME,
    STATEMENT_NAME,
    hash_bytes,
    hash_file,
)

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

    from components.pusher.release_store import ReleaseStore


def write_side_files(folder: Path, manifest: Manifest, sbom: bytes, signer: "CryptoSigner | None") -> None:
    """Adds `manifest.side_files` to a staged release whose manifest is written.

    Args:
      folder: the staged release.
      manifest: what its `manifest.json` holds.
      sbom: of the environment that made it (`provenance.sbom`).
      signer: of the key `manifest.signing_key_id`; None for a release that is not signed.
    """
    from components.pusher.provenance.model_card import render_model_card

    (folder / MODEL_CARD_NAME).write_text(render_model_card(manifest), encoding="utf-8")
    (folder / SBOM_NAME).write_bytes(sbom)
    beside = {name: hash_file(folder / name) for name in (MANIFEST_NAME, MODEL_CARD_NAME, SBOM_NAME)}
    statement = render_statement(manifest, beside)
    (folder / STATEMENT_NAME).write_bytes(statement)
    if signer is not None:
        from components.pusher.provenance.envelope import sign_statement

        (folder / ENVELOPE_NAME).write_bytes(sign_statement(statement, signer))


def find_provenance_problems(store: "ReleaseStore", manifest: Manifest, trusted: tuple["SSlibKey", ...]) -> list[str]:
    """What is wrong with the statement and the signature of a release in a store; see `find_side_file_problems`.

    Raises:
      ReleaseError: if a file is not there.
    """

    def read_file(path: str) -> bytes:
        return store.read_file(manifest.model, manifest.version, path)

    return find_side_file_problems(read_file, manifest, trusted)


def find_side_file_problems(
    read_file: Callable[[str], bytes], manifest: Manifest, trusted: tuple["SSlibKey", ...]
) -> list[str]:
    """What is wrong with a release's statement and signature.

    Args:
      read_file: gives a file of the release by its path.
      manifest: of the release; its payload has been held against it.
      trusted: keys of which one must have signed the release; empty asks for none.

    Returns:
      One sentence for every problem; empty where all is well.
    """
    content = read_file(STATEMENT_NAME)
    statement = parse_statement(content)
    if statement is None:
        problems = [f"{STATEMENT_NAME} is no in-toto statement with a SLSA provenance"]
    else:
        beside = {name: hash_bytes(read_file(name)) for name in (MANIFEST_NAME, MODEL_CARD_NAME, SBOM_NAME)}
        expected = {name: digest.sha256 for name, digest in {**manifest.files, **beside}.items()}
        problems = _find_strange_subjects(expected, statement.digests)
    if manifest.signing_key_id is not None:
        from components.pusher.provenance.envelope import find_signature_problems  # takes two seconds

        return problems + find_signature_problems(read_file(ENVELOPE_NAME), content, trusted)
    return problems + (["it is not signed"] if trusted else [])


def _find_strange_subjects(expected: dict[str, str], stated: dict[str, str | None]) -> list[str]:
    if stated.get(MANIFEST_NAME) != expected[MANIFEST_NAME]:
        return [f"{STATEMENT_NAME} speaks of another {MANIFEST_NAME}: of another release, or one of the two was edited"]
    return [
        f"{STATEMENT_NAME} speaks of another {name}: it has sha256 {expected.get(name)} instead of {stated.get(name)}"
        for name in sorted(expected.keys() | stated.keys())
        if expected.get(name) != stated.get(name)
    ]
