"""A tiny but complete release to publish, both stores to publish it to, and children that may be killed."""

import os
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from components.errors import ReleaseError
from components.pusher.channels import Channel, Kind
from components.pusher.figures import ClassifierFigures
from components.pusher.manifest import (
    CalibrationRecord,
    CodeRecord,
    DatasetRecord,
    Footprint,
    GoldenRecord,
    LabelRuleId,
    Manifest,
    ParityRecord,
    RunRecord,
    SlimmingRecord,
)
from components.pusher.promotion import move
from components.pusher.provenance.statement import render_statement
from components.pusher.release import (
    MANIFEST_NAME,
    MODEL_CARD_NAME,
    SBOM_NAME,
    SIDE_FILES,
    STATEMENT_NAME,
    FileDigest,
    hash_file,
    hash_files,
    release_version,
)
from components.pusher.release_store import ReleaseStore
from components.pusher.stores import open_store
from components.quantization.contracts import TensorContract
from components.quantization.golden import Golden
from components.quantization.operating_point import measure_rates
from components.quantization.quality import measure_loss, measure_quality
from components.quantization.records import ArenaShare, OperatingPoint, OpUse
from components.verdicts import Comparison, Gate
from tests.faults.proxy import Proxy, start_proxy
from tests.unit.quantization.conftest import reshape_model

MODEL = "person_detect"
CODES = np.arange(8, dtype=np.int8).reshape(2, 4)
REFUSED = 3  # exit code of a child that ended with a ReleaseError
CONFIG = {
    "config.yaml": b"name: person_detect\n"
    b"gates: {on: point, float: {min_accuracy: 0.9}, int8: {min_accuracy: 0.9, max_flatbuffer_bytes: 10240}}\n"
}
PAYLOAD = {
    "person_detect.tflite": reshape_model().build(),
    **Golden(("7", "8"), (0, 1), CODES, (CODES,)).files(),
    "saved_model/variables/variables.index": b"index",
    "labels.txt": b"not-person\nperson\n",
}


def make_manifest(model: str, files: dict[str, FileDigest], version: str) -> Manifest:
    labels = np.arange(200) % 2
    says_person = np.where(np.arange(200) < 15, 1 - labels, labels)  # 15 of 200 are wrong
    scores = np.where(says_person == 1, 0.9, 0.2) + np.arange(200) / 10_000
    probabilities = np.stack([1 - scores, scores], axis=1)
    names = ("not-person", "person")
    slices = np.where(labels == 1, "over_10%", "none").tolist()
    metrics = {"eval": measure_quality(probabilities, labels, names, slices)}
    rates = measure_rates(np.where(says_person == 1, 100, -100).astype(np.int8), labels == 1, 1)
    return Manifest(
        model=model,
        version=version,
        created_utc="2026-11-22T03:04:05Z",
        files=files,
        labels=("not-person", "person"),
        label_rule=LabelRuleId(id="slim", version=1, digest="0" * 64, in_words="an image has a label if it shows it"),
        positive="person",
        dataset=DatasetRecord(
            digest="d" * 64,
            fingerprint="f",
            images={"train": {"not-person": 400, "person": 400}, "eval": {"not-person": 100, "person": 100}},
            quarantined={"truncated": 1},
            dropped={},
            split_digest="5" * 64,
            licenses=("CC BY 4.0",),
        ),
        drift=(),
        input=TensorContract(name="image", shape=(1, 96, 96, 1), dtype="int8", scale=2 / 255, zero_point=-1),
        outputs=(TensorContract(name="probabilities", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128),),
        pixel_contract="q = p - 128",
        figures=ClassifierFigures(
            float_metrics=metrics,
            int8_metrics=metrics,
            quantization_loss=measure_loss(probabilities, probabilities, labels),
            operating_point=OperatingPoint(
                label="person", index=1, max_false_alarm_rate=None, code=1, threshold=129 / 256, rates={"eval": rates}
            ),
        ),
        gates=(
            Gate(name="gates.float.min_accuracy", comparison=Comparison.AT_LEAST, limit=0.9, value=0.925),
            Gate(name="gates.int8.min_accuracy", comparison=Comparison.AT_LEAST, limit=0.9, value=0.925),
            Gate(name="gates.int8.max_accuracy_drop", comparison=Comparison.AT_MOST, limit=0.03, value=0),
            Gate(name="gates.int8.max_flatbuffer_bytes", comparison=Comparison.AT_MOST, limit=10_240, value=10_240),
            Gate(name="gates.int8.max_arena_bytes", comparison=Comparison.AT_MOST, limit=100_000, value=80_000),
            Gate(name="gates.int8.max_parity_lsb", comparison=Comparison.AT_MOST, limit=1, value=0),
        ),
        footprint=Footprint(
            flatbuffer_bytes=10240,
            portable_bytes=13312,
            arena_total_bytes=80000,
            arena_head_bytes=55296,
            arena_tail_bytes=24704,
            arena_shares=(
                ArenaShare(name="Persistent buffer data", used_bytes=24304, requested_bytes=24272, count=88),
            ),
            macs=7157888,
            ops=(OpUse(name="CONV_2D", version=3, count=14),),
        ),
        parity=ParityRecord(images=100, differing=0, max_difference_lsb=0),
        slimming=SlimmingRecord(images=100, operators=31, differing=0),
        golden=GoldenRecord(flatbuffer="person_detect.tflite", source_ids=("7", "8"), labels=(0, 1)),
        calibration=CalibrationRecord(seed=0, count=2, source_ids=("139", "285"), digest="c" * 64),
        stack={"tensorflow": "2.21.0"},
        code=CodeRecord(version="0.1.0", commit=None, dirty=None, repository=None, lock_sha256=None),
        run=RunRecord(pipeline_run_id="20261122T030405", root="runs/demo", started_utc="2026-11-22T03:00:00Z"),
        baseline=None,
        initial_weights_sha256=None,
        tuned=None,
        signing_key_id=None,
    )


