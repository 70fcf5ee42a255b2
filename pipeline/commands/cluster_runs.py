"""`vww submit` and `vww runs`: a compiled pipeline on Kubeflow Pipelines or Vertex AI, followed to its verdict."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import ClusterError, ConfigError, GateError
from pipeline.commands.arguments import Overrides
from pipeline.interruption import EXIT_INTERRUPTED, Interrupted
from pipeline.kubeflow.options import Target
from pipeline.kubeflow.package import Package, is_compiled, parse_labels, parse_parameters, read_package
from pipeline.kubeflow.run_status import RunStatus, State, describe_state
from pipeline.kubeflow.server import Access, check_host, knock
from pipeline.kubeflow.submission import Submission, check_pipeline_root

if TYPE_CHECKING:
    from components.pusher.outcome import Outcome
    from pipeline.kubeflow.kfp_runs import KubeflowRuns
    from pipeline.kubeflow.vertex_runs import VertexRuns

runs = typer.Typer(help="List, show and cancel runs on Kubeflow Pipelines.", no_args_is_help=True)

_TOKEN = "KFP_TOKEN"  # noqa: S105  # the variable's name

Host = Annotated[
    str | None,
    typer.Option(
        "--host", envvar="KFP_ENDPOINT", metavar="URL", help="Kubeflow Pipelines, such as http://localhost:8080."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help=f"A bearer token, read for every request. {_TOKEN} can hold one."
    ),
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-cert", metavar="FILE", help="Certificates that vouch for the server.")
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Yours, where the server serves several people.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `vww submit` and `vww runs list` tell it.")]


def submit(
    source: Annotated[str, typer.Argument(metavar="CONFIG|FILE", help="A config, or what `vww compile` made of one.")],
    overrides: Overrides = None,
    *,
    target: Annotated[Target, typer.Option("--target", help="Where it runs: kubeflow or vertex.")] = "kubeflow",
    host: Host = None,
    token_file: TokenFile = None,
    ca_cert: CaFile = None,
    namespace: Namespace = None,
    project: Annotated[str | None, typer.Option("--project", help="Vertex AI: the project's id.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="Vertex AI: such as europe-west4.")] = None,
    pipeline_root: Annotated[
        str | None,
        typer.Option("--pipeline-root", metavar="URI", help="Below which artifacts go; as compiled if left out."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the run; the pipeline's and the time if left out.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", help="That the run is filed under; the pipeline's name if left out.")
    ] = None,
    service_account: Annotated[
        str | None, typer.Option("--service-account", help="That the steps run as; the cluster's own if left out.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step, whatever earlier runs left.")] = False,
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="On every step's pod, or Vertex AI's job.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set-parameter", metavar="NAME=VALUE", help="A runtime parameter.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the steps to the gates' verdicts.")] = False,
) -> None:
    """Start a pipeline on Kubeflow Pipelines or Vertex AI, and print the run's URL."""
    from pipeline.kubeflow.run_values import READER, check_run_values

    run_labels = parse_labels(target, labels or ())
    if pipeline_root is not None:
        check_pipeline_root(pipeline_root, target, "received --pipeline-root")

    @cache
    def connect() -> "KubeflowRuns | VertexRuns":
        return _vertex(project, region) if target == "vertex" else _kubeflow(host, token_file, ca_cert, namespace)

    with _packaged(source, overrides or (), target, connect) as package:
        if pipeline_root is None and package.pipeline_root is not None:
            check_pipeline_root(package.pipeline_root, target, f"{source}: defaultPipelineRoot is")
        values = parse_parameters(package, parameters or ())
        check_run_values(package.values | values, package.mounts(READER), target, "--set-parameter")
        submission = Submission(
            name=name or f"{package.name} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            experiment=experiment or package.name,
            pipeline_root=pipeline_root or package.pipeline_root,
            service_account=service_account,
            enable_caching=False if no_cache else None,
            labels=run_labels,
            parameters=values,
        )
        cluster = connect()
        run_id = cluster.submit(package, submission)
    typer.echo(cluster.run_url(run_id))
    typer.echo(f"run {run_id}, {package.step_count} steps", err=True)
    if wait:
        _follow(cluster, run_id)


