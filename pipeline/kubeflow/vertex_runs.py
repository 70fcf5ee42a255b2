"""Runs on Vertex AI Pipelines, by Google's client; imports it, which takes ten seconds and more."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import google.auth
from google.api_core.exceptions import GoogleAPICallError, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud.aiplatform import PipelineJob

from components.errors import ClusterError, ConfigError
from pipeline.kubeflow.invariants import check_spec
from pipeline.kubeflow.package import Package
from pipeline.kubeflow.run_status import PUSHER, RunStatus, State, StepStatus, parse_state
from pipeline.kubeflow.server import NoAnswerError, last_words
from pipeline.kubeflow.submission import Submission

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_S = (3.0, 20.0)  # to connect to each address of Google's token server, and for its answer
_CREATE_S = 30.0
# PipelineState and PipelineTaskDetail.State of aiplatform_v1, where they say it in other words.
_STATES = {
    "UNSPECIFIED": State.PENDING,
    "QUEUED": State.PENDING,
    "CANCEL_PENDING": State.CANCELING,
    "CANCELLING": State.CANCELING,
    "CANCELLED": State.CANCELED,
    "NOT_TRIGGERED": State.SKIPPED,
}


class VertexRuns:
    """The runs of one project in one region.

    Args:
      project: its id.
      region: such as `europe-west4`.

    Raises:
      NoAnswerError: if Google does not answer: its client would find out in two minutes.
      ClusterError: if this machine has no Google credentials, or they are refused.
    """

    def __init__(self, project: str, region: str) -> None:
        self._project, self._region = project, region
        with _errors():
            self._credentials = google.auth.default(scopes=[_SCOPE])[0]
            self._credentials.refresh(partial(Request(), timeout=_TOKEN_S))  # type: ignore[no-untyped-call]

    def _job(self, package: Package, submission: Submission) -> PipelineJob:
        check_spec(package.text, str(package.path))
        try:
            return PipelineJob(
                display_name=submission.name,
                template_path=str(package.path),
                pipeline_root=submission.pipeline_root,
                parameter_values=submission.parameters,
                enable_caching=submission.enable_caching,
                labels=submission.labels or None,
                project=self._project,
                location=self._region,
                credentials=self._credentials,
            )
        except ValueError as error:
            raise ConfigError(f"{package.path} cannot be submitted: {error}") from error

    def submit(self, package: Package, submission: Submission) -> str:
        """Starts a run.

        Returns:
          Its resource name.

        Raises:
          ConfigError: if the pipeline does not hold together.
          ClusterError: if Vertex AI refuses it.
        """
        job = self._job(package, submission)
        with _errors(), _quiet():
            job.submit(service_account=submission.service_account, create_request_timeout=_CREATE_S)
        return str(job.resource_name)

    def run_url(self, run_id: str) -> str:
        """The page of a run."""
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{self._region}/pipelines/runs/"
            f"{run_id.rsplit('/', 1)[-1]}?project={self._project}"
        )

    def ways_on(self, run_id: str) -> tuple[str, ...]:  # noqa: ARG002  # as of Kubeflow Pipelines
        """Commands of `vww` for a run that goes on: none, its page does it all."""
        return ()

    def status(self, run_id: str) -> RunStatus:
        """How a run stands.

        Raises:
          ClusterError: if Vertex AI knows no such run.
        """
        with _errors():
            job = PipelineJob.get(run_id, project=self._project, location=self._region, credentials=self._credentials)
        return _run_status(job.gca_resource)


def _run_status(job: Any) -> RunStatus:
    _, number, _, _, _, job_id = job.name.split("/")
    return RunStatus(
        run_id=job.name,
        name=job.display_name,
        state=_state(job.state),
        word=_word(job.state),
        pipeline_root=job.runtime_config.gcs_output_directory,
        steps=tuple(
            StepStatus(
                name=task.task_name,
                state=_state(task.state),
                word=_word(task.state),
                started=task.start_time,
                ended=task.end_time,
                error=task.error.message or None,
            )
            for task in sorted(job.job_detail.task_details, key=lambda task: task.create_time)
            if task.task_name != job_id  # the run itself
        ),
        created=job.create_time,
        ended=job.end_time,
        outcome_prefix=f"{job.runtime_config.gcs_output_directory.rstrip('/')}/{number}/{job_id}/{PUSHER}_",
        error=job.error.message or None,
    )


def _state(state: Any) -> State:
    name = re.sub("^(PIPELINE_)?STATE_", "", _word(state))
    return _STATES.get(name) or parse_state(name)


def _word(state: Any) -> str:
    """The API's name of a state; a number where it is newer than its client."""
    return str(getattr(state, "name", state))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's own log, which goes to stderr with tracebacks of what it then leaves to the server."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except TransportError as error:
        raise NoAnswerError(
            f"Google does not answer when it is asked for a token: {last_words(error.args[0])}",
            expected="a network that reaches Google Cloud",
        ) from error
    except GoogleAuthError as error:
        raise ClusterError(
            f"Vertex AI is not told who asks: {error}",
            expected="Google credentials on this machine",
            hint="gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=KEY.json",
        ) from error
    except (ServiceUnavailable, TooManyRequests) as error:
        raise NoAnswerError(f"Vertex AI does not answer: {error.message}") from error
    except GoogleAPICallError as error:
        raise ClusterError(f"Vertex AI refuses: {error.message}") from error
