"""The signature: the provenance statement in a DSSE envelope, in `provenance.intoto.jsonl`.

One line of JSON, as in-toto attestations are passed around elsewhere. Its payload is
`provenance.json` to the byte.
"""

import json

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, SSlibKey

from components.pusher.release import ENVELOPE_NAME, STATEMENT_NAME

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def sign_statement(statement: bytes, signer: CryptoSigner) -> bytes:
    """The envelope's line; Ed25519 gives the same signature for the same statement and key."""
    envelope = Envelope(statement, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return (json.dumps(envelope.to_dict(), sort_keys=True) + "\n").encode()


def find_signature_problems(content: bytes, statement: bytes, trusted: tuple[SSlibKey, ...]) -> list[str]:
    """What is wrong with an envelope.

    Args:
      content: the file.
      statement: `provenance.json` of the same release.
      trusted: keys of which one must have signed it; empty checks only what it holds.

    Returns:
      One sentence for every problem; empty where all is well.
    """
    try:
        envelope = Envelope.from_dict(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{ENVELOPE_NAME} is no DSSE envelope: {error}"]
    problems = []
    if envelope.payload_type != PAYLOAD_TYPE:
        problems.append(f"{ENVELOPE_NAME} signs {envelope.payload_type} instead of {PAYLOAD_TYPE}")
    if envelope.payload != statement:
        problems.append(f"{ENVELOPE_NAME} signs another statement than {STATEMENT_NAME}")
    return [*problems, *_find_untrusted(envelope, trusted)]


def _find_untrusted(envelope: Envelope, trusted: tuple[SSlibKey, ...]) -> list[str]:
    if not trusted:
        return []
    known = [key for key in trusted if key.keyid in envelope.signatures]
    if not known:
        signers = ", ".join(key_id[:12] for key_id in envelope.signatures) or "none"
        wanted = ", ".join(key.keyid[:12] for key in trusted)
        return [f"{ENVELOPE_NAME} was signed by another key: received {signers}, expected {wanted}"]
    for key in known:
        try:
            key.verify_signature(envelope.signatures[key.keyid], envelope.pae())
        except UnverifiedSignatureError:
            continue
        return []
    return [f"{ENVELOPE_NAME} has a signature that is not valid: what was signed has changed"]