@contextmanager
def _packaged(source: str, overrides: Sequence[str], target: Target, connect: Callable[[], Any]) -> Iterator[Package]:
    """The compiled pipeline; of a config, one that is there for as long as it takes."""
    if is_compiled(source):
        if overrides:
            raise ConfigError(
                f"--set changes a config, and {source} is compiled", hint="--set-parameter sets what a run may choose"
            )
        yield read_package(Path(source), target)
        return
    from pipeline.commands.kubeflow import compile_config
    from pipeline.config import read_config
    from pipeline.kubeflow.reach import check_reach

    config = read_config(source, overrides)
    check_reach(config, target)
    connect()  # before the half minute that compiling takes
    text = compile_config(config, target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("pipeline.json" if target == "vertex" else "pipeline.yaml")
        path.write_text(text, encoding="utf-8")
        yield read_package(path, target)


def _vertex(project: str | None, region: str | None) -> "VertexRuns":
    if project is None or region is None:
        raise ConfigError(
            "Vertex AI runs a pipeline in a project and a region", hint="--project ID --region europe-west4"
        )
    typer.echo(f"asking Vertex AI in {region}", err=True)  # the import alone takes ten seconds
    from pipeline.kubeflow.vertex_runs import VertexRuns

    return VertexRuns(project, region)


def _kubeflow(host: str | None, token_file: Path | None, ca_file: Path | None, namespace: str | None) -> "KubeflowRuns":
    if host is None:
        raise ConfigError("no Kubeflow Pipelines is named", hint="--host URL, or KFP_ENDPOINT=URL")
    if ca_file is not None and not ca_file.is_file():
        raise ConfigError(f"--ca-cert {ca_file} is no file", expected="certificates in PEM")
    access = Access(check_host(host), os.environ.get(_TOKEN) or None, token_file, ca_file, namespace)
    knock(access)
    from pipeline.kubeflow.kfp_runs import KubeflowRuns  # imports kfp, which takes seconds

    return KubeflowRuns(access)


def _follow(cluster: "KubeflowRuns | VertexRuns", run_id: str) -> None:
    """The run's steps, its verdict, and the exit code that goes with it."""
    from pipeline.console import make_console
    from pipeline.kubeflow.follow import follow

    console = make_console()
    try:
        status = follow(lambda: cluster.status(run_id), lambda line: console.print(line, markup=False))
    except (Interrupted, ClusterError) as reason:
        typer.echo(f"no longer following; the run goes on at {cluster.run_url(run_id)}", err=True)
        for line in cluster.ways_on(run_id):
            typer.echo(f"  {sys.argv[0]} {line}", err=True)
        if isinstance(reason, ClusterError):
            raise
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _conclude(status, cluster.run_url(run_id))


def _conclude(status: RunStatus, url: str) -> None:
    """Prints the MicroPusher's verdict; raises ClusterError where the run came to none."""
    if status.state is not State.SUCCEEDED:
        failed = [step for step in status.steps if step.state is State.FAILED]
        told = "; ".join(step.name if step.error is None else f"{step.name}: {step.error}" for step in failed)
        raise ClusterError(
            f"run {status.run_id} {describe_state(status)}" + (f" at {told}" if told else "") + _why(status),
            hint=f"the step's log is at {url}",
        )
    if _print_verdict(status).publication is None:
        raise typer.Exit(GateError.exit_code)


def _print_verdict(status: RunStatus) -> "Outcome":
    from pipeline.kubeflow.outcome import read_cluster_outcome
    from pipeline.show import print_outcome

    outcome = read_cluster_outcome(status.outcome_prefix, status.pipeline_root)
    print_outcome(outcome, command=sys.argv[0])
    return outcome


def _why(status: RunStatus) -> str:
    return "" if status.error is None else f" ({status.error})"


@runs.command("list")
def runs_list(
    *,
    host: Host = None,
    token_file: TokenFile = None,
    ca_cert: CaFile = None,
    namespace: Namespace = None,
    count: Annotated[int, typer.Option("--count", min=1, max=200, help="How many of the newest.")] = 20,
) -> None:
    """List the newest runs."""
    from pipeline.console import print_table

    found = _kubeflow(host, token_file, ca_cert, namespace).list(count)
    print_table(
        f"{len(found)} runs at {host}",
        ["run", "name", "state", "submitted", "took"],
        [
            [run.run_id, run.name, describe_state(run), _time(run.created), _duration(run.created, run.ended)]
            for run in found
        ],
    )


@runs.command("show")
def runs_show(
    run_id: RunId,
    *,
    host: Host = None,
    token_file: TokenFile = None,
    ca_cert: CaFile = None,
    namespace: Namespace = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the steps to the gates' verdicts.")] = False,
) -> None:
    """Show the steps of a run and, once it has succeeded, what its gates decided."""
    from pipeline.console import print_table

    cluster = _kubeflow(host, token_file, ca_cert, namespace)
    if wait:
        _follow(cluster, run_id)
        return
    status = cluster.status(run_id)
    print_table(
        f"{status.name}: {describe_state(status)}{_why(status)}",
        ["step", "state", "began", "took", ""],
        [
            [
                step.name,
                describe_state(step),
                _time(step.started),
                _duration(step.started, step.ended),
                step.error or "",
            ]
            for step in status.steps
        ],
    )
    if status.state is State.SUCCEEDED:
        try:
            _print_verdict(status)
        except ClusterError as error:
            typer.echo(str(error), err=True)


@runs.command("cancel")
def runs_cancel(
    run_id: RunId,
    *,
    host: Host = None,
    token_file: TokenFile = None,
    ca_cert: CaFile = None,
    namespace: Namespace = None,
) -> None:
    """Cancel a run: its running steps are stopped, and no other begins."""
    cluster = _kubeflow(host, token_file, ca_cert, namespace)
    cluster.cancel(run_id)
    typer.echo(f"run {run_id} is being cancelled: {cluster.run_url(run_id)}", err=True)


def _time(at: datetime | None) -> str:
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _duration(begin: datetime | None, end: datetime | None) -> str:
    return "-" if begin is None or end is None else f"{(end - begin).total_seconds():,.0f} s"
