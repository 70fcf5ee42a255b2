import io
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import DataError
from components.example_gen import plan
from components.example_gen.image_bytes import check_image
from components.example_gen.image_folder import FolderImage, read_image_folder
from components.example_gen.options import ExampleGenOptions
from components.example_gen.quarantine import Dropped, DropReason, Quarantined, QuarantineReason

NFC, NFD = unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")


class Folder:
    """A folder of real images, no two of them alike."""

    def __init__(self, root):
        self.root = root
        self.count = 0

    def image(self, name, image_format="PNG"):
        self.count += 1
        pixels = np.random.default_rng(self.count).integers(0, 256, (6, 8, 3)).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, image_format)
        return self.file(name, data.getvalue())

    def file(self, name, data=b"junk"):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def images(self, *folders, count=10):
        for folder in folders:
            for n in range(count):
                self.image(f"{folder}/{n}.png")

    def read(self):
        return read_image_folder(str(self.root))

    def names(self):
        return [image.file_name for image in self.read().images]

    def refuse(self):
        with pytest.raises(DataError) as caught:
            self.read()
        assert str(self.root) in caught.value.message
        assert caught.value.hint
        return caught.value

    def plan(self, **changes):
        return plan.plan_dataset(ExampleGenOptions(format="image_folder", images=str(self.root), **changes))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "images")


# Layouts.


def test_read_image_folder_classes_give_sorted_images_and_names(folder):
    for name in ("pikachu/b.png", "no-pikachu/a.png", "pikachu/a.png"):
        folder.image(name)
    content = folder.read()
    assert content.images == (
        FolderImage("no-pikachu/a.png", "no-pikachu", None),
        FolderImage("pikachu/a.png", "pikachu", None),
        FolderImage("pikachu/b.png", "pikachu", None),
    )
    assert content.label_names == ("no-pikachu", "pikachu")
    assert content.ignored == {}


def test_read_image_folder_folders_below_a_class_belong_to_it(folder):
    folder.image("pikachu/2024/may/a.png")
    folder.image("pikachu/no-pikachu/b.png")
    folder.image("no-pikachu/train/c.png")
    assert {(image.file_name, image.label_name, image.split) for image in folder.read().images} == {
        ("pikachu/2024/may/a.png", "pikachu", None),
        ("pikachu/no-pikachu/b.png", "pikachu", None),
        ("no-pikachu/train/c.png", "no-pikachu", None),
    }


@pytest.mark.parametrize("name", ["eval", "val", "valid", "validation"])
def test_read_image_folder_split_folders_state_splits(folder, name):
    for split in ("train", name, "test"):
        folder.images(f"{split}/cat", f"{split}/dog/deep", count=1)
    content = folder.read()
    assert content.label_names == ("cat", "dog")
    assert {image.file_name: (image.label_name, image.split) for image in content.images} == {
        "train/cat/0.png": ("cat", "train"),
        "train/dog/deep/0.png": ("dog", "train"),
        f"{name}/cat/0.png": ("cat", "eval"),
        f"{name}/dog/deep/0.png": ("dog", "eval"),
        "test/cat/0.png": ("cat", "test"),
        "test/dog/deep/0.png": ("dog", "test"),
    }


def test_read_image_folder_without_eval_leaves_train_to_the_shares(folder):
    folder.images("train/cat", "train/dog", "test/cat", "test/dog", count=2)
    splits = {image.file_name: image.split for image in folder.read().images}
    assert {splits[name] for name in splits if name.startswith("train/")} == {None}
    assert {splits[name] for name in splits if name.startswith("test/")} == {"test"}


def test_read_image_folder_classes_of_all_splits_are_put_together(folder):
    folder.images("train/cat", "train/dog", "eval/dog", "eval/eel", count=1)
    assert folder.read().label_names == ("cat", "dog", "eel")


@pytest.mark.parametrize(("first", "second"), [("eval", "val"), ("valid", "validation")])
def test_read_image_folder_one_split_by_two_names_is_refused(folder, first, second):
    folder.images("train/cat", "train/dog", f"{first}/cat", f"{second}/cat", count=1)
    assert f"{first} and {second} are the same split" in folder.refuse().message


