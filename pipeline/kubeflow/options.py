"""Settings of a run on Kubeflow Pipelines or Vertex AI: the config section `kubeflow`."""

import re
from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.options import Options

Target = Literal["kubeflow", "vertex"]
StepName = Literal[
    "BudgetGate",
    "CocoExampleGen",
    "CuratedSchema",
    "Transform",
    "StatisticsGen",
    "ReleasedModel",
    "ExampleValidator",
    "Tuner",
    "Trainer",
    "Evaluator",
    "MicroPusher",
]
# The steps whose TensorFlow work a GPU speeds up; the others would hold one and leave it idle.
GPU_STEPS: tuple[StepName, ...] = ("Trainer", "Tuner")

_WEEK_S = 7 * 24 * 3600
_LONGEST_DEADLINE_S = 2**31 - 1  # that Kubernetes takes: activeDeadlineSeconds

_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|CREDENTIALS?|APIKEY)(_|\d*$)|(TOKEN|_KEY|^KEY)_?\d*$")
_FILE_NAME = re.compile(r"(KEY|CREDENTIALS?|_FILE|_PATH|_DIR)$")  # variables that name the file of a secret
# How private keys, and the tokens of Amazon, GitHub, Google and OpenID begin; and a URL with a password.
_SECRET_VALUE = re.compile(
    r"-----BEGIN |\bAKIA[0-9A-Z]{16}|\bgh[pousr]_|\bgithub_pat_|\bya29\.|\beyJ[A-Za-z0-9_-]+\.|://[^/@\s]*:[^/@\s]+@"
)
SHM = "/dev/shm"  # noqa: S108  # the path that shared memory has
_CODE = "/app"  # of the image
# https://github.com/distribution/reference/blob/main/reference.go
_IMAGE = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
# How buckets may be named: https://cloud.google.com/storage/docs/buckets#naming, and Amazon's, which MinIO follows.
_BUCKETS = {"gs": r"[a-z0-9][a-z0-9._-]*", "minio": r"[a-z0-9][a-z0-9.-]*", "s3": r"[a-z0-9][a-z0-9.-]*"}
# Where each target can keep artifacts.
ROOT_SCHEMES: dict[Target, tuple[str, ...]] = {"kubeflow": ("gs", "minio", "s3"), "vertex": ("gs",)}


def is_bucket_address(address: str, schemes: Collection[str]) -> bool:
    """Whether an address names a bucket of one of the schemes, and below it no `.`, `..` or nothing."""
    scheme, _, place = address.partition("://")
    bucket, *folders = place.rstrip("/").split("/")
    return (
        scheme in schemes
        and re.fullmatch(_BUCKETS[scheme], bucket) is not None
        and {"", ".", ".."}.isdisjoint(folders)
        and place.isprintable()
    )


def _is_secret(name: str, value: str) -> bool:
    names_file = value.startswith("/") and _FILE_NAME.search(name.upper())
    return bool(_SECRET_VALUE.search(value) or (_SECRET_NAME.search(name.upper()) and not names_file))


def _check_mount_path(path: str) -> str:
    if not re.fullmatch(r"/[^:]*[^:/]", path) or ".." in path.split("/"):
        raise ValueError(f"expected a folder such as /data, from the root on; received {path!r}")
    if path == _CODE:
        raise ValueError(f"expected a folder such as /data; {path} has the code of the image, which it would hide")
    return path


