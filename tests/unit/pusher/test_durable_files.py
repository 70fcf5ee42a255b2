import pytest

from components.errors import StorageError
from components.pusher.durable_files import check_replaceable, replace_durably, storage_errors


def test_check_replaceable_of_a_folder_is_refused_by_its_name(tmp_path):
    with pytest.raises(StorageError, match=rf"^StorageError: {tmp_path} cannot be written: it is a folder"):
        check_replaceable(tmp_path)


def test_check_replaceable_where_no_file_can_be_made_is_refused_by_its_name(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "page.html", tmp_path / "file" / "deep" / "page.html"):
        with pytest.raises(StorageError, match=rf"^StorageError: {path} cannot be written: Not a directory"):
            check_replaceable(path)


def test_check_replaceable_of_an_old_file_and_of_a_folder_to_be_made_leaves_everything_as_it_is(tmp_path):
    (tmp_path / "page.html").write_bytes(b"old")
    check_replaceable(tmp_path / "page.html")
    check_replaceable(tmp_path / "new" / "page.html")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("page.html", b"old")]


@pytest.mark.parametrize("where", ["folder", "file/page.html"])
def test_replace_durably_that_fails_names_the_file_and_leaves_nothing(tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=rf"^StorageError: {tmp_path / where}: "), storage_errors(tmp_path / where):
        replace_durably(tmp_path / where, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
