import pytest

from components.errors import DataError
from pipeline.prediction.images import find_images


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set" / "b").mkdir(parents=True)
    for name in ("b/2.PNG", "1.jpg", "notes.txt"):
        (tmp_path / "set" / name).write_bytes(b"")
    return tmp_path / "set"


def test_find_images_folder_gives_images_at_any_depth_in_order(folder):
    assert [image.path for image in find_images([folder], None)] == [str(folder / "1.jpg"), str(folder / "b/2.PNG")]


def test_find_images_named_file_is_taken_whatever_its_suffix(folder):
    (image,) = find_images([folder / "notes.txt"], None)
    assert (image.path, image.drawing) == (str(folder / "notes.txt"), None)


def test_find_images_folder_without_images_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no image is there"):
        find_images([folder, folder / "empty"], None)


def test_find_images_drawings_keep_their_place_below_the_folder(folder, tmp_path):
    drawn = [image.drawing for image in find_images([folder], tmp_path / "out")]
    assert drawn == [str(tmp_path / "out/1.jpg"), str(tmp_path / "out/b/2.PNG.jpg")]


def test_find_images_drawing_over_an_image_is_refused(folder):
    with pytest.raises(DataError, match="the image itself"):
        find_images([folder], folder)


def test_find_images_two_drawings_of_one_name_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match="the drawing of"):
        find_images([folder / "1.jpg", folder], tmp_path / "out")
