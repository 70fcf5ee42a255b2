"""COCO's download against a real server on the loopback interface that behaves as badly as it is told to."""

import contextlib
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.coco_download import archives
from components.coco_download import download as coco_download
from components.coco_download.download import Archive, download_coco
from components.coco_download.progress import Meter, duration
from components.coco_download.range_download import PartFile, Patience, RemoteFile, fetch
from components.errors import ConfigError, DataError, StorageError
from pipeline import cli
from pipeline.config import read_config

VWW = Path(sys.executable).with_name("vww")
HASTY = Patience(attempts=4, first_wait_s=0.0, longest_wait_s=0.0, stall_s=5.0)
IMAGES = 12
IMAGE_BYTES = 40_000
KIB = 1024


def zip_bytes(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def make_archives():
    """What stands in for COCO's files: name to bytes of the zip."""
    rng = random.Random(7)
    files = {}
    for year in (2014, 2017):
        for split in ("train", "val"):
            pictures = [(f"{split}{year}/{n:012d}.jpg", rng.randbytes(IMAGE_BYTES)) for n in range(IMAGES)]
            files[f"{split}{year}"] = zip_bytes([(f"{split}{year}/", b""), *pictures])
        documents = [
            (f"annotations/{kind}_{split}{year}.json", json.dumps({"noise": rng.randbytes(2000).hex()}))
            for kind in ("captions", "instances")
            for split in ("train", "val")
        ]
        files[f"annotations_trainval{year}"] = zip_bytes(documents, zipfile.ZIP_DEFLATED)
    return files


FILES = make_archives()
ONE = FILES["train2017"]


def archive_of(name, data):
    folder = "annotations" if name.startswith("annotations") else "zips"
    return Archive(name, f"{folder}/{name}.zip", len(data), hashlib.md5(data).hexdigest(), 2.0)


class Server:
    """Serves bytes by path. Misbehaviour:

    ranges: answers Range. drop_after: bytes of each body, one entry per request, after which the connection is cut;
    None for a whole one. statuses: sent instead of an answer, one per request. headers: sent in place of the true
    ones; a value of None leaves a header out. etag: of everything. silent_s: before a body; pause_s: within it.
    asked: the GETs so far, as (path, Range).
    """

    def __init__(self, files):
        self.files = {f"/{archive_of(name, data).path}": data for name, data in files.items()}
        self.ranges, self.drop_after, self.statuses, self.headers, self.etag = True, [], [], {}, '"one"'
        self.asked, self.if_ranges, self.pause_s, self.silent_s = [], [], 0.0, 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.answer(self)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # a client that was killed, or hung up on a lie
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        self.if_ranges.append(request.headers.get("If-Range"))
        data = self.files.get(request.path)
        status = self.statuses.pop(0) if self.statuses else None
        start = 0
        headers = {"ETag": self.etag}
        if data is None or status is not None:
            status, data = status or 404, b"no"
        elif wanted and self.ranges and request.headers.get("If-Range", self.etag) == self.etag:
            start, whole = int(wanted.removeprefix("bytes=").removesuffix("-")), len(data)
            status = 206 if start < whole else 416
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}" if status == 206 else f"bytes */{whole}"
            data = data[start:]
        else:
            status = 200
        headers |= {"Content-Length": str(len(data)), "Connection": "close"} | self.headers
        request.send_response(status)
        for name, value in headers.items():
            if value is not None:
                request.send_header(name, value.format(start=start, length=len(data)))
        request.end_headers()
        request.close_connection = True
        keep = self.drop_after.pop(0) if self.drop_after else None
        body = data if keep is None else data[:keep]
        time.sleep(self.silent_s)
        for offset in range(0, len(body), 64 * KIB):
            request.wfile.write(body[offset : offset + 64 * KIB])
            time.sleep(self.pause_s)


class View:
    """Remembers what a person would see."""

    def __init__(self):
        self.said, self.steps, self.units = [], [], []

    def say(self, text):
        self.said.append(text)

    def start(self, title):
        self.steps.append(title)

    def advance(self, done, total, unit):
        assert 0 <= done <= total
        self.units.append(unit)

    def finish(self, note):
        self.said.append(note)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(coco_download, "ARCHIVES", {name: archive_of(name, data) for name, data in FILES.items()})
    running = Server(FILES)
    yield running
    running.close()


