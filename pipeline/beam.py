"""Where Beam's work is done: the config's section `beam`, and what Beam is told for it.

Beam reads its settings as command-line flags, ignores those that it does not know, and finds a missing one when a
step is under way. So the section names what each runner needs and takes, and refuses everything else at once.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.errors import ConfigError
from components.options import Options

BeamRunner = Literal["direct", "portable", "flink", "dataflow"]

# Workers on this machine import what is installed. Unless an image is named, and be it one that no local runner reads,
# TFX packs a copy of itself for them in every step: 42 MB in the temporary folder, which stay.
_INSTALLED = "installed"
# The module that imports all that Beam's work is made of.
WORK = "pipeline.graph"
_HOST_PORT = r"[^\s:/]+:[0-9]{1,5}"
# What each runner needs to be told, and what it may be told, besides `workers`.
_REQUIRED: dict[BeamRunner, tuple[str, ...]] = {
    "direct": (),
    "portable": ("job_endpoint",),
    "flink": ("flink_master",),
    "dataflow": ("project", "region", "temp_location", "container_image"),
}
_OPTIONAL: dict[BeamRunner, tuple[str, ...]] = {
    "direct": (),
    "portable": ("container_image", "worker_pool"),
    "flink": ("container_image", "worker_pool", "flink_version", "flink_jar"),
    "dataflow": ("service_account", "subnetwork", "public_ips", "machine_type", "disk_gb"),
}


class BeamOptions(Options):
    """Which runner does Beam's work: writing examples, statistics, the transform and the evaluation.

    Attributes:
      runner: `direct` works on the step's own machine; `portable` hands a job to a Beam job service; `flink` to a
        Flink cluster; `dataflow` to Google Cloud.
      workers: how many work at once. direct: processes, one by default; portable: processes of a worker;
        flink: the parallelism; dataflow: machines at most. None leaves it to the runner.
      job_endpoint: `HOST:PORT` of the job service.
      container_image: of the workers: the image that the steps run in.
      worker_pool: `HOST:PORT` where a worker of the runner finds its SDK workers, such as a sidecar's.
      flink_master: `HOST:PORT` of the JobManager's REST API, with or without `http://`.
      flink_version: of the cluster, major and minor; None for the latest that Beam knows.
      flink_jar: path in the image, or URL, of Beam's job server for that version; None fetches it from Maven.
      project, region: of Google Cloud.
      temp_location: `gs://` folder for what Dataflow stages.
      service_account: that the Dataflow workers act as.
      subnetwork: of the Dataflow workers, as `regions/REGION/subnetworks/NAME` or a URL.
      public_ips: whether they have public addresses.
      machine_type: of the Dataflow workers.
      disk_gb: of each of them.
    """

    runner: BeamRunner = "direct"
    workers: int | None = Field(default=None, ge=1, le=4000)
    job_endpoint: str | None = Field(default=None, pattern=f"^{_HOST_PORT}$")
    container_image: str | None = Field(default=None, pattern=r"^\S+$")
    worker_pool: str | None = Field(default=None, pattern=f"^{_HOST_PORT}$")
    flink_master: str | None = Field(default=None, pattern=f"^(https?://)?{_HOST_PORT}$")
    flink_version: str | None = Field(default=None, pattern=r"^[0-9]+\.[0-9]+$")
    flink_jar: str | None = Field(default=None, pattern=r"^(/|https?://)\S+$")
    project: str | None = Field(default=None, pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    region: str | None = Field(default=None, pattern=r"^[a-z]+-[a-z]+[0-9]+$")
    temp_location: str | None = Field(default=None, pattern=r"^gs://[^/\s]+(/\S*)?$")
    service_account: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    subnetwork: str | None = Field(default=None, pattern=r"^(https://\S+/)?regions/[^/\s]+/subnetworks/[^/\s]+$")
    public_ips: bool | None = None
    machine_type: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    disk_gb: int | None = Field(default=None, ge=30)

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        required, optional = _REQUIRED[self.runner], _OPTIONAL[self.runner]
        for key in type(self).model_fields:
            given = getattr(self, key) is not None
            if given and key not in ("runner", "workers", *required, *optional):
                takers = [r for r in _REQUIRED if key in _REQUIRED[r] + _OPTIONAL[r]]
                raise ValueError(f"{key}: has no meaning with runner={self.runner}, but with {' and '.join(takers)}")
            if not given and key in required:
                raise ValueError(f"{key}: missing, and runner={self.runner} needs it; pass --set beam.{key}=VALUE")
        if "worker_pool" in optional and (self.container_image is None) == (self.worker_pool is None):
            raise ValueError(
                f"container_image, worker_pool: runner={self.runner} takes its workers from one of them; "
                "pass --set beam.container_image=IMAGE or --set beam.worker_pool=HOST:PORT"
            )
        return self

    def arguments(self) -> list[str]:
        """What Beam is told, as the flags of its `PipelineOptions`."""
        flags = {
            "sdk_container_image": self.container_image or _INSTALLED,
            # Workers in containers then import it before they work, in one thread.
            "beam_plugins": None if self.container_image is None else WORK,
            **_RUNNER_FLAGS[self.runner](self),
        }
        return [
            f"--{name}" if value == "" else f"--{name}={value}" for name, value in flags.items() if value is not None
        ]


Flags = dict[str, str | int | None]  # "" for a flag that takes no value, None for one that is left out


def _direct(options: BeamOptions) -> Flags:
    # Without a stated running mode, Beam may fetch another runner.
    workers = 1 if options.workers is None else options.workers
    return {
        "direct_running_mode": "in_memory" if workers == 1 else "multi_processing",
        "direct_num_workers": workers,
    }


def _environment(options: BeamOptions) -> Flags:
    """Where a runner that is not Google's finds its workers."""
    if options.worker_pool is not None:
        return {"environment_type": "EXTERNAL", "environment_config": options.worker_pool}
    return {"environment_type": "DOCKER"}


