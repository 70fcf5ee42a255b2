import os

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
    assert [image.path for image in find_images([folder], None).images] == [
        str(folder / "1.jpg"),
        str(folder / "b/2.PNG"),
    ]


def test_find_images_named_file_is_taken_whatever_its_suffix(folder):
    (image,) = find_images([folder / "notes.txt"], None).images
    assert (image.path, image.drawing) == (str(folder / "notes.txt"), None)


def test_find_images_folder_without_images_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no image is there"):
        find_images([folder, folder / "empty"], None)


def test_find_images_drawings_keep_their_place_below_the_folder(folder, tmp_path):
    drawn = [image.drawing for image in find_images([folder], tmp_path / "out").images]
    assert drawn == [str(tmp_path / "out/1.jpg"), str(tmp_path / "out/b/2.PNG.jpg")]


def test_find_images_drawing_over_an_image_is_refused(folder):
    with pytest.raises(DataError, match="the image itself"):
        find_images([folder], folder)


def test_find_images_two_drawings_of_one_name_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match="the drawing of"):
        find_images([folder / "1.jpg", folder], tmp_path / "out")


def test_find_images_name_that_is_no_utf8_is_bad_and_the_others_are_found(folder, tmp_path):
    name = os.fsdecode(b"bad\xff.jpg")
    (folder / name).write_bytes(b"")
    found = find_images([folder, folder / "b" / name], tmp_path / "out")
    assert [image.path for image in found.images] == [str(folder / "1.jpg"), str(folder / "b/2.PNG")]
    assert [(bad.file, bad.reason) for bad in found.bad] == [
        (rf"{folder}/bad\xff.jpg", "its name is not UTF-8"),
        (rf"{folder}/b/bad\xff.jpg", "its name is not UTF-8"),
    ]


def test_find_images_drawings_of_an_earlier_time_in_the_folder_are_left_out(folder):
    (folder / "drawn" / "b").mkdir(parents=True)
    for name in ("1.jpg", "b/2.PNG.jpg"):
        (folder / "drawn" / name).write_bytes(b"")
    found = find_images([folder], folder / "b" / ".." / "drawn")
    assert [image.path for image in found.images] == [str(folder / "1.jpg"), str(folder / "b/2.PNG")]
    assert found.left_out == 2


def test_find_images_folder_of_drawings_alone_is_refused(folder):
    (folder / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"set: no image is there outside of \S+/set/b"):
        find_images([folder], folder / "b")
