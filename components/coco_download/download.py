"""COCO's images and annotations, fetched, verified and unpacked.

    DIRECTORY/
      train2017/  val2017/               images, each folder there only when all of it is
      annotations/instances_train2017.json …
      .downloads/
        train2017.zip.part               received so far, with its origin beside it
        train2017.zip                    received and verified; deleted when unpacked, unless it is to be kept
        unpacking/                       what is being unpacked
        complete.json                    what is unpacked: archive's MD5, files, bytes
        lock

Every step can be interrupted, by a kill too; the next call goes on from what is there.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.coco_download import archives
from components.coco_download.progress import Meter, View
from components.coco_download.range_download import PATIENT, PartFile, Patience, RemoteFile, fetch
from components.errors import ConfigError, DataError

# Plain http: the bucket's certificate does not cover this name. The checksums below are what is relied on.
SOURCE = "http://images.cocodataset.org"
YEARS = (2014, 2017)
SPLITS = ("train", "val")  # COCO's own names

_DOWNLOADS = ".downloads"


@dataclass(frozen=True)
class Archive:
    """One of COCO's archives.

    Attributes:
      name: of the archive, without `.zip`.
      path: below the server's root.
      size_bytes: of the archive.
      md5: of the archive. COCO publishes none; these are what the builders of many data sets independently state.
      expansion: disk space of what is unpacked from it, relative to `size_bytes`, rounded up. The images are JPEGs,
        which zip stores as they are, plus the unused end of each one's last block.
    """

    name: str
    path: str
    size_bytes: int
    md5: str
    expansion: float


# fmt: off
ARCHIVES = {archive.name: archive for archive in (
    Archive("train2014", "zips/train2014.zip", 13_510_573_713, "0da8c0bd3d6becc4dcb32757491aca88", 1.03),
    Archive("val2014", "zips/val2014.zip", 6_645_013_297, "a3d79f5ed8d289b7a7554ce06a5782b3", 1.03),
    Archive("annotations_trainval2014", "annotations/annotations_trainval2014.zip",
            252_872_794, "0a379cfc70b0e71301e0f377548639bd", 2.0),
    Archive("train2017", "zips/train2017.zip", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2", 1.03),
    Archive("val2017", "zips/val2017.zip", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80", 1.03),
    Archive("annotations_trainval2017", "annotations/annotations_trainval2017.zip",
            252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c", 2.0),
)}
# fmt: on


@dataclass(frozen=True)
class CocoSplit:
    """One split, ready for the config's `data` section.

    Attributes:
      annotations: the instances file.
      images: the folder that its `file_name` is relative to.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True)
class _Job:
    """An archive and which of its members, by their names in it and below the directory, are still missing."""

    archive: Archive
    members: tuple[str, ...]


@dataclass(frozen=True)
class _Contents:
    """What is unpacked under one name.

    Attributes:
      md5: of the archive it came from.
      files, total_bytes: number of files and the sum of their sizes.
      archive_kept: whether the archive was meant to stay.
    """

    md5: str
    files: int
    total_bytes: int
    archive_kept: bool


def download_coco(
    directory: Path,
    *,
    year: int,
    splits: Sequence[str],
    view: View,
    mirror: str = SOURCE,
    keep_archives: bool = False,
    patience: Patience = PATIENT,
) -> list[CocoSplit]:
    """Brings splits of COCO into a folder; what is there already is left as it is.

    Args:
      directory: is made if it is not there.
      year: one of `YEARS`.
      splits: some of `SPLITS`.
      view: is told what happens.
      mirror: URL that stands for `SOURCE`; the same paths lie below it.
      keep_archives: whether the archives stay in `.downloads` when they are unpacked.
      patience: when to give a server up.

    Returns:
      One entry per split, in the order of `SPLITS`.

    Raises:
      ConfigError: year, splits or mirror are none, or another process fills the same folder.
      DataError: the server, or an archive, is not what it should be; or the folder holds other files by these names.
      StorageError: there is too little room, or the folder cannot be written.
    """
    _check_choices(year, splits, mirror)
    splits = [split for split in SPLITS if split in splits]
    downloads = directory / _DOWNLOADS
    with archives.disk_errors(directory):
        downloads.mkdir(parents=True, exist_ok=True)
        with _lock(downloads / "lock"):
            workshop = _Workshop(directory, view, mirror.rstrip("/"), keep_archives, patience)
            jobs = workshop.plan(year, splits)
            workshop.clean()
            if jobs:
                needed_bytes = workshop.needed_bytes(jobs)
                archives.check_free_bytes(directory, needed_bytes)
                view.say(f"{directory}: takes up to {needed_bytes / 1e9:.1f} GB of the disk while it is filled")
            for job in jobs:
                workshop.carry_out(job)
    return [
        CocoSplit(directory / _instances(split, year), directory / f"{split}{year}")
        for split in SPLITS
        if split in splits
    ]


