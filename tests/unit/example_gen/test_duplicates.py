import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from components.example_gen.duplicates import find_duplicates
from components.example_gen.storage import ImageFile

PROCESS_IO = Path("/proc/self/io")


def stat(path):
    return ImageFile(str(path), path.stat().st_size, path.stat().st_mtime_ns)


@pytest.fixture
def files(tmp_path):
    """Writes contents to files."""

    def write(*contents):
        paths = [tmp_path / f"{n}.jpg" for n in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return [stat(path) for path in paths]

    return write


BLOCK = bytes(range(256)) * 40  # longer than the end that is compared first


@pytest.mark.parametrize(
    ("contents", "groups"),
    [
        ([], []),
        ([b"a"], []),
        ([b"a", b"b"], []),
        ([b"a", b"aa"], []),
        ([b"a", b"a"], [[0, 1]]),
        ([b"b", b"a", b"c", b"a", b"b", b"a"], [[0, 4], [1, 3, 5]]),
        ([b"x" + BLOCK, b"y" + BLOCK], []),
        ([BLOCK + b"x", BLOCK + b"y"], []),
        ([b"x" + BLOCK, b"y" + BLOCK, b"x" + BLOCK], [[0, 2]]),
        ([b"", b""], []),
    ],
    ids=["none", "one", "differ", "longer", "same", "groups", "same_end", "same_beginning", "both", "empty"],
)
def test_find_duplicates_groups_files_of_the_same_bytes(files, contents, groups):
    assert find_duplicates(files(*contents)) == groups


def test_find_duplicates_random_files_match_a_comparison_of_all_pairs(files):
    random = np.random.default_rng(0)
    pool = [random.integers(0, 2, size).astype(np.uint8).tobytes() for size in (1, 2, 3, 4096, 4097, 5000) * 4]
    pool += [content[:-4096] + b"\0" + content[-4095:] for content in pool if len(content) > 4096]
    contents = [pool[n] for n in random.integers(0, len(pool), 150)]
    groups = find_duplicates(files(*contents))
    for group in groups:
        assert group == sorted(group)
        assert len(group) > 1
    together = {pair for group in groups for pair in itertools.combinations(group, 2)}
    assert together == {
        (a, b) for a, b in itertools.combinations(range(len(contents)), 2) if contents[a] == contents[b]
    }
    assert groups == sorted(groups)
    assert together


def test_find_duplicates_the_same_file_twice_is_a_copy(files):
    (file,) = files(b"a")
    assert find_duplicates([file, file]) == [[0, 1]]


def test_find_duplicates_linked_file_is_a_copy(files, tmp_path):
    (file,) = files(b"a")
    os.link(file.path, tmp_path / "hard.jpg")
    (tmp_path / "soft.jpg").symlink_to(file.path)
    assert find_duplicates([file, stat(tmp_path / "hard.jpg"), stat(tmp_path / "soft.jpg")]) == [[0, 1, 2]]


@pytest.mark.parametrize("content", [b"abc", BLOCK])
def test_find_duplicates_file_that_has_gone_belongs_to_none(files, content):
    listed = files(content, content, content)
    Path(listed[1].path).unlink()
    assert find_duplicates(listed) == [[0, 2]]


def test_find_duplicates_file_that_became_a_folder_belongs_to_none(files):
    listed = files(b"abc", b"abc", b"abc")
    Path(listed[1].path).unlink()
    Path(listed[1].path).mkdir()
    assert find_duplicates(listed) == [[0, 2]]


def test_find_duplicates_objects_in_a_bucket_are_compared_by_size_and_digest(files):
    remote = [
        ImageFile("gs://b/1", 10, 1, "one"),
        ImageFile("gs://b/2", 10, 2, "one"),
        ImageFile("gs://b/3", 11, 3, "one"),
        ImageFile("gs://b/4", 10, 4, "two"),
        ImageFile("gs://b/5", 0, 5, "none"),
        ImageFile("gs://b/6", 0, 6, "none"),
    ]
    assert find_duplicates(remote) == [[0, 1]]
    assert find_duplicates([*files(b"a", b"a"), *remote]) == [[0, 1], [2, 3]]


def test_find_duplicates_objects_without_a_digest_belong_to_none():
    assert find_duplicates([ImageFile("gs://b/1", 10, 1), ImageFile("gs://b/2", 10, 2)]) == []


@pytest.mark.skipif(not PROCESS_IO.exists(), reason="needs Linux's count of the bytes read")
def test_find_duplicates_reads_only_the_ends_of_files_that_differ_there(files):
    size = 2**20
    listed = files(*(bytes(size) + bytes([n]) for n in range(50)))
    before = bytes_read()
    assert find_duplicates(listed) == []
    assert bytes_read() - before < 2 * size


def bytes_read():
    return int(PROCESS_IO.read_text().splitlines()[0].removeprefix("rchar: "))