def test_read_image_folder_split_beside_a_class_is_refused(folder):
    folder.images("train/cat", "train/dog", "eel", count=1)
    error = folder.refuse()
    assert "holds the split folder 'train' beside 'eel'" in error.message
    assert "'eel'" in error.hint


def test_read_image_folder_folder_without_images_beside_splits_is_passed_over(folder):
    folder.images("train/cat", "train/dog", "eval/cat", "eval/dog", count=1)
    folder.file("docs/licence.txt")
    content = folder.read()
    assert {image.split for image in content.images} == {"train", "eval"}
    assert (content.label_names, content.ignored) == (("cat", "dog"), {".txt": 1})


def test_plan_dataset_shares_beside_split_folders_are_refused(folder):
    folder.images("train/cat", "train/dog", "eval/cat", "eval/dog", count=1)
    with pytest.raises(DataError, match=r"data\.splits states splits too"):
        folder.plan(splits={"train": 0.5, "eval": 0.5})


@pytest.mark.parametrize("name", ["Train", "training", "evaluation", "TEST"])
def test_read_image_folder_names_near_those_of_splits_are_classes(folder, name):
    folder.images(name, "cat", count=1)
    assert folder.read().label_names == tuple(sorted((name, "cat")))


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "Validation"), ("TRAIN", "EVAL", "Testing")])
def test_read_image_folder_splits_under_other_names_are_no_classes(folder, names):
    folder.images(*(f"{name}/{label}" for name in names for label in ("cat", "dog")), count=1)
    error = folder.refuse()
    assert "look like splits" in error.message
    assert "train, eval and test" in error.hint


# What is an image.


@pytest.mark.parametrize("name", ["eel/a.heic", "eel/deeper/a.HEIC", "eel/a.dng"])
def test_read_image_folder_class_of_unread_images_alone_is_refused(folder, name):
    folder.images("cat", "dog", count=1)
    folder.file(name)
    error = folder.refuse()
    assert "the class folder 'eel' holds no image that can be read" in error.message
    assert "convert" in error.hint


def test_read_image_folder_class_of_unread_images_in_one_split_is_passed_over(folder):
    folder.images("train/cat", "train/dog", "train/eel", "eval/cat", "eval/dog", count=1)
    folder.file("eval/eel/a.heic")
    assert folder.read().ignored == {".heic": 1}


def test_read_image_folder_junk_is_ignored_and_counted_by_suffix(folder):
    folder.images("cat", "dog", count=1)
    for name in ("cat/notes.txt", "cat/Thumbs.db", "dog/labels.TXT", "README", "cat/noext", "loose.png", "dog/a.heic"):
        folder.file(name)
    content = folder.read()
    assert content.ignored == {".txt": 2, ".db": 1, "no suffix": 2, ".png": 1, ".heic": 1}
    assert [image.file_name for image in content.images] == ["cat/0.png", "dog/0.png"]


def test_read_image_folder_image_beside_the_classes_of_a_split_is_ignored(folder):
    folder.images("train/cat", "train/dog", "eval/cat", "eval/dog", count=1)
    folder.image("train/loose.png")
    content = folder.read()
    assert (len(content.images), content.ignored) == (4, {".png": 1})


@pytest.mark.parametrize("name", [".DS_Store", "cat/.hidden.png", ".cache/a.png", "cat/.thumbs/a.png", "cat/._0.png"])
def test_read_image_folder_hidden_files_are_passed_over(folder, name):
    folder.images("cat", "dog", count=1)
    folder.image(name)
    content = folder.read()
    assert (len(content.images), content.ignored) == (2, {})


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "JPeG", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm"])
def test_read_image_folder_suffix_of_an_image_counts_in_any_case(folder, suffix):
    folder.images("cat", "dog", count=1)
    folder.image(f"cat/a.b.{suffix}")
    assert f"cat/a.b.{suffix}" in folder.names()


