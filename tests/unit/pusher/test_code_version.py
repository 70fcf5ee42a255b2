import hashlib
from importlib import metadata
from pathlib import Path

import pytest

from components.errors import ConfigError
from components.pusher.code_version import IMAGE_FILE, code_version, public_address
from components.pusher.options import CodeVersion


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


def test_code_version_in_an_image_is_what_its_build_wrote(tmp_path):
    built = CodeVersion(version="1.2.3", commit="c" * 40, dirty=False, repository=None, lock_sha256="a" * 64)
    (tmp_path / IMAGE_FILE).write_text(built.to_json())
    assert code_version(tmp_path) == built


def test_code_version_in_an_image_with_half_a_file_names_it(tmp_path):
    (tmp_path / IMAGE_FILE).write_text('{"version": "1.2.3"}')
    with pytest.raises(ConfigError, match=IMAGE_FILE) as raised:
        code_version(tmp_path)
    assert raised.value.expected == "a JSON object with version, commit, dirty, repository, lock_sha256"


def test_code_version_without_checkout_or_image_is_the_package_alone(tmp_path):
    found = code_version(tmp_path)
    assert (found.version, found.commit) == (metadata.version("vww"), None)
