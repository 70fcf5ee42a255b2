import dataclasses
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud.storage import Client
from PIL import ExifTags, Image

from components import features, progress
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.labeling import LABEL_RULES
from components.example_gen.plan import LabeledImage
from components.example_gen.quarantine import Quarantined, QuarantineReason
from components.example_gen.shards import cut_shards
from components.example_gen.transforms import ShardSummary, WriteExamples, read_summary, write_shards, write_summary

LABEL_NAMES = ("not-person", "person")
COUNT = 30
BROKEN = {3: b"no image", 8: b""}  # image 11 is missing, image 14 has another size
TURNED = (6, 9)
IN_MEMORY = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
TWO_PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Thirty small images in both splits: JPEG, PNG, and BMP, which must be re-encoded; four are bad, two turned."""
    half_turn = Image.Exif()
    half_turn[ExifTags.Base.Orientation] = 3
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    labeled = []
    for n in range(COUNT):
        path = folder / f"{n}.img"
        pixels = random.integers(0, 256, (20, 30 + n, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(
            path, ("JPEG", "PNG", "BMP")[n % 3], **({"exif": half_turn} if n in TURNED else {})
        )
        if n in BROKEN:
            path.write_bytes(BROKEN[n])
        width = 31 if n == 14 else 30 + n
        box = Annotation(1, 100.0, (1.0, 1.0, 10.0, 10.0), is_crowd=False)
        record = ImageRecord(n, path.name, width, 20, pack_annotations((box,) if n % 2 else ()))
        split = "eval" if n % 4 == 0 else "train"
        labeled.append(LabeledImage(record, split, n % 2, ("none", "over_10%")[n % 2], str(path), path.stat().st_size))
    (folder / "11.img").unlink()
    return labeled


def write(images, folder, arguments):
    shards = cut_shards(images, seed=0, shard_bytes=6_000)
    shutil.rmtree(folder / "shards", ignore_errors=True)
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        (
            pipeline
            | beam.Create(write_shards(shards, f"{folder}/shards"), reshuffle=False)
            | WriteExamples(str(folder), LABEL_NAMES, len(images), {1: 1}, LABEL_RULES["slim"].parameters)
            | "WriteSummary" >> beam.Map(write_summary, f"{folder}/summary")
        )
    return read_summary(f"{folder}/summary")


def records(folder):
    """File, below the folder, to its serialized examples in order."""
    return {
        str(path.relative_to(folder)): [
            bytes(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        ]
        for path in sorted(folder.glob("Split-*/*"))
    }


def split_of(file_name):
    return file_name.split("/")[0].removeprefix("Split-")


@pytest.fixture(scope="module")
def written(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return write(images, folder, IN_MEMORY), folder


def test_write_examples_writes_every_good_image_once_into_its_split(written, images):
    _, folder = written
    files = records(folder)
    assert len(files) > 4
    found = {}
    for name, serialized in files.items():
        for record in serialized:
            values = tf.train.Example.FromString(record).features.feature
            source_id = int(values[features.SOURCE_ID].bytes_list.value[0])
            assert source_id not in found
            found[source_id] = (split_of(name), values[features.LABEL].int64_list.value[0])
    good = [image for image in images if image.record.id not in (3, 8, 11, 14)]
    assert found == {image.record.id: (image.split, image.label) for image in good}


def test_write_examples_counts_what_it_wrote(written, images):
    summary, _ = written
    bad = (3, 8, 11, 14)
    for split, label in itertools.product(features.SPLITS, (0, 1)):
        expected = sum(i.split == split and i.label == label and i.record.id not in bad for i in images)
        assert summary.counts.get(split, {}).get(LABEL_NAMES[label], 0) == expected
    assert summary.reencoded == sum(n % 3 == 2 and n not in bad for n in range(COUNT))
    assert summary.exif_ignored == len(TURNED)


def test_write_examples_quarantines_each_bad_image_with_its_reason(written):
    summary, _ = written
    assert {entry.id: entry.reason for entry in summary.quarantined} == {
        "3": QuarantineReason.NOT_AN_IMAGE,
        "8": QuarantineReason.NOT_AN_IMAGE,
        "11": QuarantineReason.MISSING_FILE,
        "14": QuarantineReason.SIZE_MISMATCH,
    }
    assert {entry.kind for entry in summary.quarantined} == {"image"}


def without_image(record):
    """An example without the image's bytes, whose own digest stands among the features."""
    image = tf.train.Example.FromString(record).features.feature[features.ENCODED].bytes_list.value[0]
    assert hashlib.sha256(image).hexdigest().encode() in record
    return record.replace(image, b"")


