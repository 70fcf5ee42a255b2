import subprocess

import pytest

from components.errors import ReleaseError
from components.pusher.release import (
    MANIFEST_NAME,
    SIDE_FILES,
    VERSION_DIGITS,
    FileDigest,
    hash_bytes,
    hash_files,
    is_payload_path,
    release_version,
)


def test_hash_files_finds_every_file_but_the_manifest_and_those_that_speak_of_it(tmp_path):
    for path in ("b.txt", "a/b.txt", ".hidden", f"a/{MANIFEST_NAME}", MANIFEST_NAME, *SIDE_FILES):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "empty").mkdir()
    expected = {path: hash_bytes(path.encode()) for path in ("b.txt", "a/b.txt", ".hidden", f"a/{MANIFEST_NAME}")}
    assert hash_files(tmp_path) == expected


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_hash_files_symbolic_link_is_refused(tmp_path, target):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ReleaseError, match="link is no regular file"):
        hash_files(tmp_path)


def test_release_version_is_what_sha256sum_says(tmp_path):
    for path in ("z.txt", "B.txt", "a b.txt", "ä.txt", "sub/a.txt", f"sub/{MANIFEST_NAME}", MANIFEST_NAME, *SIDE_FILES):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    _, _, command = (release_version.__doc__ or "").partition("without this code:")
    printed = subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert release_version(hash_files(tmp_path)) == printed[:VERSION_DIGITS]


def test_release_version_changes_with_name_and_content_and_not_with_order():
    one, two = FileDigest(sha256="1" * 64, size_bytes=1), FileDigest(sha256="2" * 64, size_bytes=1)
    version = release_version({"a": one, "b": two})
    assert release_version({"b": two, "a": one}) == version
    assert len({version, release_version({"a": two, "b": one}), release_version({"a": one, "c": two})}) == 3


@pytest.mark.parametrize("path", ["labels.txt", "saved_model/variables/v.index", ".hidden", "a b", "ä", "..a/b", "-"])
def test_is_payload_path_inside_the_release_holds(path):
    assert is_payload_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "/a",
        "//a",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "a\nb",
        "a\0",
        MANIFEST_NAME,
        *SIDE_FILES,
    ],
)
def test_is_payload_path_outside_or_ambiguous_does_not_hold(path):
    assert not is_payload_path(path)