def test_plan_dataset_mixed_formats_are_all_taken_and_decodable(folder):
    suffixes = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "TIFF": "tif"}
    for label in ("cat", "dog"):
        for n in range(5):
            for image_format, suffix in suffixes.items():
                folder.image(f"{label}/{n}.{suffix}", image_format)
    folder.image("cat/a png called.jpg", "PNG")
    result = folder.plan()
    assert len(result.records) == 61
    formats = {}
    for image in result.records:
        checked = check_image(Path(image.path).read_bytes(), width=image.record.width, height=image.record.height)
        assert (checked.width, checked.height) == (8, 6)
        formats[image.record.file_name] = checked.format
    kept = {name for name, image_format in formats.items() if image_format == "jpeg"}
    assert kept == {f"{label}/{n}.jpg" for label in ("cat", "dog") for n in range(5)}


# Names.


@pytest.mark.parametrize(
    ("first", "second"),
    [("Cat", "cat"), ("STRASSE", "straße"), (NFC, NFD), (NFC.upper(), NFD)],
    ids=["case", "sharp_s", "coding", "both"],
)
def test_read_image_folder_classes_that_look_the_same_are_refused(folder, first, second):
    folder.images(first, second, "other", count=1)
    error = folder.refuse()
    assert repr(first) in error.message
    assert repr(second) in error.message
    assert error.expected == "every class once"


@pytest.mark.parametrize("name", ["ca\nt", "ca\tt", "\u202ecat", os.fsdecode(b"ca\xfft")])
def test_read_image_folder_class_without_a_printable_name_is_refused(folder, name):
    folder.images(name, "dog", count=1)
    error = folder.refuse()
    assert "has no printable name" in error.message
    error.message.encode()


@pytest.mark.parametrize("name", ["Zoë", "猫", "no pikachu", "a'b", "100%", "c++", "🐈", "-dash"])
def test_read_image_folder_class_may_have_any_printable_name(folder, name):
    folder.images(name, "dog", count=1)
    assert set(folder.read().label_names) == {name, "dog"}


def test_plan_dataset_file_names_of_two_codings_are_two_images(folder):
    folder.images("cat", "dog")
    folder.image(f"cat/{NFC}.png")
    folder.image(f"cat/{NFD}.png")
    ids = [image.record.source_id for image in folder.plan().records]
    assert ids.count(f"cat/{NFC}.png") == ids.count(f"cat/{NFD}.png") == 1


def test_plan_dataset_file_name_that_is_no_text_is_quarantined(folder):
    folder.images("cat", "dog", count=20)
    folder.image(os.fsdecode(b"cat/\xff.png"))
    result = folder.plan(max_quarantined_fraction=0.03)
    (bad,) = result.quarantined
    assert (bad.kind, bad.id, bad.reason) == ("image", r"'cat/\udcff.png'", QuarantineReason.BAD_FILE_NAME)
    (bad.id + bad.detail).encode()
    assert (len(result.records), result.image_count) == (40, 41)


@pytest.mark.parametrize(
    "name", ["a b.png", "a%20b.png", "a\\b.png", "a\nb.png", "..a.png".strip("."), "a..png", "'.png"]
)
def test_plan_dataset_odd_file_names_are_taken_as_they_are(folder, name):
    folder.images("cat", "dog")
    path = folder.image(f"cat/{name}")
    assert str(path) in [image.path for image in folder.plan().records]


# Links.


def test_read_image_folder_links_in_a_circle_end(folder):
    folder.images("cat", "dog", count=1)
    (folder.root / "cat/up").symlink_to("..")
    (folder.root / "dog/itself").symlink_to("../dog")
    (folder.root / "all").symlink_to(".")
    assert folder.names() == ["cat/0.png", "dog/0.png"]


def test_read_image_folder_link_to_another_class_does_not_take_its_images(folder):
    folder.images("cat", "dog", count=2)
    for link, target in (("cat/enemies", "../dog"), ("dog/enemies", "../cat"), ("a-dog", "dog"), ("z-cat", "cat")):
        (folder.root / link).symlink_to(target)
    content = folder.read()
    assert [image.file_name for image in content.images] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert content.label_names == ("cat", "dog")


