"""`vww demo` and `vww run`: from images to a release, or to a refusal; `vww report`: the page of what became of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import GateError, StorageError
from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8

if TYPE_CHECKING:
    from components.pusher.outcome import Outcome
    from pipeline.config import RunConfig

DEMO_CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
DEMO_IMAGES = 3600
DEMO_SEED = 1


def demo(overrides: Overrides = None) -> None:
    """Draw the sample set, run the whole pipeline on it, and release what passes the gates."""
    from components.sample_data.writer import is_sample_data, write_sample_data
    from pipeline.config import read_config
    from pipeline.console import RunView
    from pipeline.run import run_pipeline, started_worker

    settings = list(overrides or ())
    root = Path(read_config(str(DEMO_CONFIG), settings).run.root)
    data = root / "sample-data"
    where = [
        f"data.annotations={json.dumps(str(data / 'instances.json'))}",
        f"data.images={json.dumps(str(data / 'images'))}",
    ]
    config = read_config(str(DEMO_CONFIG), [*where, *settings])
    with started_worker(config.run.root) as worker, RunView() as view:
        view.start("sample data     ")
        if is_sample_data(data, images=DEMO_IMAGES, seed=DEMO_SEED):
            view.finish(f"{DEMO_IMAGES:,} images, drawn earlier")
        else:
            write_sample_data(
                data,
                images=DEMO_IMAGES,
                seed=DEMO_SEED,
                workers=2,
                on_progress=lambda done, total: view.advance(done, total, "images"),
            )
            view.finish(f"{DEMO_IMAGES:,} images below {data}")
        outcome = run_pipeline(config, view, worker)
    conclude(config, outcome)


def run(
    config_file: ConfigFile,
    overrides: Overrides = None,
) -> None:
    """Run the pipeline that CONFIG describes, and release what passes the gates."""
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())
    from pipeline.console import RunView
    from pipeline.run import run_pipeline, started_worker

    with started_worker(config.run.root) as worker, RunView() as view:
        outcome = run_pipeline(config, view, worker)
    conclude(config, outcome)


def conclude(config: "RunConfig", outcome: "Outcome") -> None:
    """Prints the result; a refusal ends with exit code 3."""
    from pipeline.show import print_outcome

    print_outcome(outcome, command=sys.argv[0])
    _write_page(config)
    if outcome.publication is None:
        raise typer.Exit(GateError.exit_code)


def _write_page(config: "RunConfig") -> None:
    """The run's page; a disk that is full by now takes nothing back of what was released or refused."""
    from pipeline.report.run_page import REPORT_FILE, find_outcome, write_run_page

    root = Path(config.run.root)
    try:
        write_run_page(config.name, find_outcome(root), root / REPORT_FILE)
    except StorageError as error:
        typer.echo(f"no report was written: {error.message}", err=True)
    else:
        sys.stdout.write(f"Report: {root / REPORT_FILE}\n")


def report(
    run_root: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder: run.root, such as runs/demo.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", callback=in_utf8, help="Where the page goes; RUN/report.html if left out."),
    ] = None,
) -> None:
    """Write the newest outcome of RUN as one HTML page: verdict, gates, figures, confusion, pictures."""
    from components.pusher.durable_files import check_replaceable
    from pipeline.report.run_page import REPORT_FILE, find_outcome, write_run_page

    path = run_root / REPORT_FILE if output is None else output
    outcome = find_outcome(run_root)
    check_replaceable(path)
    write_run_page(run_root.absolute().name, outcome, path)
    typer.echo(str(path))
