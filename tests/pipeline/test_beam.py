"""The Beam nodes through a job service and a worker pool, processes that they reach by gRPC, as on a Flink cluster."""

import subprocess
import sys

import pytest
import tensorflow as tf

from components import features
from components.pusher.training_statistics import canonical_statistics

JOB_SERVICE = "from apache_beam.runners.portability.local_job_service_main import run; import sys; run(sys.argv[1:])"


@pytest.fixture(scope="module")
def processes():
    """Processes that are ended when the tests are."""
    started = []
    yield started
    for process in started:
        process.terminate()
    for process in started:
        process.wait(30)


@pytest.fixture(scope="module")
def job_service(processes, tmp_path_factory, wait_until):
    """`HOST:PORT` of Beam's job service."""
    port = tmp_path_factory.mktemp("service") / "port"
    process = subprocess.Popen([sys.executable, "-c", JOB_SERVICE, "--port_file", port])
    processes.append(process)
    wait_until(lambda: port.exists() or process.poll() is not None, 300)
    return f"localhost:{port.read_text()}"


@pytest.fixture(scope="module")
def worker_pool(processes):
    """`HOST:PORT` of a pool whose workers are processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.beam_workers", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    processes.append(process)
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def elsewhere(job_service, worker_pool, released, warm_run, tiny_config, tmp_path_factory):
    """The released run's data in a run whose Beam work is done by two workers elsewhere."""
    root = tmp_path_factory.mktemp("elsewhere") / "run"
    beam = f"beam={{runner: portable, job_endpoint: '{job_service}', worker_pool: '{worker_pool}', workers: 2}}"
    warm_run(tiny_config(released.data, root, "data.licenses=[drawn for these tests]", beam), until="Evaluator")
    return root / "artifacts"


def only(folder):
    (path,) = folder.iterdir()
    return path


def records(files, compression=""):
    """What files hold, in whatever order."""
    return sorted(
        bytes(record)
        for file in files
        for record in tf.data.TFRecordDataset(str(file), compression).as_numpy_iterator()
    )


def examples(folder):
    """The same for examples, whose features have no order either."""
    return sorted(
        tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        for record in records(folder.iterdir(), "GZIP")
    )


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_beam_elsewhere_example_gen_writes_the_same_files(released, elsewhere):
    assert files(only(elsewhere / "CocoExampleGen/examples")) == files(released.output("CocoExampleGen", "examples"))


def test_beam_elsewhere_transform_writes_the_same_examples(released, elsewhere):
    for split in (features.TRAIN, features.EVAL):
        there = examples(only(elsewhere / "Transform/transformed_examples") / f"Split-{split}")
        assert there == examples(released.output("Transform", "transformed_examples") / f"Split-{split}")
        assert len(there) > 20


def test_beam_elsewhere_statistics_are_the_same(released, elsewhere):
    for split in (features.TRAIN, features.EVAL):
        here, there = (
            folder / f"Split-{split}/FeatureStats.pb"
            for folder in (released.output("StatisticsGen", "statistics"), only(elsewhere / "StatisticsGen/statistics"))
        )
        assert canonical_statistics(here.read_bytes()) == canonical_statistics(there.read_bytes())


def test_beam_elsewhere_evaluation_is_the_same(released, elsewhere):
    there = records(only(elsewhere / "Evaluator/evaluation").glob("metrics-*"))
    assert there == records(released.output("Evaluator", "evaluation").glob("metrics-*"))
    assert len(there) > 1
