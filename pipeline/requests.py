"""What the command asks of the worker process."""

from components.options import Options
from components.pusher.options import CodeVersion
from pipeline.config import RunConfig


class RunRequest(Options):
    """What the command asks of the worker.

    Attributes:
      config: the run.
      run_id: of this run.
      dataset_fingerprint: of the data.
      released_version: the baseline; None while nothing was released.
      code: which code runs.
      label_names: of the data.
      started_utc: when the run began, such as `2026-11-22T03:04:05Z`.
      initial_weights_sha256: of the weights that training starts from; None where they are random.
      nodes: which nodes to run; None for the whole graph.
      measures_refused: whether a model that is refused is trained and measured all the same.
    """

    config: RunConfig
    run_id: str
    dataset_fingerprint: str
    released_version: str | None
    code: CodeVersion
    label_names: tuple[str, ...]
    started_utc: str
    initial_weights_sha256: str | None
    nodes: tuple[str, ...] | None = None
    measures_refused: bool = False