def _check_choices(year: int, splits: Sequence[str], mirror: str) -> None:
    if year not in YEARS:
        raise ConfigError(f"received year={year}.", expected=" or ".join(map(str, YEARS)))
    if unknown := [split for split in splits if split not in SPLITS]:
        raise ConfigError(f"received split={unknown[0]}.", expected=" or ".join(SPLITS))
    if not splits:
        raise ConfigError("received no split.", expected=" or ".join(SPLITS))
    if not mirror.startswith(("http://", "https://")):
        raise ConfigError(f"received mirror={mirror}.", expected=f"a URL such as {SOURCE}")


def _instances(split: str, year: int) -> str:
    return f"annotations/instances_{split}{year}.json"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds a lock file; the kernel lets go of it when the process ends, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{path.parent.parent}: another vww download-coco is filling this folder.",
                hint="wait for it to end, or name another folder",
            ) from error
        yield


class _Workshop:
    """One call's work in one directory; the lock is held."""

    def __init__(self, directory: Path, view: View, mirror: str, keep_archives: bool, patience: Patience) -> None:
        self._directory, self._view, self._mirror = directory, view, mirror
        self._keep_archives, self._patience = keep_archives, patience
        self._downloads = directory / _DOWNLOADS
        self._record = self._downloads / "complete.json"
        self._unpacking = self._downloads / "unpacking"

    def plan(self, year: int, splits: Sequence[str]) -> list[_Job]:
        """What is still to be done, the annotations first."""
        wanted = [(f"annotations_trainval{year}", tuple(_instances(split, year) for split in splits))]
        wanted += [(f"{split}{year}", (f"{split}{year}",)) for split in splits]
        jobs = []
        for name, members in wanted:
            missing = tuple(m for m in members if not self._is_complete(ARCHIVES[name], m))
            if missing:
                jobs.append(_Job(ARCHIVES[name], missing))
        return jobs

    def clean(self) -> None:
        """Removes what a killed call was about to remove."""
        shutil.rmtree(self._unpacking, ignore_errors=True)
        recorded = self._read_record().items()
        for archive in ARCHIVES.values():
            kept = [c.archive_kept for member, c in recorded if c.md5 == archive.md5 and self._path(member).exists()]
            if kept and not any(kept):
                self._zip(archive).unlink(missing_ok=True)

    def needed_bytes(self, jobs: Sequence[_Job]) -> int:
        """The most that the disk has to hold at any time beyond what it holds now."""
        now = most = 0
        for job in jobs:
            size = job.archive.size_bytes
            here = size if self._zip(job.archive).exists() else min(self._part(job.archive).size_bytes(), size)
            now += size - here + int(size * job.archive.expansion)
            most = max(most, now)
            if not self._keep_archives:
                now -= size
        return most

    def carry_out(self, job: _Job) -> None:
        """Fetches an archive, verifies it, unpacks what is missing, and shows it all at once."""
        archive = self._zip(job.archive)
        self._fetch(job.archive)
        self._verify(job.archive)
        members = archives.read_members(archive, job.members)
        archives.check_free_bytes(self._directory, archives.unpacked_bytes(members))
        self._view.start(f"unpacking {archive.name}")
        shutil.rmtree(self._unpacking, ignore_errors=True)
        archives.unpack(archive, members, self._unpacking, lambda done: self._view.advance(done, len(members), "files"))
        for member in job.members:
            # In this order: a recorded name that is not there is unpacked again, an unrecorded one is not ours.
            files, total_bytes = _measure(self._unpacking / member)
            self._write_record(member, _Contents(job.archive.md5, files, total_bytes, self._keep_archives))
            self._path(member).parent.mkdir(exist_ok=True)
            (self._unpacking / member).replace(self._path(member))
        shutil.rmtree(self._unpacking, ignore_errors=True)
        if not self._keep_archives:
            archive.unlink()
        self._view.finish(f"{len(members):,} files: {', '.join(str(self._path(m)) for m in job.members)}")

    def _is_complete(self, archive: Archive, member: str) -> bool:
        """Whether it is unpacked already.

        Raises:
          DataError: something else is there by its name, which is nobody's to delete but its owner's.
        """
        path, recorded = self._path(member), self._read_record().get(member)
        files, total_bytes = _measure(path)
        if files == 0:
            return False
        found = f"files={files:,}, bytes={total_bytes:,}"
        if recorded is None:
            wrong, expected = f"received {found}", "nothing by that name"
        elif (recorded.files, recorded.total_bytes) != (files, total_bytes):
            wrong = f"received {found}"
            expected = f"files={recorded.files:,}, bytes={recorded.total_bytes:,}, as they were unpacked"
        elif recorded.md5 != archive.md5:
            wrong = f"unpacked from an archive of md5={recorded.md5}"
            expected = f"one of md5={archive.md5}"
        else:
            self._view.say(f"{path}: complete already, {files:,} files")
            return True
        raise DataError(
            f"{path}: {wrong}.",
            expected=expected,
            hint="move it away or delete it to fetch it again, or name another folder",
        )

    def _fetch(self, archive: Archive) -> None:
        part, meter = self._part(archive), Meter(self._view, archive.size_bytes)
        if self._zip(archive).exists() or part.size_bytes() == archive.size_bytes:
            return
        if part.size_bytes():
            self._view.say(f"{archive.name}.zip: {part.size_bytes() / 1e6:,.0f} MB are here already")
        self._view.start(f"fetching {archive.name}.zip")
        fetch(
            RemoteFile(f"{self._mirror}/{archive.path}", archive.size_bytes),
            part,
            on_bytes=meter,
            on_retry=lambda reason, wait_s: self._view.say(
                f"{archive.name}.zip: {reason}; at {part.size_bytes() / 1e6:,.0f} MB; again in {wait_s:.0f} s"
            ),
            patience=self._patience,
        )
        self._view.finish(meter.summary())

    def _verify(self, archive: Archive) -> None:
        """Holds size and MD5 against the table; a part file that passes becomes the archive."""
        part, whole = self._part(archive), self._zip(archive)
        path = whole if whole.exists() else part.path
        self._view.start(f"checking {archive.name}.zip")
        md5 = archives.md5_of(path, Meter(self._view, archive.size_bytes))
        size_bytes = path.stat().st_size
        if md5 != archive.md5:
            if path == part.path:
                part.remove()
            raise DataError(
                f"{path}: received md5={md5}, bytes={size_bytes:,}.",
                expected=f"md5={archive.md5}, bytes={archive.size_bytes:,}",
                hint="this is not COCO's archive; delete it, then run the command again"
                if path == whole
                else "the download is deleted; run the command again, with another --mirror if it happens again",
            )
        if path == part.path:
            part.become(whole)
        self._view.finish(f"md5 {md5}")

    def _path(self, member: str) -> Path:
        return self._directory / member

    def _zip(self, archive: Archive) -> Path:
        return self._downloads / f"{archive.name}.zip"

    def _part(self, archive: Archive) -> PartFile:
        return PartFile(self._downloads / f"{archive.name}.zip.part")

    def _read_record(self) -> dict[str, _Contents]:
        try:
            entries: dict[str, Any] = json.loads(self._record.read_text(encoding="utf-8"))
            return {member: _Contents(**fields) for member, fields in entries.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self._record}: not a record of what is unpacked: {error}.",
                hint="delete it, and the folders beside .downloads that it is about, then run the command again",
            ) from error

    def _write_record(self, member: str, contents: _Contents) -> None:
        entries = {name: asdict(value) for name, value in {**self._read_record(), member: contents}.items()}
        draft = self._record.with_name("complete.json.new")
        draft.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        draft.replace(self._record)


def _measure(path: Path) -> tuple[int, int]:
    """Files at or below a path, and the sum of their sizes in bytes; (0, 0) if nothing is there."""
    if path.is_file():
        return 1, path.stat().st_size
    if not path.is_dir():
        return 0, 0
    files = total_bytes = 0
    with os.scandir(path) as entries:
        for entry in entries:
            more = _measure(Path(entry.path)) if entry.is_dir() else (1, entry.stat().st_size)
            files, total_bytes = files + more[0], total_bytes + more[1]
    return files, total_bytes