def test_plan_dataset_class_may_be_a_link_to_a_hidden_folder(folder):
    folder.images(".store/1", ".store/2")
    (folder.root / "cat").symlink_to(".store/1")
    (folder.root / "dog").symlink_to(".store/2")
    result = folder.plan()
    assert result.label_names == ("cat", "dog")
    assert (len(result.records), result.quarantined) == (20, ())


def test_plan_dataset_links_of_files_in_a_circle_are_quarantined(folder):
    folder.images("cat", "dog", count=20)
    (folder.root / "cat/a.png").symlink_to("b.png")
    (folder.root / "cat/b.png").symlink_to("a.png")
    (folder.root / "cat/none.png").symlink_to("nothing.png")
    result = folder.plan(max_quarantined_fraction=0.1)
    assert {entry.id: entry.reason for entry in result.quarantined} == {
        "'cat/a.png'": QuarantineReason.UNREADABLE,
        "'cat/b.png'": QuarantineReason.UNREADABLE,
        "'cat/none.png'": QuarantineReason.MISSING_FILE,
    }


def test_plan_dataset_linked_class_outside_of_the_folder_is_quarantined(folder, tmp_path):
    folder.images("cat", "dog")
    outside = Folder(tmp_path / "elsewhere")
    outside.images("eel", count=1)
    (folder.root / "eel").symlink_to(outside.root / "eel")
    with pytest.raises(DataError, match="outside_images_folder 1"):
        folder.plan()


def test_plan_dataset_image_linked_into_another_class_has_conflicting_labels(folder):
    folder.images("cat", "dog", count=20)
    (folder.root / "cat/x.png").symlink_to("../dog/0.png")
    result = folder.plan(max_quarantined_fraction=0.1)
    assert {(entry.id, entry.reason) for entry in result.quarantined} == {
        ("cat/x.png", QuarantineReason.CONFLICTING_LABELS),
        ("dog/0.png", QuarantineReason.CONFLICTING_LABELS),
    }


# Too little.


def test_read_image_folder_missing_folder_is_refused(folder):
    assert "no such folder" in folder.refuse().message


def test_read_image_folder_file_in_its_place_is_refused(folder):
    folder.root.write_bytes(b"x")
    assert "not a folder" in folder.refuse().message


@pytest.mark.parametrize("names", [[], ["readme.txt"], ["a.png", "b.png"], ["cat/notes.txt", "dog/notes.txt"]])
def test_read_image_folder_without_images_in_classes_is_refused(folder, names):
    folder.root.mkdir()
    for name in names:
        folder.file(name)
    assert "holds no class folder with images" in folder.refuse().message


@pytest.mark.parametrize("empty", ["dog", "dog/deeper"])
def test_read_image_folder_one_class_beside_an_empty_one_is_refused(folder, empty):
    folder.images("cat", count=3)
    (folder.root / empty).mkdir(parents=True)
    error = folder.refuse()
    assert "holds one class folder with images, 'cat'" in error.message
    assert "images without the object need a folder too" in error.hint


def test_plan_dataset_class_of_one_image_is_refused_by_split_and_label(folder):
    folder.images("cat", "dog", count=30)
    folder.images("eel", count=1)
    with pytest.raises(DataError) as caught:
        folder.plan()
    missing = "eval" if "the eval split" in caught.value.message else "train"
    assert f"the {missing} split has no image of the label 'eel': cat " in caught.value.message
    assert caught.value.message.endswith("eel 0.")


def test_plan_dataset_class_that_eval_lacks_is_refused_by_split_and_label(folder):
    folder.images("train/cat", "train/dog", "eval/cat", count=5)
    with pytest.raises(DataError, match="the eval split has no image of the label 'dog': cat 5, dog 0"):
        folder.plan()


def test_plan_dataset_split_folders_without_train_are_refused(folder):
    folder.images("eval/cat", "eval/dog", count=5)
    with pytest.raises(DataError, match="the train split is empty; there are 10 images in all"):
        folder.plan()


# The plan.