class Staged(NamedTuple):
    """A folder that is ready to be published, as `store.publish(*staged)` takes it."""

    model: str
    version: str
    folder: Path


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """The manifest of a release of one file."""
    files = {"labels.txt": FileDigest(sha256="a" * 64, size_bytes=18)}
    return make_manifest(MODEL, files, release_version(files))


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Staged]:
    """Stages PAYLOAD, with `mark` as the content of one more file so that versions differ."""

    def stage_payload(mark: str = "", model: str = MODEL, payload: dict[str, bytes] = PAYLOAD) -> Staged:
        return stage_release(tmp_path / f"staged-{uuid.uuid4().hex}", mark, model, payload)

    return stage_payload


def stage_release(folder: Path, mark: str, model: str, payload: dict[str, bytes] = PAYLOAD) -> Staged:
    for path, content in {**CONFIG, **payload, "mark.txt": mark.encode()}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    files = hash_files(folder)
    version = release_version(files)
    staged = make_manifest(model, files, version)
    (folder / MANIFEST_NAME).write_text(staged.to_json())
    for name in (MODEL_CARD_NAME, SBOM_NAME):
        (folder / name).write_text(f"{name} of {version}\n")
    beside = {name: hash_file(folder / name) for name in (MANIFEST_NAME, MODEL_CARD_NAME, SBOM_NAME)}
    (folder / STATEMENT_NAME).write_bytes(render_statement(staged, beside))
    return Staged(model, version, folder)


@pytest.fixture(scope="session")
def put() -> Callable[..., bool]:
    """Puts a published release into a channel that holds `before`, without looking at it; see `promotion.move`."""

    def put_into(
        store: ReleaseStore, staged: Staged, channel: Channel = Channel.STAGING, before: str | None = None
    ) -> bool:
        seen = store.channels(staged.model)
        return move(
            store, channel, staged.version, seen=seen, expected_previous=before, kind=Kind.PUBLISH, by="test",
            manifest_sha256=store.manifest_digest(staged.model, staged.version),
        )  # fmt: skip

    return put_into


@pytest.fixture(scope="session")
def in_child() -> Callable[[Callable[[], object]], int]:
    """Runs a function in a forked child and gives back its exit code; -9 if it was killed."""

    def run(work: Callable[[], object]) -> int:
        pid = start_child(work)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run


@pytest.fixture(scope="session")
def race() -> Callable[..., list[int]]:
    """Runs functions in forked children that start at the same moment; gives back their exit codes, 3 if refused."""

    def run(*works: Callable[[], object]) -> list[int]:
        reader, writer = os.pipe()

        def at_once(work: Callable[[], object]) -> None:
            os.close(writer)
            os.read(reader, 1)  # returns when the parent closes its end
            work()

        pids = [start_child(lambda work=work: at_once(work)) for work in works]
        os.close(reader)
        os.close(writer)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]

    return run


def start_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except ReleaseError as error:
            print(error, file=sys.stderr)
            os._exit(REFUSED)
        except BaseException:  # noqa: BLE001 - nothing may return into the parent's test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


@pytest.fixture
def proxy(bucket_uri: str, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of the emulator, which everything that is opened from here on talks to."""
    with start_proxy(emulator) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy


@pytest.fixture
def bucket_uri(emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`gs://` URI of a new bucket in the emulator."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    # The client otherwise asks for the bucket's metadata in a thread, so that the n-th request is not always the same.
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    from google.cloud.storage import Client

    name = f"bucket-{uuid.uuid4().hex[:8]}"
    Client(project=None).create_bucket(name)
    return f"gs://{name}"


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A folder on which fsync costs nothing: it matters when the power fails, which no test here does."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(params=["local", "gs"])
def store(request: pytest.FixtureRequest) -> ReleaseStore:
    """An empty store of each kind."""
    if request.param == "local":
        return open_store(str(request.getfixturevalue("memory_path") / "releases"))
    return open_store(f"{request.getfixturevalue('bucket_uri')}/some/prefix")


@pytest.fixture
def tamper(store: ReleaseStore) -> Callable[[str, bytes | None], None]:
    """Writes or, with None, deletes what lies at `<uri>/<path>`, behind the store's back."""

    def tamper_local(path: str, content: bytes | None) -> None:
        file = Path(store.uri) / path
        file.unlink(missing_ok=True)
        if content is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def tamper_bucket(path: str, content: bytes | None) -> None:
        from google.cloud.storage import Blob, Client

        client = Client(project=None)
        blob = Blob.from_uri(f"{store.uri}/{path}", client=client)
        if path.count("/") == 2 and path.rpartition("/")[2] in SIDE_FILES:
            version, _, name = blob.name.rpartition("/")
            listed = client.list_blobs(blob.bucket.name, prefix=f"{version}/beside-")
            (blob,) = [found for found in listed if found.name.endswith(f"/{name}")]
        if content is None:
            blob.delete()
        else:
            blob.upload_from_string(content)

    return tamper_bucket if store.uri.startswith("gs://") else tamper_local
