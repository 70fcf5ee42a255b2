import hashlib
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.code_version import code_version, public_address


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://example.org/team/vww.git", "https://example.org/team/vww.git"),
        ("https://user:token@example.org/vww", "https://example.org/vww"),
        ("https://token@example.org/a@b", "https://example.org/a@b"),
        ("ssh://git@example.org:22/vww.git", "ssh://example.org:22/vww.git"),
        ("git@example.org:team/vww.git", "ssh://example.org/team/vww.git"),
        ("/home/somebody/vww", None),
        ("../vww", None),
        ("file:///srv/vww", None),
        ("", None),
    ],
)
def test_public_address_has_no_credentials_and_no_path_of_this_machine(origin, address):
    assert public_address(origin) == address


def test_code_version_of_a_checkout_has_its_commit_and_lock_file():
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        pytest.skip("the tests do not run from a checkout")
    found = code_version()
    assert found.version == metadata.version("vww")
    assert found.commit is not None
    assert len(found.commit) == 40
    assert found.lock_sha256 == hashlib.sha256((root / "uv.lock").read_bytes()).hexdigest()