def _portable(options: BeamOptions) -> Flags:
    return {
        "runner": "PortableRunner",
        "job_endpoint": options.job_endpoint,
        **_environment(options),
        "sdk_worker_parallelism": options.workers,
    }


def _flink(options: BeamOptions) -> Flags:
    return {
        "runner": "FlinkRunner",
        "flink_master": options.flink_master,
        "flink_submit_uber_jar": "",  # to the cluster's REST API; otherwise Beam starts a job server, which needs Java
        "flink_version": options.flink_version,
        "flink_job_server_jar": options.flink_jar,
        **_environment(options),
        "parallelism": options.workers,
    }


def _dataflow(options: BeamOptions) -> Flags:
    public = options.public_ips
    return {
        "runner": "DataflowRunner",
        "project": options.project,
        "region": options.region,
        "temp_location": options.temp_location,
        "max_num_workers": options.workers,
        "service_account_email": options.service_account,
        "subnetwork": options.subnetwork,
        "use_public_ips" if public else "no_use_public_ips": None if public is None else "",
        "machine_type": options.machine_type,
        "disk_size_gb": options.disk_gb,
    }


_RUNNER_FLAGS = {"direct": _direct, "portable": _portable, "flink": _flink, "dataflow": _dataflow}


def check_reaches_local_files(options: BeamOptions) -> None:
    """Refuses Dataflow for work on files of this machine, which its workers cannot reach.

    Raises:
      ConfigError: if it is asked for.
    """
    if options.runner == "dataflow":
        raise ConfigError(
            "beam.runner=dataflow: its workers reach buckets, and no file of this machine",
            expected="direct, or portable or flink with workers that see the same files",
            hint="pass --set beam={runner: direct}, or run the pipeline on Vertex AI: vww compile --target vertex",
        )
