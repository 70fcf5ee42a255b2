"""Runs on Kubeflow Pipelines, by kfp's own client; imports kfp, which takes three seconds."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import kfp
from kfp.client.token_credentials_base import TokenCredentialsBase

from components.errors import ClusterError, ConfigError
from pipeline.kubeflow.invariants import check_spec
from pipeline.kubeflow.package import Package, label_pods
from pipeline.kubeflow.run_status import PUSHER, RunStatus, State, StepStatus, describe_state, parse_state
from pipeline.kubeflow.server import (
    Access,
    NoAnswerError,
    check_object,
    not_pipelines,
    read_token,
    server_errors,
)
from pipeline.kubeflow.submission import Submission

_DRIVER = "-driver"  # the node beside each step's own: backend/src/v2/compiler/argocompiler/dag.go
_ROOT = "root"


class _Client(kfp.Client):  # type: ignore[misc]  # kfp publishes no types
    """kfp's client, which asks for the server's health once, not five times with naps in between."""

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:  # noqa: ARG002  # kfp's signature
        return self.healthzs.healthz_service_get_healthz()


class _TokenFile(TokenCredentialsBase):  # type: ignore[misc]
    """The token of a file, read for every request.

    `knock` has read it once; where it is not there later, what writes it is at work.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def refresh_api_key_hook(self, config: Any) -> None:
        """As kfp asks for it.

        Raises:
          NoAnswerError: if the file holds no token just now.
        """
        try:
            config.api_key["authorization"] = read_token(self._access)
        except ConfigError as error:
            raise NoAnswerError(error.message, expected=error.expected) from error


class KubeflowRuns:
    """The runs of one server; `knock` first, which is quicker to tell that it is none.

    Raises:
      ClusterError: if the server refuses.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        with self._asking():
            self._client = _Client(
                host=access.host,
                existing_token=read_token(access) if access.token_file is None else None,
                credentials=None if access.token_file is None else _TokenFile(access),
                ssl_ca_cert=None if access.ca_file is None else str(access.ca_file),
                namespace=access.namespace or "kubeflow",  # kfp's word for "not said"
            )

    def submit(self, package: Package, submission: Submission) -> str:
        """Starts a run.

        Returns:
          Its id.

        Raises:
          ConfigError: if the pipeline does not hold together.
          ClusterError: if the server refuses it.
        """
        check_spec(package.text, str(package.path))
        with self._asking(), _labelled(package, submission.labels) as path:
            experiment = self._client.create_experiment(submission.experiment, namespace=self._access.namespace)
            run = self._client.run_pipeline(
                experiment.experiment_id,
                submission.name,
                str(path),
                params=submission.parameters,
                pipeline_root=submission.pipeline_root,
                enable_caching=submission.enable_caching,
                service_account=submission.service_account,
            )
        return str(run.run_id)

    def run_url(self, run_id: str) -> str:
        """The page of a run."""
        return self._access.run_url(run_id)

    def ways_on(self, run_id: str) -> tuple[str, ...]:
        """Commands of `vww` for a run that goes on."""
        return tuple(
            f"runs {verb} --host {self._access.host}" for verb in (f"show {run_id} --wait", f"cancel {run_id}")
        )

    def status(self, run_id: str) -> RunStatus:
        """How a run stands.

        Raises:
          ClusterError: if the server knows no such run.
        """
        run = self._ask(f"run {run_id}", lambda: self._client.get_run(run_id))
        return self._run_status(run)

    def list(self, count: int) -> list[RunStatus]:
        """The newest runs, without their steps."""
        answer = self._ask(
            "its runs",
            lambda: self._client.list_runs(
                page_size=count, sort_by="created_at desc", namespace=self._access.namespace
            ),
        )
        return [self._run_status(run) for run in answer.runs or ()]

    def cancel(self, run_id: str) -> None:
        """Ends a run; steps that run are stopped.

        Raises:
          ClusterError: if it has ended, or the server knows no such run.
        """
        status = self.status(run_id)
        if status.has_ended:
            raise ClusterError(f"run {run_id} has ended already: {describe_state(status)}")
        with self._asking():
            self._client.terminate_run(run_id)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Keeps what kfp prints and warns of by itself, such as links to its own pages, away from stdout and stderr."""
        with server_errors(self._access), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield

    def _ask(self, question: str, ask: Callable[[], Any]) -> Any:
        """An answer of Kubeflow Pipelines; its client would take a page of HTML for a run of which nothing is known.

        Raises:
          ClusterError: if it is none.
        """
        with self._asking():
            try:
                answer = ask()
            except (AttributeError, TypeError, ValueError) as error:  # the client's own, over JSON of another shape
                raise not_pipelines(self._access, f"{question} with JSON that its client cannot read") from error
        check_object(self._access, question, self._client.runs.api_client.last_response.data)
        return answer

    def _run_status(self, run: Any) -> RunStatus:
        if run.run_id is None:
            raise not_pipelines(self._access, "a question for runs with one that has no id")
        return _run_status(run)


@contextlib.contextmanager
def _labelled(package: Package, labels: dict[str, str]) -> Iterator[Path]:
    """The package's file, or one with labels that is there for as long as it takes."""
    if not labels:
        yield package.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(label_pods(package, labels), encoding="utf-8")
        yield path


def _run_status(run: Any) -> RunStatus:
    return RunStatus(
        run_id=run.run_id,
        name=run.display_name or run.run_id,
        state=_state(run.state),
        word=run.state,
        steps=_steps((run.run_details and run.run_details.task_details) or ()),
        created=_time(run.created_at),
        ended=_time(run.finished_at),
        pipeline_root=(run.runtime_config and run.runtime_config.pipeline_root) or None,
        outcome_prefix=_outcome_prefix(run),
        error=run.error and run.error.message,
    )


def _steps(tasks: Iterable[Any]) -> tuple[StepStatus, ...]:
    """The nodes of the workflow that are steps: those that have a driver beside them."""
    nodes = {task.display_name: task for task in tasks}
    steps = [
        StepStatus(
            name=name,
            state=_state(task.state),
            word=task.state,
            started=_time(task.start_time),
            ended=_time(task.end_time),
            error=task.error and task.error.message,
        )
        for name, task in nodes.items()
        if name != _ROOT and f"{name}{_DRIVER}" in nodes
    ]
    return tuple(sorted(steps, key=lambda step: (step.started is None, step.started)))


def _state(name: str | None) -> State:
    return State.PENDING if name in {None, "RUNTIME_STATE_UNSPECIFIED"} else parse_state(str(name))


def _time(value: datetime | None) -> datetime | None:
    """The server tells a time that has not come as one of 1970, or of the year 1."""
    return None if value is None or value.year <= 1970 else value


def _outcome_prefix(run: Any) -> str | None:
    """As the driver lays artifacts out: backend/src/v2/driver, `provisionOutputs`."""
    root = run.runtime_config and run.runtime_config.pipeline_root
    spec = run.pipeline_spec or {}
    name = spec.get("pipeline_spec", spec).get("pipelineInfo", {}).get("name")
    return f"{root.rstrip('/')}/{name}/{run.run_id}/{PUSHER}/" if root and name else None
