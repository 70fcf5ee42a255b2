import base64
import json

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from components.pusher.provenance.envelope import find_signature_problems, sign_statement
from components.pusher.provenance.keys import read_signer

STATEMENT = b'{"_type": "https://in-toto.io/Statement/v1"}\n'


@pytest.fixture(scope="module")
def envelope(key_file):
    return sign_statement(STATEMENT, read_signer(key_file))


def test_envelope_signature_is_that_of_dsse_checked_without_the_library(envelope, key_file):
    fields = json.loads(envelope)
    payload, kind = base64.b64decode(fields["payload"]), fields["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    public = load_pem_public_key(key_file.with_name("release.key.pub").read_bytes())
    (signature,) = fields["signatures"]
    public.verify(base64.b64decode(signature["sig"]), signed)  # raises if it is not
    assert (payload, kind) == (STATEMENT, b"application/vnd.in-toto+json")
    assert envelope.count(b"\n") == 1


def test_envelope_of_a_trusted_key_has_no_problem(envelope, key_file, other_key_file, public_key):
    trusted = (public_key(other_key_file), public_key(key_file))
    assert find_signature_problems(envelope, STATEMENT, trusted) == []
    assert find_signature_problems(envelope, STATEMENT, ()) == []


def test_envelope_of_another_key_names_both(envelope, other_key_file, public_key):
    (problem,) = find_signature_problems(envelope, STATEMENT, (public_key(other_key_file),))
    signer = json.loads(envelope)["signatures"][0]["keyid"]
    wanted = public_key(other_key_file).keyid
    assert problem == (
        f"provenance.intoto.jsonl was signed by another key: received {signer[:12]}, expected {wanted[:12]}"
    )


def test_envelope_of_another_statement_is_a_problem(envelope, key_file, public_key):
    (problem,) = find_signature_problems(envelope, STATEMENT + b" ", (public_key(key_file),))
    assert problem == "provenance.intoto.jsonl signs another statement than provenance.json"


def test_envelope_whose_payload_was_exchanged_has_no_valid_signature(envelope, key_file, public_key):
    fields = json.loads(envelope)
    fields["payload"] = base64.b64encode(b"{}").decode()
    (problem,) = find_signature_problems(json.dumps(fields).encode(), b"{}", (public_key(key_file),))
    assert "not valid" in problem


def test_envelope_of_another_payload_type_is_a_problem(envelope, key_file, public_key):
    content = envelope.replace(b"vnd.in-toto+json", b"vnd.other+json")
    problems = find_signature_problems(content, STATEMENT, (public_key(key_file),))
    assert any("application/vnd.other+json" in problem for problem in problems)


@given(place=st.integers(0), value=st.integers(0, 255))
def test_envelope_with_one_changed_byte_is_never_taken_for_another(envelope, key_file, public_key, place, value):
    place %= len(envelope)
    changed = envelope[:place] + bytes([value]) + envelope[place + 1 :]
    problems = find_signature_problems(changed, STATEMENT, (public_key(key_file),))
    # Base64 and JSON write the same thing in more than one way: what counts is what was signed.
    assert problems or _meaning(changed) == _meaning(envelope)


def _meaning(envelope):
    fields = json.loads(envelope)
    (signature,) = fields["signatures"]
    return base64.b64decode(fields["payload"]), fields["payloadType"], base64.b64decode(signature["sig"])


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"[]", b"{}", b'"text"', b'{"payload": 1, "payloadType": "a", "signatures": []}', b"\xff"]
)
def test_envelope_that_is_none_is_a_problem(content, key_file, public_key):
    (problem,) = find_signature_problems(content, STATEMENT, (public_key(key_file),))
    assert problem.startswith("provenance.intoto.jsonl is no DSSE envelope")


def test_envelope_without_signatures_is_signed_by_none(envelope, key_file, public_key):
    content = json.dumps(json.loads(envelope) | {"signatures": []}).encode()
    (problem,) = find_signature_problems(content, STATEMENT, (public_key(key_file),))
    assert "received none" in problem
