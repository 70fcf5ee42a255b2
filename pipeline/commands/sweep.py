"""`vww sweep`: a grid of runs, and what each of its points gives and costs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8

if TYPE_CHECKING:
    from pipeline.sweep.results import SweepReport


def sweep(
    config_file: ConfigFile,
    overrides: Overrides = None,
    *,
    alpha: Annotated[
        str | None, typer.Option("--alpha", metavar="LIST", help="Short for --over trainer.alpha=LIST.")
    ] = None,
    side: Annotated[
        str | None, typer.Option("--side", metavar="LIST", help="Short for --over transform.side=LIST.")
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option("--over", metavar="PATH=V1,V2", help="Values of one key of the config; repeat for more keys."),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Points at the same time; one for every two cores.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", callback=in_utf8, help="Where sweep.html goes; run.root/sweep."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than a table.")] = False,
) -> None:
    """Run CONFIG at every point of a grid, and show int8 accuracy against arena and flash. Your releases stay."""
    from pipeline.sweep.grid import parse_axis

    axes = [
        *([] if alpha is None else [parse_axis(f"trainer.alpha={alpha}", "--alpha")]),
        *([] if side is None else [parse_axis(f"transform.side={side}", "--side")]),
        *(parse_axis(text, "--over") for text in over or ()),
    ]

    from pipeline.sweep.results import Status
    from pipeline.sweep.run import available_cores, default_parallelism
    from pipeline.sweep.sweep import Sweep
    from pipeline.sweep.table import print_sweep

    asked = Sweep(config_file, overrides or (), axes, output, command=sys.argv[0])
    if asked.duplicates:
        typer.echo(f"{asked.duplicates} of the grid's points run the same as another, and are left out", err=True)
    report = asked.run(default_parallelism(available_cores()) if parallel is None else parallel)
    failed = [row for row in report.rows if row.status is Status.FAILED]
    for row in failed:
        typer.echo(f"{row.label} failed: {row.reasons[0]}", err=True)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        print_sweep(report)
        typer.echo(str(asked.page))
        typer.echo(f"Nothing was promoted. {_advise(report)}")
    if failed:
        typer.echo(f"{len(failed)} of {len(report.rows)} points failed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _advise(report: "SweepReport") -> str:
    chosen = next((row for row in report.rows if row.label == report.chosen), None)
    if chosen is None:
        return "No point passed all gates."
    return f"The most accurate point that passed is {chosen.label}:\n  next: {chosen.command}"
