"""What a person says about one run when they submit it."""

from dataclasses import dataclass, field
from typing import Any

from components.errors import ConfigError
from pipeline.kubeflow.options import ROOT_SCHEMES, Target, is_bucket_address


@dataclass(frozen=True)
class Submission:
    """One run to be.

    Attributes:
      name: for people.
      experiment: that Kubeflow Pipelines files it under.
      pipeline_root: where its artifacts go; None leaves it to the cluster.
      service_account: that its steps run as; None for the cluster's.
      enable_caching: None leaves it to what the pipeline says of each step.
      labels: of the run, for people and bills.
      parameters: runtime parameters that differ from the pipeline's own values.
    """

    name: str
    experiment: str
    pipeline_root: str | None = None
    service_account: str | None = None
    enable_caching: bool | None = None
    labels: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


def check_pipeline_root(root: str, target: Target, received: str) -> None:
    """Refuses a pipeline root that is a path of this machine, or in no bucket that the target knows.

    Args:
      root: of a run.
      target: that the run is for.
      received: who named it, for the error, such as `received --pipeline-root`.

    Raises:
      ConfigError: in these cases.
    """
    if not is_bucket_address(root, ROOT_SCHEMES[target]):
        raise ConfigError(
            f"{received} {root}",
            expected="gs://BUCKET/PREFIX" + (", s3://… or minio://…" if target == "kubeflow" else ""),
            hint="every step runs in a pod of its own, where no path of this machine exists",
        )