@pytest.fixture
def part(tmp_path):
    return PartFile(tmp_path / "train2017.zip.part")


def fetch_one(server, part, patience=HASTY):
    retries = []
    remote = RemoteFile(f"{server.url}/zips/train2017.zip", len(ONE))
    fetch(remote, part, on_bytes=lambda _: None, on_retry=lambda why, _: retries.append(why), patience=patience)
    return retries


def download(server, folder, view=None, **options):
    options = {"year": 2017, "splits": ("train", "val"), "patience": HASTY, "mirror": server.url} | options
    return download_coco(folder, view=view or View(), **options)


def tree(folder):
    """Name to digest of every visible file."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and ".downloads" not in file.parts
    }


def expected_tree(year=2017, splits=("train", "val")):
    found = {}
    for name in (*(f"{split}{year}" for split in splits), f"annotations_trainval{year}"):
        with zipfile.ZipFile(io.BytesIO(FILES[name])) as archive:
            for member in archive.namelist():
                is_image = member.endswith(".jpg")
                if is_image or any(member.endswith(f"instances_{split}{year}.json") for split in splits):
                    found[member] = hashlib.sha256(archive.read(member)).hexdigest()
    return found


# One file, one server.


def test_fetch_plain_server_gets_the_file_in_one_request(server, part):
    assert fetch_one(server, part) == []
    assert part.path.read_bytes() == ONE
    assert server.asked == [("/zips/train2017.zip", None)]


def test_fetch_connection_dropped_several_times_goes_on_where_it_stopped(server, part):
    server.drop_after = [100_000, 3, 70_001, 200_000]
    retries = fetch_one(server, part)
    assert part.path.read_bytes() == ONE
    assert retries == ["the connection was lost"] * 4
    starts = [int(wanted[6:-1]) for _, wanted in server.asked[1:] if wanted]
    assert starts == sorted(starts)
    # Nothing but an unfinished block is fetched twice.
    assert starts[-1] > 100_000 + 70_001 + 200_000 - 4 * 64 * KIB


def test_fetch_server_without_ranges_starts_from_zero(server, part):
    server.ranges, server.drop_after = False, [300_000]
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE
    assert len(server.asked) == 2


def test_fetch_server_without_ranges_that_always_drops_is_given_up(server, part):
    # Later connections get further than the one before, but never further than the furthest.
    server.ranges, server.drop_after = False, [400_000] + [100_000, 200_000, 300_000] * 4
    with pytest.raises(DataError, match="given up after 4 connections") as caught:
        fetch_one(server, part)
    assert f"{len(ONE):,} bytes" in caught.value.expected
    assert caught.value.hint is not None
    assert len(server.asked) == 5


def test_fetch_short_bodies_without_end_are_given_up_and_kept(server, part):
    server.drop_after = [200_000] + [0] * 20
    with pytest.raises(DataError, match="without progress"):
        fetch_one(server, part)
    assert ONE.startswith(part.path.read_bytes())
    assert part.size_bytes() > 100_000


@pytest.mark.parametrize("difference", [-1000, 1000, 10**12])
def test_fetch_content_length_of_another_size_is_refused_before_anything_is_written(server, part, difference):
    server.headers = {"Content-Length": str(len(ONE) + difference)}
    with pytest.raises(DataError, match="offers a file of") as caught:
        fetch_one(server, part)
    assert caught.value.expected == f"{len(ONE):,} bytes"
    assert part.size_bytes() == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-{length}/" + str(len(ONE))},
        {"Content-Range": "bytes {start}-" + f"{len(ONE) - 1}/{len(ONE) + 5}"},
        {"Content-Range": "bytes {start}-" + f"{len(ONE) - 2}/{len(ONE)}"},
        {"Content-Range": "pages 1-2/3"},
        {"Content-Range": None},
        {"Content-Length": "17"},
    ],
)
def test_fetch_wrong_range_in_answer_is_refused_and_the_part_stays(server, part, headers):
    part.restart(f"{server.url}/zips/train2017.zip", '"one"')
    part.path.write_bytes(ONE[:1000])
    server.headers = headers
    with pytest.raises(DataError, match=r"Content-Range|offers a file of"):
        fetch_one(server, part)
    assert part.path.read_bytes() == ONE[:1000]


def test_fetch_total_left_open_in_content_range_is_accepted(server, part):
    part.path.write_bytes(ONE[:1000])
    server.headers = {"Content-Range": "bytes {start}-" + f"{len(ONE) - 1}/*"}
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE


def test_fetch_partial_answer_to_a_whole_request_is_refused(server, part):
    server.statuses = [206]
    with pytest.raises(DataError, match="Content-Range"):
        fetch_one(server, part)
    assert part.size_bytes() == 0


def test_fetch_body_longer_than_the_file_without_length_is_refused_and_emptied(server, part):
    server.files["/zips/train2017.zip"] = ONE + b"more" * 100_000
    server.headers = {"Content-Length": None}
    with pytest.raises(DataError, match="more than it should"):
        fetch_one(server, part)
    assert part.size_bytes() == 0


def test_fetch_encoded_body_is_refused(server, part):
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DataError, match="Content-Encoding=gzip"):
        fetch_one(server, part)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
def test_fetch_answer_that_no_retry_mends_is_refused_at_once(server, part, status):
    server.statuses = [status]
    with pytest.raises(DataError, match=f"HTTP {status}"):
        fetch_one(server, part)
    assert len(server.asked) == 1


def test_fetch_server_errors_then_fine_succeeds(server, part):
    server.statuses = [500, 503, 429]
    assert len(fetch_one(server, part)) == 3
    assert part.path.read_bytes() == ONE


def test_fetch_no_server_is_given_up_with_the_reason(server, part):
    server.close()
    with pytest.raises(DataError, match=r"4 connections.*Connection refused"):
        fetch_one(server, part)


def test_fetch_silent_server_is_given_up_after_the_stall_time(server, part):
    server.silent_s = 3.0
    began = time.monotonic()
    with pytest.raises(DataError, match="timed out"):
        fetch_one(server, part, patience=Patience(attempts=2, first_wait_s=0, longest_wait_s=0, stall_s=0.2))
    assert time.monotonic() - began < 3.0


def test_fetch_etag_changed_between_resumes_restarts(server, part):
    server.drop_after = [200_000]
    with pytest.raises(DataError):
        fetch_one(server, part, patience=Patience(attempts=0, first_wait_s=0))
    part.path.write_bytes(b"old" * 50_000)  # what another version of the file would have left
    server.etag = '"two"'
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE
    assert part.etag(f"{server.url}/zips/train2017.zip") == '"two"'


def test_fetch_changed_etag_in_a_partial_answer_restarts(server, part):
    """A server that answers Range but has never heard of If-Range."""
    part.restart(f"{server.url}/zips/train2017.zip", '"one"')
    part.path.write_bytes(b"old" * 50_000)
    server.headers = {"ETag": '"two"'}
    assert any("has changed" in reason for reason in fetch_one(server, part))
    assert part.path.read_bytes() == ONE


def test_fetch_part_of_another_server_is_resumed_without_its_etag(server, part):
    part.restart("http://elsewhere/zips/train2017.zip", '"theirs"')
    part.path.write_bytes(ONE[:123_456])
    fetch_one(server, part)
    assert server.asked == [("/zips/train2017.zip", "bytes=123456-")]
    assert server.if_ranges == [None]
    assert part.path.read_bytes() == ONE


def test_fetch_weak_etag_is_not_sent_back(server, part):
    server.etag, server.drop_after = 'W/"weak"', [200_000]
    fetch_one(server, part)
    assert server.if_ranges == [None, None]
    assert part.path.read_bytes() == ONE


def test_fetch_range_not_satisfiable_starts_again(server, part):
    part.path.write_bytes(ONE[:1000])
    server.statuses = [416]
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE
    assert server.asked[1] == ("/zips/train2017.zip", None)


def test_fetch_range_not_satisfiable_since_the_file_is_shorter_is_refused(server, part):
    part.path.write_bytes(ONE[:1000])
    server.files["/zips/train2017.zip"] = ONE[:900]
    with pytest.raises(DataError, match="offers a file of 900 bytes"):
        fetch_one(server, part)


def test_fetch_part_longer_than_the_file_starts_again(server, part):
    part.path.write_bytes(ONE + b"x")
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE


def test_fetch_torn_origin_file_resumes_without_etag(server, part):
    part.path.write_bytes(ONE[:5000])
    part.path.with_name(f"{part.path.name}.origin.json").write_text('{"url": "ht')
    fetch_one(server, part)
    assert part.path.read_bytes() == ONE


def test_patience_wait_doubles_up_to_its_limit():
    patience = Patience(first_wait_s=1, longest_wait_s=10)
    assert [patience.wait_s(n) for n in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]


# The whole command.


def test_download_both_splits_brings_images_and_their_annotations_only(server, tmp_path):
    view = View()
    found = download(server, tmp_path / "coco", view)
    assert tree(tmp_path / "coco") == expected_tree()
    assert [s.images.name for s in found] == ["train2017", "val2017"]
    assert all(s.annotations.is_file() and s.images.is_dir() for s in found)
    assert not list((tmp_path / "coco" / ".downloads").glob("*.zip*"))
    assert any("MB/s" in text for text in view.said)


@pytest.mark.parametrize("year", [2014, 2017])
def test_download_one_split_leaves_the_other_alone(server, tmp_path, year):
    download(server, tmp_path, year=year, splits=["val"])
    assert tree(tmp_path) == expected_tree(year, ("val",))


def test_download_again_asks_for_nothing_and_says_so(server, tmp_path):
    download(server, tmp_path)
    before, server.asked = tree(tmp_path), []
    view = View()
    download(server, tmp_path, view)
    assert server.asked == []
    assert tree(tmp_path) == before
    assert view.steps == []
    assert sum("complete already" in text for text in view.said) == 4


def test_download_second_split_later_fetches_only_what_is_missing(server, tmp_path):
    download(server, tmp_path, splits=["val"])
    server.asked = []
    download(server, tmp_path)
    assert [path for path, _ in server.asked] == [
        "/annotations/annotations_trainval2017.zip",
        "/zips/train2017.zip",
    ]
    assert tree(tmp_path) == expected_tree()


def test_download_kept_archives_stay_and_serve_the_next_split(server, tmp_path):
    download(server, tmp_path, splits=["val"], keep_archives=True)
    server.asked = []
    download(server, tmp_path)
    assert [path for path, _ in server.asked] == ["/zips/train2017.zip"]
    assert (tmp_path / ".downloads" / "val2017.zip").read_bytes() == FILES["val2017"]


def test_download_wrong_bytes_of_the_right_size_are_deleted_and_refused(server, tmp_path):
    good = server.files["/zips/val2017.zip"]
    server.files["/zips/val2017.zip"] = good[:5000] + b"!" + good[5001:]
    with pytest.raises(DataError, match="received md5=") as caught:
        download(server, tmp_path, splits=["val"])
    assert hashlib.md5(good).hexdigest() in caught.value.expected
    assert "--mirror" in caught.value.hint
    assert not list((tmp_path / ".downloads").glob("val2017.zip*"))
    assert not (tmp_path / "val2017").exists()
    server.files["/zips/val2017.zip"] = good
    download(server, tmp_path, splits=["val"])
    assert tree(tmp_path) == expected_tree(splits=("val",))


def test_download_bytes_damaged_in_the_part_file_are_found(server, tmp_path):
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "train2017.zip.part").write_bytes(b"x" + ONE[1:70_000])
    with pytest.raises(DataError, match="received md5="):
        download(server, tmp_path, splits=["train"])


def test_download_own_archive_is_verified_and_never_deleted_when_wrong(server, tmp_path):
    (tmp_path / ".downloads").mkdir()
    own = tmp_path / ".downloads" / "train2017.zip"
    own.write_bytes(ONE[:-1])
    with pytest.raises(DataError, match="received md5="):
        download(server, tmp_path, splits=["train"])
    assert own.exists()
    own.write_bytes(ONE)
    server.asked = []
    download(server, tmp_path, splits=["train"])
    assert server.asked == []
    assert tree(tmp_path) == expected_tree(splits=("train",))


def test_download_part_file_cut_at_random_gives_the_same_result(server, tmp_path):
    rng = random.Random(3)
    for number, cut in enumerate([0, 1, len(ONE) - 1, len(ONE), *(rng.randrange(len(ONE)) for _ in range(8))]):
        folder = tmp_path / str(number)
        (folder / ".downloads").mkdir(parents=True)
        part = PartFile(folder / ".downloads" / "train2017.zip.part")
        part.restart(f"{server.url}/zips/train2017.zip", server.etag)
        part.path.write_bytes(ONE[:cut])
        server.asked = []
        download(server, folder, splits=["train"])
        assert tree(folder) == expected_tree(splits=("train",))
        ranges = [wanted for path, wanted in server.asked if "train2017.zip" in path and "zips" in path]
        assert ranges == ([] if cut == len(ONE) else [f"bytes={cut}-" if cut else None])


CHILD = """
import signal
import sys
from pathlib import Path
from components.coco_download import download as coco_download
from components.coco_download.download import Archive
from components.coco_download.range_download import Patience

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored

