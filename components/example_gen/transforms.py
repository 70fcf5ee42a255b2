"""The Beam side of CocoExampleGen: shards in, TFRecord files and their summaries out."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pydantic import TypeAdapter

from components import progress
from components.example_gen.image_bytes import CheckedImage, check_image
from components.example_gen.labeling import RuleParameters, find_label_givers
from components.example_gen.plan import LabeledImage
from components.example_gen.quarantine import BadRecord, Quarantined
from components.example_gen.records import TFRecordFile, encode_example
from components.example_gen.shards import Shard
from components.example_gen.storage import FileReader

_DIGEST_MODULUS = 2**256


@dataclass(frozen=True)
class ShardSummary:
    """What was written, in a form that adds up in any order.

    Attributes:
      counts: examples per split and label name.
      digest: sum, modulo 2**256, of the SHA-256 of every example with its split.
      reencoded: images that TensorFlow could not have decoded as they were.
      quarantined: images that were left out, and why.
      split_digest: sum, modulo 2**256, of the SHA-256 of every image's id with its split.
      exif_ignored: images that EXIF turns, written as they are stored.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    digest: int = 0
    reencoded: int = 0
    quarantined: tuple[Quarantined, ...] = ()
    split_digest: int = 0
    exif_ignored: int = 0

    def __add__(self, other: "ShardSummary") -> "ShardSummary":
        splits = sorted({*self.counts, *other.counts})
        return ShardSummary(
            counts={s: dict(Counter(self.counts.get(s, {})) + Counter(other.counts.get(s, {}))) for s in splits},
            digest=(self.digest + other.digest) % _DIGEST_MODULUS,
            reencoded=self.reencoded + other.reencoded,
            quarantined=self.quarantined + other.quarantined,
            split_digest=(self.split_digest + other.split_digest) % _DIGEST_MODULUS,
            exif_ignored=self.exif_ignored + other.exif_ignored,
        )


_SUMMARY = TypeAdapter(ShardSummary)


def write_summary(summary: ShardSummary, path: str) -> None:
    """Hands a pipeline's result to whoever waits for it, through a file that both can reach."""
    with _create(path) as file:
        file.write(_SUMMARY.dump_json(summary))


def read_summary(path: str) -> ShardSummary:
    """Reads what `write_summary` wrote."""
    with _open(path) as file:
        return _SUMMARY.validate_json(file.read())


def write_shards(shards: Iterable[Shard], folder: str) -> list[str]:
    """Lays the shards down as files that every worker can reach, and gives their paths.

    Beam carries the paths alone: as elements of `beam.Create` the shards would be compressed into the pipeline's
    graph, which for a large set costs more than reading its annotations.
    """
    FileSystems.mkdirs(folder)
    paths = []
    for shard in shards:
        paths.append(f"{folder}/{shard.split}-{shard.index:05d}")
        with _create(paths[-1]) as file:
            file.write(shard.to_bytes())
    return paths


def _open(path: str) -> Any:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _create(path: str) -> Any:
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


class _ImageCount:
    """Images finished in this process, for the progress bar."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0

    def add(self, total: int) -> None:
        with self._lock:
            self._done += 1
            progress.report(self._done, total, "images")


class WriteShard(beam.DoFn):  # type: ignore[misc]  # Beam publishes no types
    """Reads, checks, labels and writes the images of one shard, one at a time."""

    def __init__(
        self,
        directory: str,
        label_names: tuple[str, ...],
        total: int,
        category_labels: Mapping[int, int],
        rule: RuleParameters | None,
    ) -> None:
        self._directory = directory
        self._label_names = label_names
        self._total = total
        self._category_labels = category_labels
        self._rule = rule

    def setup(self) -> None:
        """Counts and connects anew in every worker."""
        self._counter = _ImageCount()
        self._reader = FileReader()

    def process(self, shard_path: str) -> Iterator[ShardSummary]:
        """Writes to a temporary name and renames, so that a retried bundle never leaves half a file."""
        with _open(shard_path) as file:
            shard = Shard.from_bytes(file.read())
        path = f"{self._directory}/{shard.file_name}"
        temporary = f"{self._directory}/{shard.split}-{shard.index:05d}.tmp"
        counts: Counter[str] = Counter()
        quarantined: list[Quarantined] = []
        digest = reencoded = split_digest = exif_ignored = 0
        with _create(temporary) as file:
            writer = TFRecordFile(file)
            for image in shard.images:
                self._counter.add(self._total)
                try:
                    example, checked = self._encode(image)
                except BadRecord as bad:
                    quarantined.append(Quarantined("image", image.record.source_id, bad.reason, bad.detail))
                    continue
                writer.write(example)
                counts[self._label_names[image.label]] += 1
                reencoded += checked.reencoded
                exif_ignored += checked.ignores_exif
                digest += _digest(shard.split, example)
                split_digest += _split_digest(shard.split, image.record.source_id)
        _make_folder(path.rpartition("/")[0])
        FileSystems.rename([temporary], [path])
        yield ShardSummary(
            {shard.split: dict(counts)},
            digest % _DIGEST_MODULUS,
            reencoded,
            tuple(quarantined),
            split_digest % _DIGEST_MODULUS,
            exif_ignored,
        )

    def _encode(self, image: LabeledImage) -> tuple[tuple[bytes, bytes, bytes], CheckedImage]:
        record = image.record
        checked = check_image(self._reader.read_image(image.path), width=record.width, height=record.height)
        example = encode_example(
            record,
            checked,
            label=image.label,
            label_text=self._label_names[image.label],
            largest_object=image.bucket,
            category_labels=self._category_labels,
            label_givers=find_label_givers(record, image.label, self._category_labels, self._rule),
        )
        return example, checked


def _digest(split: str, example: tuple[bytes, bytes, bytes]) -> int:
    """SHA-256 of an example and its split. The image is in it by its own digest, which stands among the features."""
    before, _, after = example
    return int.from_bytes(hashlib.sha256(split.encode() + before + after).digest(), "big")


def _split_digest(split: str, source_id: str) -> int:
    """SHA-256 of `split NUL id`."""
    return int.from_bytes(hashlib.sha256(f"{split}\0{source_id}".encode()).digest(), "big")


def _make_folder(path: str) -> None:
    """Another worker may make it at the same time."""
    try:
        FileSystems.mkdirs(path)
    except OSError:
        if not FileSystems.exists(path):
            raise


@dataclass(eq=False)  # not frozen: Beam writes a transform's label into it
class WriteExamples(beam.PTransform):  # type: ignore[misc]
    """Paths of shards (`write_shards`) to TFRecord files below `directory`; gives one ShardSummary of everything.

    Attributes:
      directory: where the `Split-*` folders go.
      label_names: `image/class/text` by label.
      total: images in all shards, for the progress bar.
      category_labels: label by the id of each COCO category that has one.
      rule: by which the images were labelled; None where folders are the labels.
    """

    directory: str
    label_names: tuple[str, ...]
    total: int
    category_labels: Mapping[int, int]
    rule: RuleParameters | None

    def expand(self, shards: Any) -> Any:
        """Names its steps after what they call."""
        return (
            shards
            | "Reshuffle" >> beam.Reshuffle()
            | "WriteShard"
            >> beam.ParDo(WriteShard(self.directory, self.label_names, self.total, self.category_labels, self.rule))
            | "AddUp" >> beam.CombineGlobally(lambda summaries: sum(summaries, ShardSummary()))
        )
