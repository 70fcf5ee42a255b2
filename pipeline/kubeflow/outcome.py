"""What the MicroPusher of a run on a cluster decided, read from the pipeline root.

The API of Kubeflow Pipelines does not tell where: the task details of a run have a place for a step's artifacts, and
leave it empty (backend/src/apiserver/server/api_converter.go, `toModelTask`).
"""

from components.errors import ClusterError
from components.pusher.outcome import OUTCOME_FILE, Outcome
from pipeline.kubeflow.run_status import PUSHER

_TIMEOUT_S = (10.0, 60.0)
_UNKNOWN = "the run succeeded, but whether the model was released cannot be told from here"
_HINT = "the release store knows what was released: vww releases list --uri STORE"


def read_cluster_outcome(prefix: str | None, pipeline_root: str | None) -> Outcome:
    """The outcome below a prefix of the pipeline root.

    Args:
      prefix: such as `gs://bucket/root/pipeline/run/MicroPusher/`; None where the run does not tell.
      pipeline_root: of the run; None where the cluster chose it.

    Raises:
      ClusterError: if it cannot be read from this machine, or is of another version of vww.
    """
    if prefix is None and pipeline_root is not None:
        raise ClusterError(
            f"{_UNKNOWN}: the run was started from an uploaded pipeline, and does not tell its name",
            expected=f"{OUTCOME_FILE} below {pipeline_root.rstrip('/')}/PIPELINE/RUN/{PUSHER}/",
            hint=_HINT,
        )
    if prefix is None:
        raise ClusterError(f"{_UNKNOWN}: the cluster chose the pipeline root", hint=f"--pipeline-root gs://…; {_HINT}")
    if not prefix.startswith("gs://"):
        raise ClusterError(f"{_UNKNOWN}: its verdict lies below {prefix}", expected="a gs:// root", hint=_HINT)
    text = _read_newest(prefix)
    try:
        return Outcome.from_json(text)
    except ValueError as error:
        raise ClusterError(
            f"{_UNKNOWN}: {OUTCOME_FILE} below {prefix} is of another version of vww",
            hint="use the version that is in the pipeline's image",
        ) from error


def _read_newest(prefix: str) -> str:
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _, key = prefix.removeprefix("gs://").partition("/")
    retry = DEFAULT_RETRY.with_timeout(60.0)
    try:
        blobs = Client(project=None).list_blobs(bucket, prefix=key, retry=retry, timeout=_TIMEOUT_S)
        found = [blob for blob in blobs if blob.name.endswith(f"/{OUTCOME_FILE}")]
        if found:
            newest = max(found, key=lambda blob: blob.updated)
            return str(newest.download_as_text(retry=retry, timeout=_TIMEOUT_S))
    except (GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
        raise ClusterError(
            f"{_UNKNOWN}: {prefix} cannot be read: {error}",
            hint=f"gcloud auth application-default login gives credentials; {_HINT}",
        ) from error
    raise ClusterError(f"{_UNKNOWN}: no {OUTCOME_FILE} lies below {prefix}", hint=_HINT)
