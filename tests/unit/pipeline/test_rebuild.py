"""What a rebuild says and ends with; that a release comes out equal, `tests/pipeline/test_release.py` shows."""

import pytest

from components.errors import ReleaseError
from components.pusher.rebuilt import OtherVersion, Rebuild, RebuiltFile
from pipeline import rebuild as module


def _rebuild(*differences, other_versions=()):
    file = RebuiltFile(path="a_micro.tflite", released_bytes=4, rebuilt_bytes=4, differences=differences)
    return Rebuild(files=(file,), other_versions=other_versions)


def test_check_rebuild_of_equal_files_passes():
    module.check_rebuild("demo", "1" * 12, _rebuild())


@pytest.mark.parametrize(
    ("other_versions", "hint"),
    [
        ((), "the processor is left"),
        ((OtherVersion(package="tensorflow", released="2.21.0", here="2.20.0"),), "make setup"),
    ],
)
def test_check_rebuild_of_other_bytes_names_the_file_and_what_may_be_the_cause(other_versions, hint):
    found = _rebuild("1 bytes differ, the first at 2", other_versions=other_versions)
    with pytest.raises(ReleaseError, match=r"demo 1{12} came out otherwise: a_micro\.tflite") as caught:
        module.check_rebuild("demo", "1" * 12, found)
    assert hint in caught.value.hint


def test_print_rebuild_shows_differences_and_other_versions(capsys):
    found = _rebuild(
        "2 bytes differ, the first at 9",
        "scales of 1 of 3 tensors, the first of them tensor 2",
        other_versions=(OtherVersion(package="tensorflow", released="2.21.0", here=None),),
    )
    module.print_rebuild("demo", "1" * 12, found)
    said = capsys.readouterr().out
    assert "2 bytes differ, the first at 9; scales of 1 of 3 tensors" in said
    assert "not installed" in said
