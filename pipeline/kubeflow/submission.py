"""What a person says about one run when they submit it."""

import re
from dataclasses import dataclass, field
from typing import Any

from components.errors import ConfigError
from pipeline.kubeflow.options import Target

_ROOTS: dict[Target, str] = {"kubeflow": r"(gs|s3|minio)://[^/]+(/.*)?", "vertex": r"gs://[^/]+(/.*)?"}


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


def check_pipeline_root(root: str, target: Target) -> None:
    """Raises ConfigError if a pipeline root is a path of this machine, or no bucket that the target knows."""
    if re.fullmatch(_ROOTS[target], root) is None:
        raise ConfigError(
            f"received --pipeline-root {root}",
            expected="gs://BUCKET/PREFIX" + (", s3://… or minio://…" if target == "kubeflow" else ""),
            hint="every step runs in a pod of its own, where no path of this machine exists",
        )
