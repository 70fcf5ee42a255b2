"""What the section `beam` takes, refuses, and tells Beam, whose own parser and validator read the flags here."""

import json

import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from components.errors import ConfigError
from pipeline.beam import BeamOptions, check_reaches_local_files
from pipeline.config import read_config

DATAFLOW = {
    "runner": "dataflow",
    "project": "my-project",
    "region": "europe-west1",
    "temp_location": "gs://bucket/temp",
    "container_image": "europe-docker.pkg.dev/my-project/vww/vww:1",
}
FLINK = {"runner": "flink", "flink_master": "flink-jobmanager.flink:8081", "worker_pool": "localhost:50000"}
PORTABLE = {"runner": "portable", "job_endpoint": "beam-jobs:8099", "container_image": "vww:1"}


@pytest.fixture(autouse=True)
def google(emulator, monkeypatch):
    """Where Beam's validator asks about the bucket of `temp_location`."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    # It asks anonymously, and does not look for credentials for 20 seconds first.
    monkeypatch.setattr("apache_beam.internal.gcp.auth._Credentials._credentials_init", True)


def parse(**keys):
    """Beam's own reading of the flags, all of which it must know, and be content with."""
    arguments = BeamOptions(**keys).arguments()
    options = PipelineOptions(arguments)
    assert options.get_all_options(retain_unknown_options=True) == options.get_all_options()
    runner = create_runner(options.view_as(StandardOptions).runner or "DirectRunner")
    assert PipelineOptionsValidator(options, runner).validate() == []
    return options


@pytest.mark.parametrize(
    ("workers", "mode", "count"), [(None, "in_memory", 1), (1, "in_memory", 1), (3, "multi_processing", 3)]
)
def test_beam_direct_works_in_the_process_or_in_as_many_as_are_asked_for(workers, mode, count):
    direct = parse(workers=workers).view_as(DirectOptions)
    assert (direct.direct_running_mode, direct.direct_num_workers) == (mode, count)


def test_beam_dataflow_is_told_where_by_whom_and_in_which_image():
    options = parse(
        **DATAFLOW,
        workers=20,
        service_account="beam@my-project.iam.gserviceaccount.com",
        subnetwork="regions/europe-west1/subnetworks/ml",
        public_ips=False,
        machine_type="n2-standard-4",
        disk_gb=60,
    )
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    assert (cloud.project, cloud.region, cloud.temp_location) == ("my-project", "europe-west1", "gs://bucket/temp")
    assert cloud.service_account_email == "beam@my-project.iam.gserviceaccount.com"
    assert worker.sdk_container_image == DATAFLOW["container_image"]
    assert (worker.max_num_workers, worker.machine_type, worker.disk_size_gb) == (20, "n2-standard-4", 60)
    assert (worker.use_public_ips, worker.subnetwork) == (False, "regions/europe-west1/subnetworks/ml")


def test_beam_flink_submits_over_rest_and_finds_its_workers_in_a_sidecar():
    options = parse(**FLINK, workers=8, flink_version="1.20", flink_jar="/opt/flink.jar")
    flink, portable = options.view_as(FlinkRunnerOptions), options.view_as(PortableOptions)
    assert options.view_as(StandardOptions).runner == "FlinkRunner"
    assert (flink.flink_master, flink.flink_submit_uber_jar) == ("flink-jobmanager.flink:8081", True)
    assert (flink.parallelism, flink.flink_version, flink.flink_job_server_jar) == (8, "1.20", "/opt/flink.jar")
    assert (portable.environment_type, portable.environment_config) == ("EXTERNAL", "localhost:50000")


def test_beam_portable_hands_the_job_to_its_service_and_names_the_image():
    options = parse(**PORTABLE, workers=4)
    portable = options.view_as(PortableOptions)
    assert options.view_as(StandardOptions).runner == "PortableRunner"
    assert (portable.job_endpoint, portable.environment_type) == ("beam-jobs:8099", "DOCKER")
    assert options.view_as(WorkerOptions).sdk_container_image == "vww:1"
    assert int(portable.sdk_worker_parallelism) == 4


@pytest.mark.parametrize("keys", [{}, DATAFLOW, FLINK, PORTABLE])
def test_beam_every_runner_has_an_image_so_that_tfx_packs_no_copy_of_itself(keys):
    assert parse(**keys).view_as(WorkerOptions).sdk_container_image


@pytest.mark.parametrize("keys", [DATAFLOW, PORTABLE])
def test_beam_workers_in_containers_import_the_work_before_they_take_any(keys):
    assert parse(**keys).view_as(SetupOptions).beam_plugins == ["pipeline.graph"]


# The config.


@pytest.fixture
def read(tmp_path):
    """Reads a config with a section `beam`."""

    def read_section(keys):
        path = tmp_path / "c.yaml"
        path.write_text((BEFORE + f"beam: {json.dumps(keys)}\n"), encoding="utf-8")
        return read_config(str(path))

    return read_section


BEFORE = """\
name: tiny
run: {root: /r}
data: {annotations: /d/instances.json, images: /d/images}
trainer: {optimizer: {name: adam}, schedule: {name: cosine}, learning_rate: 0.003, batch_size: 32, epochs: 2}
gates: {float: {min_accuracy: 0.5}, int8: {min_accuracy: 0.5}}
"""


@pytest.mark.parametrize("keys", [{}, DATAFLOW, FLINK, PORTABLE])
def test_beam_section_survives_the_resolved_config(read, keys, tmp_path):
    config = read(keys)
    (tmp_path / "resolved.yaml").write_text(config.to_yaml())
    assert read_config(str(tmp_path / "resolved.yaml")).beam == config.beam == BeamOptions(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"region": "europe-west1"}, "beam.region: has no meaning with runner=direct, but with dataflow"),
        ({**FLINK, "region": "europe-west1"}, "beam.region: has no meaning with runner=flink, but with dataflow"),
        ({"worker_pool": "a:1"}, "beam.worker_pool: has no meaning with runner=direct, but with portable and flink"),
        (
            {**DATAFLOW, "region": None},
            "beam.region: missing, and runner=dataflow needs it; pass --set beam.region=VALUE",
        ),
        ({"runner": "portable", "worker_pool": "a:1"}, "beam.job_endpoint: missing, and runner=portable needs it"),
        (
            {**FLINK, "container_image": "vww:1"},
            "beam.container_image, worker_pool: runner=flink takes its workers from one",
        ),
        ({**FLINK, "worker_pool": None}, "beam.container_image, worker_pool: runner=flink takes its workers from one"),
        ({**DATAFLOW, "temp_location": "/tmp"}, "beam.temp_location: string should match pattern"),
        ({**PORTABLE, "job_endpoint": "beam-jobs"}, "beam.job_endpoint: string should match pattern"),
        ({"runer": "direct"}, "beam.runer: unknown key; did you mean runner?"),
    ],
)
def test_beam_section_that_fits_no_runner_is_refused_in_one_line(read, keys, message):
    with pytest.raises(ConfigError) as caught:
        read(keys)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_beam_dataflow_is_refused_for_files_of_this_machine():
    with pytest.raises(ConfigError, match=r"beam\.runner=dataflow: its workers reach buckets, and no file"):
        check_reaches_local_files(BeamOptions(**DATAFLOW))
    check_reaches_local_files(BeamOptions(**FLINK))
