"""The `vww` command: the only reader of the command line.

stdout is data, stderr is talk. Exit codes: 0 done, 1 failure, 2 usage, 3 gated off.
"""

import signal
import sys
from typing import Annotated

import typer

from components.errors import VwwError
from pipeline.commands.augment import augment
from pipeline.commands.cluster_runs import runs, submit
from pipeline.commands.data import data, download_coco, labels, sample_data
from pipeline.commands.kubeflow import compile_, emulate
from pipeline.commands.models import budget, evaluate, inspect, slim, tensorboard
from pipeline.commands.predict import predict
from pipeline.commands.releases import releases
from pipeline.commands.run import demo, report, run
from pipeline.commands.sweep import sweep
from pipeline.commands.whence import whence
from pipeline.interruption import EXIT_INTERRUPTED, Interrupted

app = typer.Typer(
    name="vww",
    help="From a labelled image set to a gated, measured, verified int8 model that a microcontroller can compile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"vww {metadata.version('vww')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # the callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command()(demo)
app.command()(run)
app.command()(report)
app.command()(sweep)
app.command("compile")(compile_)
app.command()(emulate)
app.command("sample-data")(sample_data)
app.command("download-coco")(download_coco)
app.command()(budget)
app.command()(inspect)
app.command()(whence)
app.command()(slim)
app.command()(evaluate)
app.command()(predict)
app.command()(tensorboard)
app.command()(submit)
app.add_typer(runs, name="runs")
app.add_typer(labels, name="labels")
app.add_typer(data, name="data")
app.add_typer(augment, name="augment")
app.add_typer(releases, name="releases")


def _interrupt(*_: object) -> None:
    raise Interrupted


def main() -> None:
    """Entry point: turns errors into messages and exit codes."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except VwwError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except Interrupted as interrupted:
        typer.echo("; ".join(("interrupted", "nothing half-written is visible", *interrupted.args)), err=True)
        sys.exit(EXIT_INTERRUPTED)