def _check_sub_path(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError(f"expected a folder of the volume; received {path!r}")
    return path


def is_image(text: str) -> bool:
    """Whether a text names a container image: [HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]."""
    return _IMAGE.fullmatch(text) is not None


def _check_image(text: str) -> str:
    if not is_image(text):
        raise ValueError(f"expected an image such as registry.example/vww:1; received {text!r}")
    return text


Quantity = Annotated[str, Field(pattern=r"^[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)$")]
KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
MountPath = Annotated[str, AfterValidator(_check_mount_path)]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Image = Annotated[str, AfterValidator(_check_image)]


class Accelerator(Options):
    """The GPUs of a step.

    Attributes:
      kubeflow: the resource that the cluster's nodes offer, such as `nvidia.com/gpu`.
      vertex: Vertex AI's name of the type, such as `NVIDIA_L4`; None where the config is not meant for it.
      count: how many.
    """

    kubeflow: str = Field(default="nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    vertex: str | None = Field(default=None, pattern=r"^NVIDIA_[A-Z0-9_]+$")
    count: int = Field(default=1, ge=1, le=16)


class Toleration(Options):
    """A taint of nodes that a step's pod puts up with, in Kubernetes' own words.

    Attributes:
      key: of the taint; None, with `Exists`, is every taint.
      operator: whether the taint's value has to be `value`, or any will do.
      value: of the taint, with `Equal`.
      effect: of the taint; None is every effect.
    """

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None

    @model_validator(mode="after")
    def _check_operator(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("value: has no meaning with operator=Exists")
        if self.operator == "Equal" and (self.key is None or self.value is None):
            raise ValueError("key, value: both are needed with operator=Equal; operator: Exists needs no value")
        return self


class Volume(Options):
    """A volume that is mounted into a step.

    Attributes:
      claim: name of the PersistentVolumeClaim.
      path: where its root, or `sub_path`, appears in the step.
      sub_path: the folder of the volume that is mounted; None for all of it.
    """

    claim: KubernetesName
    path: MountPath
    sub_path: Annotated[str, Field(pattern=r"^[^/]+(/[^/]+)*$"), AfterValidator(_check_sub_path)] | None = None


class Secret(Options):
    """A Kubernetes Secret that a step may read, by name: its content is no part of the pipeline.

    Attributes:
      name: of the Secret.
      env: from an environment variable's name to the Secret's key.
      path: the folder in which each key is a file; None mounts none.
    """

    name: KubernetesName
    env: dict[EnvName, str] = Field(default_factory=dict)
    path: MountPath | None = None

    @model_validator(mode="after")
    def _check_way(self) -> Self:
        if bool(self.env) == (self.path is not None):
            raise ValueError("env, path: expected one of the two, the variables to set or the folder to mount it at")
        return self


class Retries(Options):
    """How often a failed step is tried again.

    Attributes:
      count: how often, after the first time.
      backoff_s: seconds before the first of them.
      backoff_factor: what the wait is multiplied by each time.
      max_backoff_s: seconds that the wait does not exceed.
    """

    count: int = Field(ge=1, le=10)
    backoff_s: int = Field(default=30, ge=0, le=_WEEK_S)
    backoff_factor: float = Field(default=2.0, ge=1, le=100)
    max_backoff_s: int = Field(default=3600, ge=1, le=_WEEK_S)


class StepOptions(Options):
    """What a step's container is, and where and how it runs; what is None or empty is left to the cluster.

    Attributes:
      image: the container image; None for `kubeflow.image`.
      cpu: CPUs that it is given, and may not exceed.
      memory: that it is given, and may not exceed.
      accelerator: its GPUs.
      node_selector: labels that its node must have.
      tolerations: taints that its node may have.
      volumes: PersistentVolumeClaims that are mounted.
      secrets: Kubernetes Secrets that it may read.
      shm: size of `/dev/shm`.
      env: environment variables, none of them secret.
      retries: how often it is tried again after a failure.
      deadline_s: seconds after which a try of it is ended.
    """

    image: Image | None = None
    cpu: float | None = Field(default=None, ge=0.001, le=1024)
    memory: Quantity | None = None
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Secret, ...] = ()
    shm: Quantity | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    retries: Retries | None = None
    deadline_s: int | None = Field(default=None, ge=1, le=_LONGEST_DEADLINE_S)

    @field_validator("env")
    @classmethod
    def _check_env(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if _is_secret(name, value):
                raise ValueError(
                    f"{name} looks like a credential, which everyone who sees the pipeline would read; put it into a "
                    f"Kubernetes Secret and name that in secrets, such as {{name: NAME, env: {{{name}: KEY}}}}"
                )
        return env

    @model_validator(mode="after")
    def _check_mounts(self) -> Self:
        paths = [volume.path for volume in self.volumes] + [s.path for s in self.secrets if s.path is not None]
        paths += [SHM] if self.shm is not None else []
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ValueError(f"volumes, secrets, shm: two are mounted at {twice[0]}; expected a folder for each")
        return self


class KubeflowOptions(Options):
    """Where a compiled pipeline keeps its artifacts, and what its steps run in.

    Attributes:
      pipeline_root: below which the artifacts of every run lie; the default of a run's own.
      image: the container image of every step that has none of its own; the default of a run's own.
      work_dir: a step's own working files; on a volume, a Trainer that is tried again goes on where it was.
      all_steps: what holds for every step.
      steps: by step; a key that is set here takes the place of that in `all_steps`.
    """

    pipeline_root: str
    image: Image
    work_dir: MountPath = "/tmp/vww"  # noqa: S108  # in a container of its own
    all_steps: StepOptions = StepOptions()
    steps: dict[StepName, StepOptions] = Field(default_factory=dict)

    @field_validator("pipeline_root")
    @classmethod
    def _check_root(cls, root: str) -> str:
        if not is_bucket_address(root, ROOT_SCHEMES["kubeflow"]):
            raise ValueError(
                f"received {root!r}, which the steps, on machines of their own, could not share; expected a bucket: "
                "gs://BUCKET/PATH, and on a cluster's own Kubeflow also minio://BUCKET/PATH or s3://BUCKET/PATH"
            )
        return root.rstrip("/")

    @model_validator(mode="after")
    def _check_accelerators(self) -> Self:
        asking = {"all_steps": self.all_steps} | {f"steps.{name}": o for name, o in self.steps.items()}
        for where, options in asking.items():
            if options.accelerator is not None and where.removeprefix("steps.") not in GPU_STEPS:
                raise ValueError(
                    f"{where}.accelerator: a GPU would stand idle there; expected one of "
                    f"{' and '.join(f'steps.{name}' for name in GPU_STEPS)}, the steps that train"
                )
        return self

    def step(self, name: StepName) -> StepOptions:
        """What holds for a step: its own keys, and where it has none those of all steps."""
        own = self.steps.get(name, StepOptions())
        said = {key: value for key in StepOptions.model_fields if (value := getattr(own, key))}
        return self.all_steps.model_copy(update=said)