def test_write_examples_digest_is_the_sum_over_examples_and_splits(written):
    summary, folder = written
    total = sum(
        int.from_bytes(hashlib.sha256(split_of(name).encode() + without_image(record)).digest(), "big")
        for name, serialized in records(folder).items()
        for record in serialized
    )
    assert summary.digest == total % 2**256


def test_write_examples_leaves_nothing_temporary(written):
    _, folder = written
    assert sorted(path.name for path in folder.iterdir()) == ["Split-eval", "Split-train", "shards", "summary"]


def test_write_examples_again_over_the_same_folder_gives_the_same(images, tmp_path):
    first = write(images, tmp_path, IN_MEMORY), records(tmp_path)
    assert (write(images, tmp_path, IN_MEMORY), records(tmp_path)) == first


def test_write_examples_in_other_splits_has_another_digest(written, images, tmp_path):
    swapped = [dataclasses.replace(i, split="train" if i.split == "eval" else "eval") for i in images]
    assert write(swapped, tmp_path, IN_MEMORY).digest != written[0].digest


def test_write_examples_reports_every_image(images, tmp_path):
    reports = []
    listener = lambda *report: reports.append(report)  # noqa: E731
    progress.listen(listener)
    write(images, tmp_path, IN_MEMORY)
    progress._on_report.remove(listener)
    assert [done for done, *_ in reports] == list(range(1, COUNT + 1))
    assert {report[1:] for report in reports} == {(COUNT, "images", "")}


@pytest.fixture
def job_service(tmp_path):
    """Beam's job service in a process of its own, which starts gRPC workers in theirs, as Dataflow and Flink do."""
    port_file = tmp_path / "port"
    with (tmp_path / "job_service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "--port_file", port_file],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[3],
        )
    deadline = time.monotonic() + 60
    while not port_file.exists():
        assert process.poll() is None, (tmp_path / "job_service.log").read_text()
        assert time.monotonic() < deadline, "no port within 60 s"
        time.sleep(0.1)
    yield f"localhost:{port_file.read_text()}"
    process.terminate()
    process.wait(30)


def through_job_service(address):
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={address}",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
        "--sdk_worker_parallelism=2",
    ]


@pytest.mark.parametrize("runner", ["two_processes", "job_service"])
def test_write_examples_on_another_runner_writes_the_same(written, images, tmp_path, runner, request):
    summary, folder = written
    arguments = TWO_PROCESSES
    if runner == "job_service":
        arguments = through_job_service(request.getfixturevalue("job_service"))
    other = write(images, tmp_path / "examples", arguments)
    assert (other.digest, other.counts, other.reencoded) == (summary.digest, summary.counts, summary.reencoded)
    assert other.exif_ignored == summary.exif_ignored
    assert sorted(other.quarantined) == sorted(summary.quarantined)
    assert records(tmp_path / "examples") == records(folder)


def test_write_examples_from_a_bucket_writes_the_same(written, images, tmp_path, monkeypatch, emulator):
    summary, folder = written
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    bucket = Client(project="test").create_bucket("images-of-a-set")
    for path in filter(Path.exists, (Path(image.path) for image in images)):
        bucket.blob(f"set/{path.name}").upload_from_filename(str(path))
    remote = [dataclasses.replace(i, path=f"gs://{bucket.name}/set/{Path(i.path).name}") for i in images]
    assert write(remote, tmp_path, IN_MEMORY).digest == summary.digest
    assert records(tmp_path) == records(folder)


# Summaries.

BAD = Quarantined("image", "3", QuarantineReason.TRUNCATED, "at byte 7")
PARTS = [
    ShardSummary({"train": {"person": 2, "not-person": 1}}, 2**256 - 1, 1, (BAD,), 3),
    ShardSummary({"train": {"person": 3}}, 5, 0, (), 2**256 - 2),
    ShardSummary({"eval": {"not-person": 4}}, 7, 2, ()),
    ShardSummary({"eval": {}}, 0, 0, ()),
]


def test_shard_summaries_add_up_in_any_order():
    totals = [sum(order, ShardSummary()) for order in itertools.permutations(PARTS)]
    assert all(total == totals[0] for total in totals)
    assert totals[0] == ShardSummary(
        {"train": {"person": 5, "not-person": 1}, "eval": {"not-person": 4}}, 11, 3, (BAD,), 1
    )


def test_shard_summary_reads_back_equal(tmp_path):
    total = sum(PARTS, ShardSummary())
    write_summary(total, str(tmp_path / "summary"))
    assert read_summary(str(tmp_path / "summary")) == total
    assert json.loads((tmp_path / "summary").read_text())["digest"] == 11