def test_plan_dataset_folders_give_labels_without_objects(folder):
    folder.images("cat", "dog", "eel", count=20)
    result = folder.plan()
    assert result.label_names == ("cat", "dog", "eel")
    assert (result.positive, result.rule.id) == (None, "folder")
    assert [image.label for image in result.records] == [0] * 20 + [1] * 20 + [2] * 20
    assert {image.bucket for image in result.records} == {"not_annotated"}
    assert {(image.record.width, image.record.height, image.record.packed) for image in result.records} == {
        (None, None, b"")
    }
    assert (result.image_count, result.annotation_count) == (60, 0)
    assert result.counts.keys() == {"train", "eval"}


def test_plan_dataset_split_folders_are_followed(folder):
    folder.images("train/cat", "train/dog", "val/cat", "val/dog", "test/cat", "test/dog", count=3)
    result = folder.plan()
    assert result.counts == {"train": (3, 3), "eval": (3, 3), "test": (3, 3)}
    for image in result.records:
        assert image.record.file_name.startswith({"eval": "val"}.get(image.split, image.split) + "/")


def test_plan_dataset_without_eval_shares_train_out_and_keeps_test(folder):
    folder.images("train/cat", "train/dog", count=30)
    folder.images("test/cat", "test/dog", count=3)
    counts = folder.plan().counts
    assert counts["test"] == (3, 3)
    assert sum(counts["train"]) + sum(counts["eval"]) == 60
    assert min(counts["eval"]) > 0


def test_plan_dataset_copy_of_a_held_out_image_is_dropped_from_train(folder):
    folder.images("train/cat", "train/dog", "eval/cat", "eval/dog", "test/cat", "test/dog", count=3)
    data = (folder.root / "train/cat/0.png").read_bytes()
    folder.file("eval/cat/copy.png", data)
    result = folder.plan()
    assert result.dropped == (
        Dropped("train/cat/0.png", DropReason.DUPLICATE, "the same bytes as image eval/cat/copy.png"),
    )
    folder.file("test/cat/copy.png", data)
    assert [entry.id for entry in folder.plan().dropped] == ["eval/cat/copy.png", "train/cat/0.png"]


def test_plan_dataset_copy_in_another_class_is_quarantined_with_the_original(folder):
    folder.images("cat", "dog", count=20)
    folder.file("dog/copy.png", (folder.root / "cat/3.png").read_bytes())
    result = folder.plan(max_quarantined_fraction=0.1)
    detail = "the same bytes as image {}, which has another label"
    assert sorted(result.quarantined) == [
        Quarantined("image", "cat/3.png", QuarantineReason.CONFLICTING_LABELS, detail.format("dog/copy.png")),
        Quarantined("image", "dog/copy.png", QuarantineReason.CONFLICTING_LABELS, detail.format("cat/3.png")),
    ]


def test_plan_dataset_id_list_names_files_of_folders(folder, tmp_path):
    folder.images("cat", "dog")
    (tmp_path / "eval.txt").write_text("cat/3.png\ndog/7.png\n", encoding="utf-8")
    result = folder.plan(split_ids={"eval": str(tmp_path / "eval.txt")})
    assert [image.record.source_id for image in result.records if image.split == "eval"] == ["cat/3.png", "dog/7.png"]
    assert result.counts == {"train": (9, 9), "eval": (1, 1)}


def test_plan_dataset_id_list_beside_split_folders_is_refused(folder, tmp_path):
    folder.images("train/cat", "train/dog", "eval/cat", "eval/dog", count=1)
    (tmp_path / "eval.txt").write_text("train/cat/0.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds a folder per split, and data\.split_ids states splits too"):
        folder.plan(split_ids={"eval": str(tmp_path / "eval.txt")})


def test_plan_dataset_renamed_class_or_changed_image_changes_the_fingerprint(folder):
    folder.images("cat", "dog", count=20)
    before = folder.plan().fingerprint
    assert folder.plan().fingerprint == before
    (folder.root / "cat").rename(folder.root / "lion")
    renamed = folder.plan().fingerprint
    os.utime(folder.root / "dog/3.png", ns=(1, 1))
    assert len({before, renamed, folder.plan().fingerprint}) == 3