class View:
    def say(self, text): pass
    def start(self, title): pass
    def advance(self, done, total, unit): pass
    def finish(self, note): pass

coco_download.ARCHIVES = {a.name: a for a in (ARCHIVES)}
print("ready", flush=True)
coco_download.download_coco(Path(sys.argv[1]), year=2017, splits=["train", "val"], view=View(), mirror=sys.argv[2],
                            patience=Patience(attempts=3, first_wait_s=0.01))
"""


def start_child(server, folder):
    table = [archive_of(name, data) for name, data in FILES.items()]
    source = CHILD.replace("(ARCHIVES)", repr(table))
    command = [sys.executable, "-c", source, str(folder), server.url]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def test_download_killed_at_any_moment_finishes_when_run_again(server, tmp_path):
    server.pause_s = 0.01
    rng = random.Random(11)
    for number in range(8):
        folder = tmp_path / str(number)
        child = start_child(server, folder)
        time.sleep(rng.uniform(0.05, 0.6))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        for visible in ("train2017", "val2017"):
            # Half a folder is never seen by its name.
            assert len(list((folder / visible).glob("*"))) in (0, IMAGES)
        download(server, folder)
        assert tree(folder) == expected_tree()
        assert not list((folder / ".downloads").glob("*.zip*"))
        assert not (folder / ".downloads" / "unpacking").exists()


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("operation", ["replace", "unlink", "mkdir", "write_text"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_download_stopped_around_each_change_of_the_disk_finishes_when_run_again(
    server, tmp_path, monkeypatch, operation, moment
):
    real = getattr(Path, operation)
    for stop_at in range(1, 40):
        folder, calls = tmp_path / str(stop_at), 0

        def stopping(path, *args, stop_at=stop_at, **kwargs):
            nonlocal calls
            calls += 1
            if calls == stop_at and moment == "before":
                raise KilledError
            result = real(path, *args, **kwargs)
            if calls == stop_at:
                raise KilledError
            return result

        with monkeypatch.context() as patch:
            patch.setattr(Path, operation, stopping)
            with contextlib.suppress(KilledError):
                download(server, folder)
        if calls < stop_at:
            break
        download(server, folder)
        assert tree(folder) == expected_tree()
        assert not list((folder / ".downloads").glob("*.zip"))
    else:
        pytest.fail("more changes of the disk than this test walks through")


def test_download_interrupted_keeps_the_part_file(server, tmp_path):
    server.pause_s = 0.05
    child = start_child(server, tmp_path)
    part = tmp_path / ".downloads" / "train2017.zip.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode != 0
    assert 0 < part.stat().st_size < len(ONE)
    assert ONE.startswith(part.read_bytes())


def test_download_two_commands_on_one_folder_the_second_is_refused(server, tmp_path):
    server.pause_s = 0.1
    child = start_child(server, tmp_path)
    deadline = time.monotonic() + 20
    while not list((tmp_path / ".downloads").glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ConfigError, match="another vww download-coco"):
        download(server, tmp_path)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert tree(tmp_path) == expected_tree()


def test_download_folder_of_the_same_name_that_is_not_ours_is_refused_and_left(server, tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match="received files=1") as caught:
        download(server, tmp_path)
    assert "move it away" in caught.value.hint
    assert server.asked == []
    assert (tmp_path / "train2017" / "mine.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("change", ["delete", "shorten", "add"])
def test_download_folder_changed_since_is_refused_and_named(server, tmp_path, change):
    download(server, tmp_path, splits=["val"])
    image = next((tmp_path / "val2017").iterdir())
    if change == "delete":
        image.unlink()
    elif change == "shorten":
        os.truncate(image, 0)
    else:
        (tmp_path / "val2017" / "new.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="val2017") as caught:
        download(server, tmp_path, splits=["val"])
    assert f"files={IMAGES:,}" in caught.value.expected


def test_download_folder_of_another_archive_is_refused_and_named(server, tmp_path, monkeypatch):
    download(server, tmp_path, splits=["val"])
    table = coco_download.ARCHIVES | {"val2017": archive_of("val2017", b"another")}
    monkeypatch.setattr(coco_download, "ARCHIVES", table)
    with pytest.raises(DataError, match=f"val2017: unpacked from .*{hashlib.md5(FILES['val2017']).hexdigest()}"):
        download(server, tmp_path, splits=["val"])


def test_download_folder_deleted_by_its_owner_is_fetched_again(server, tmp_path):
    download(server, tmp_path, splits=["val"])
    shutil.rmtree(tmp_path / "val2017")
    download(server, tmp_path, splits=["val"])
    assert tree(tmp_path) == expected_tree(splits=("val",))


def test_download_torn_record_is_named(server, tmp_path):
    download(server, tmp_path, splits=["val"])
    (tmp_path / ".downloads" / "complete.json").write_text('{"val2017": 3}')
    with pytest.raises(DataError, match=r"complete\.json"):
        download(server, tmp_path, splits=["val"])


DiskUsage = namedtuple("DiskUsage", "total used free")


def needed_bytes(splits, keep_archives=False, here=0):
    """The rule, written down a second time."""
    held = most = 0
    for name in ("annotations_trainval2017", *(f"{split}2017" for split in splits)):
        held += len(FILES[name]) * 3
        most = max(most, held)
        held -= 0 if keep_archives else len(FILES[name])
    return most - here


@pytest.mark.parametrize("keep_archives", [False, True])
def test_download_too_little_room_is_refused_before_any_request(server, tmp_path, monkeypatch, keep_archives):
    needed = needed_bytes(("train", "val"), keep_archives)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, needed - 1))
    with pytest.raises(StorageError, match=f"free_bytes={needed - 1:,}, needed_bytes={needed:,}") as caught:
        download(server, tmp_path, keep_archives=keep_archives)
    assert caught.value.hint is not None
    assert server.asked == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, needed))
    download(server, tmp_path, keep_archives=keep_archives)


def test_download_what_is_here_already_needs_no_room(server, tmp_path, monkeypatch):
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "train2017.zip.part").write_bytes(ONE[:300_000])
    needed = needed_bytes(("train",), here=300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, needed - 1))
    with pytest.raises(StorageError, match=f"needed_bytes={needed:,}"):
        download(server, tmp_path, splits=["train"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, needed))
    download(server, tmp_path, splits=["train"])


def test_download_archive_that_unpacks_to_more_than_fits_is_refused_before_unpacking(server, tmp_path, monkeypatch):
    free = iter([10**9, 10**9, 1000])  # at the start, before the annotations, before the images
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, next(free)))
    with pytest.raises(StorageError, match="free_bytes=1,000"):
        download(server, tmp_path, splits=["train"])
    assert not (tmp_path / "train2017").exists()
    assert (tmp_path / ".downloads" / "train2017.zip").exists()


@pytest.mark.parametrize("size_kib", [300, 900])  # full while fetching; while unpacking
def test_download_disk_full_on_the_way_is_a_storage_error_and_resumable(server, tmp_path, monkeypatch, size_kib):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk of its own cannot be mounted here; that takes root")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, 10**9))
            with pytest.raises(StorageError, match="No space left") as caught:
                download(server, folder, splits=["train"])
        assert "make room" in caught.value.hint
        assert not (folder / "train2017").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
        download(server, folder, splits=["train"])
        assert tree(folder) == expected_tree(splits=("train",))
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def test_download_below_a_file_is_a_storage_error(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        download(server, tmp_path / "file" / "coco")


@pytest.mark.parametrize(
    "options", [{"year": 2015}, {"splits": ["test"]}, {"splits": []}, {"mirror": "ftp://x"}, {"mirror": "/srv/coco"}]
)
def test_download_unknown_choice_is_a_config_error_before_the_folder_is_made(server, tmp_path, options):
    with pytest.raises(ConfigError):
        download(server, tmp_path / "coco", **options)
    assert not (tmp_path / "coco").exists()


# Archives that attack.


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            info, data = entry if isinstance(entry, tuple) else (entry, b"x")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # zipfile's, about a name that stands twice
                archive.writestr(info, data)
    return path


def special(name, mode, create_system=3):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, create_system
    return info


def raw_name(name):
    """An entry under a name that `ZipInfo` would mend."""
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    return info


@pytest.mark.parametrize(
    "entries",
    [
        ["top/a", "../x"],
        ["top/a", "top/../../x"],
        ["top/a", "top/.."],
        ["top/a", "/abs"],
        ["top/a", "C:/x"],
        ["top/a", "c:x"],
        ["top/a", raw_name("top\\..\\x")],
        ["top/a", "top//x"],
        ["top/a", "./top/x"],
        ["top/a", (special("top/link", stat.S_IFLNK | 0o777), b"/etc/passwd")],
        ["top/a", (special("top/link", stat.S_IFLNK | 0o777, create_system=0), b"/etc/passwd")],
        ["top/a", (special("top/pipe", stat.S_IFIFO | 0o666), b"")],
        ["top/a", (special("top/device", stat.S_IFCHR | 0o666), b"")],
        ["top/a", "top/a"],
        ["top/a", "top/a/b"],
        ["other/a"],
        [],
    ],
)
def test_read_members_attack_or_foreign_archive_is_refused(tmp_path, entries):
    path = write_zip(tmp_path / "attack.zip", entries)
    with pytest.raises(DataError) as caught:
        archives.read_members(path, ["top"])
    assert str(path) in caught.value.message
    assert caught.value.hint is not None


def test_read_members_bomb_is_refused_by_its_stated_size(tmp_path):
    path = tmp_path / "bomb.zip"
    path.write_bytes(zip_bytes([("top/zeros", bytes(5_000_000))], zipfile.ZIP_DEFLATED))
    with pytest.raises(DataError, match="expand to 5,000,000 bytes"):
        archives.read_members(path, ["top"])


def test_unpack_bomb_that_lies_about_its_size_writes_no_more_than_it_states(tmp_path):
    path = tmp_path / "bomb.zip"
    data = zip_bytes([("top/zeros", bytes(5_000_000))], zipfile.ZIP_DEFLATED)
    path.write_bytes(data.replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    members = archives.read_members(path, ["top"])
    with pytest.raises(DataError, match="CRC"):
        archives.unpack(path, members, tmp_path / "out", lambda _: None)
    assert sum(f.stat().st_size for f in (tmp_path / "out").rglob("*") if f.is_file()) <= 1000


def test_unpack_damaged_member_is_refused_by_its_crc(tmp_path):
    path = tmp_path / "damaged.zip"
    data = bytearray(ONE)
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    members = archives.read_members(path, ["train2017"])
    with pytest.raises(DataError, match="CRC"):
        archives.unpack(path, members, tmp_path / "out", lambda _: None)


def test_read_members_encrypted_member_is_refused(tmp_path):
    path = tmp_path / "secret.zip"
    data = bytearray(zip_bytes([("top/a", b"x")]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        archives.read_members(path, ["top"])


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", ONE[:-30]])
def test_read_members_no_zip_file_is_refused(tmp_path, content):
    path = tmp_path / "train2017.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="zip file"):
        archives.read_members(path, ["train2017"])


def test_download_attack_in_a_verified_archive_leaves_nothing_outside(server, tmp_path, monkeypatch):
    attack = zip_bytes([("train2017/a.jpg", b"a"), ("train2017/../../x", b"x")])
    table = coco_download.ARCHIVES | {"train2017": archive_of("train2017", attack)}
    monkeypatch.setattr(coco_download, "ARCHIVES", table)
    server.files["/zips/train2017.zip"] = attack
    with pytest.raises(DataError, match="leave the folder"):
        download(server, tmp_path / "coco", splits=["train"])
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]
    assert not (tmp_path / "coco" / "train2017").exists()


# What a person sees.


def test_meter_names_speed_and_time_left(monkeypatch):
    now = iter([0.0, *range(100), 100.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    view = View()
    meter = Meter(view, 2_000_000_000)
    for second in range(61):
        meter(500_000_000 + second * 10_000_000)
    assert view.units[-1] == "MB, 10.0 MB/s, 90 s left"
    assert meter.summary().startswith("600 MB in ")


def test_meter_after_a_restart_measures_anew(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    view = View()
    meter = Meter(view, 100_000_000)
    for done in (50_000_000, 60_000_000, 0, 5_000_000):
        meter(done)
    assert view.units == ["MB", "MB, 10.0 MB/s, 4 s left", "MB", "MB, 5.0 MB/s, 19 s left"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (99, "99 s"), (150, "2 min"), (7300, "2 h 2 min")])
def test_duration_reads_as_a_person_says_it(seconds, text):
    assert duration(seconds) == text


def run_vww(*arguments):
    began = time.monotonic()
    finished = subprocess.run([VWW, *arguments], check=False, capture_output=True, text=True, timeout=60)
    return finished, time.monotonic() - began


def test_command_help_names_the_choices_and_is_light():
    finished, seconds = run_vww("download-coco", "--help")
    assert finished.returncode == 0
    assert "2014|2017" in finished.stdout
    assert "train|val" in finished.stdout
    assert seconds < 5  # under one on an idle machine


@pytest.mark.parametrize(
    "arguments", [["--year", "2015"], ["--year", "x"], [], ["--year", "2017", "--split", "test"]], ids=str
)
def test_command_wrong_argument_exits_2_without_a_folder(tmp_path, arguments):
    finished, _ = run_vww("download-coco", str(tmp_path / "coco"), *arguments)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""
    assert not (tmp_path / "coco").exists()


def test_command_prints_the_next_command_on_stdout_and_talks_on_stderr(server, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my: coco's #1"
    monkeypatch.setattr(
        sys, "argv", ["vww", "download-coco", str(folder), "--year", "2017", "--mirror", server.url, "--split", "val"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    printed = capsys.readouterr()
    words = shlex.split(printed.out.replace("\\\n", ""))
    assert words[:2] == ["vww", "run"]
    assert words[3::2] == ["--set", "--set"]
    config = read_config(words[2], words[4::2])
    assert Path(config.data.annotations) == folder / "annotations" / "instances_val2017.json"
    assert Path(config.data.images) == folder / "val2017"
    assert "unpacking val2017.zip" in printed.err
    assert "MB/s" in printed.err


def test_command_both_splits_become_train_and_eval_of_the_next_command(server, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "coco"
    wanted = ["--year", "2017", "--mirror", server.url, "--split", "val", "--split", "train"]
    monkeypatch.setattr(sys, "argv", ["vww", "download-coco", str(folder), *wanted])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    words = shlex.split(capsys.readouterr().out.replace("\\\n", ""))
    train, evaluation = read_config(words[2], words[4::2]).data.sources
    assert (train.split, Path(train.images).name, Path(train.annotations).name) == (
        "train",
        "train2017",
        "instances_train2017.json",
    )
    assert (evaluation.split, Path(evaluation.images).name) == ("eval", "val2017")


def test_archives_table_is_whole():
    assert len(coco_download.ARCHIVES) == 6
    for name, archive in coco_download.ARCHIVES.items():
        assert archive.path.endswith(f"/{name}.zip")
        assert len(archive.md5) == 32
        assert archive.size_bytes > 200_000_000
