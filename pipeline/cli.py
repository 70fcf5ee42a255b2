"""The `vww` command: the only reader of the command line.

stdout is data, stderr is talk. Exit codes: 0 done, 1 failure, 2 usage, 3 gated off.
"""

import json
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import GateError, VwwError

if TYPE_CHECKING:
    from components.pusher.outcome import Outcome
    from pipeline.config import RunConfig

EXIT_GATED = GateError.exit_code
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="vww",
    help="From a labelled image set to a gated, measured, verified int8 model that a microcontroller can compile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
releases = typer.Typer(help="List, show and verify releases.", no_args_is_help=True)
app.add_typer(releases, name="releases")

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one key of the config, such as trainer.epochs=5."),
]
DEMO_CONFIG = Path(__file__).parent / "configs" / "demo.yaml"
COCO_CONFIG = DEMO_CONFIG.with_name("vww_mobilenet_v1_025_96_gray.yaml")
DEMO_IMAGES = 3000
DEMO_SEED = 1


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


@app.command()
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
    _conclude(config, outcome)


@app.command()
def run(
    config_file: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file, such as pipeline/configs/demo.yaml.")
    ],
    overrides: Overrides = None,
) -> None:
    """Run the pipeline that CONFIG describes, and release what passes the gates."""
    from pipeline.config import read_config
    from pipeline.console import RunView
    from pipeline.run import run_pipeline, started_worker

    config = read_config(config_file, overrides or ())
    with started_worker(config.run.root) as worker, RunView() as view:
        outcome = run_pipeline(config, view, worker)
    _conclude(config, outcome)


@app.command("sample-data")
def sample_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or empty.")],
    images: Annotated[int, typer.Option(min=1, help="How many images to draw.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same bytes.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
) -> None:
    """Draw a COCO-format set: people-like figures among other things."""
    from components.sample_data.writer import write_sample_data
    from pipeline.console import RunView

    with RunView() as view:
        view.start("sample data")
        summary = write_sample_data(
            directory,
            images=images,
            seed=seed,
            workers=workers,
            on_progress=lambda done, total: view.advance(done, total, "images"),
        )
        view.finish(
            f"{summary.images:,} images, {summary.images_with_people:,} with people, {summary.annotations:,} objects"
        )
    typer.echo(str(directory))


@app.command("download-coco")
def download_coco(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the images and annotations go.")],
    year: Annotated[int, typer.Option(metavar="2014|2017", help="COCO's release.")],
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="train|val", help="One of COCO's splits, or both if given twice or not."),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Serves the same paths as images.cocodataset.org.")
    ] = None,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep the zip files.")] = False,
) -> None:
    """Fetch COCO: resumed where it stopped, verified, unpacked; what is there already stays."""
    from components.coco_download import download
    from pipeline.console import RunView

    with RunView() as view:
        fetched = download.download_coco(
            directory,
            year=year,
            splits=splits or download.SPLITS,
            view=view,
            mirror=mirror if mirror is not None else download.SOURCE,
            keep_archives=keep_archives,
        )
    config = COCO_CONFIG.relative_to(Path.cwd()) if COCO_CONFIG.is_relative_to(Path.cwd()) else COCO_CONFIG
    typer.echo(
        f"{shlex.quote(sys.argv[0])} run {shlex.quote(str(config))} \\\n"
        f"  --set {_setting('data.annotations', [split.annotations for split in fetched])} \\\n"
        f"  --set {_setting('data.images', [split.images for split in fetched])}"
    )


def _setting(key: str, paths: list[Path]) -> str:
    """A `--set` argument as a shell takes it, of one path, or of one for train and one for eval."""
    plain = [str(p) if re.fullmatch(r"[A-Za-z0-9_./-]+", str(p)) else json.dumps(str(p)) for p in paths]
    value = plain[0] if len(plain) == 1 else f"{{train: {plain[0]}, eval: {plain[1]}}}"
    return shlex.quote(f"{key}={value}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.tflite")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a flatbuffer's operators, tensor contracts, MACs, bytes, and its arena under TFLite Micro."""
    from pipeline.show import show_flatbuffer

    show_flatbuffer(file, as_json=as_json)


labels = typer.Typer(help="Compare label rules.", no_args_is_help=True)
app.add_typer(labels, name="labels")


@labels.command("diff")
def labels_diff(
    annotations: Annotated[str, typer.Option("--annotations", metavar="FILE", help="A COCO instances file.")],
    rule: Annotated[list[str], typer.Option("--rule", help="slim, slim-download, pyvww, mlperf, kenning or paper.")],
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="The images; guessed beside FILE if left out.")
    ] = None,
    category: Annotated[str, typer.Option("--category", help="The COCO category that makes an image positive.")] = (
        "person"
    ),
    sheet: Annotated[
        Path, typer.Option("--sheet", metavar="FILE.jpg", help="Where images that change label are shown.")
    ] = Path("labels-diff.jpg"),
) -> None:
    """Label a set by two rules or more: counts, where they differ, and a contact sheet of the images that change."""
    from components.example_gen.coco import read_annotations
    from pipeline.labels import (
        changed_images,
        find_rules,
        guess_images_folder,
        label_by_rules,
        print_labels,
        write_sheet,
    )

    rules = find_rules(rule)
    dataset = read_annotations(annotations)
    labels_of_rules = label_by_rules(dataset, category, rules)
    print_labels(labels_of_rules, category)
    folder = guess_images_folder(annotations) if images is None else images
    changed = changed_images(labels_of_rules)
    if not changed:
        typer.echo("no contact sheet: no image changes its label", err=True)
    elif folder is None:
        typer.echo("no contact sheet: no images were found beside the annotations; pass --images DIR", err=True)
    else:
        count = write_sheet(changed, labels_of_rules, dataset, str(folder), sheet)
        typer.echo(f"{sheet}: {count} of the images that change label")


data = typer.Typer(help="Look at a set before anything is trained on it.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command("report")
def data_report(
    config_file: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, as for `vww run`.")],
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.html", help="The page; run.root/data-report.html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than tables.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Look at N images only, chosen by a hash of their ids.")
    ] = None,
) -> None:
    """Is the set balanced, diverse and large enough? A page with charts and images, and a table of checks."""
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())

    from pipeline.console import RunView
    from pipeline.report.data_page import write_page
    from pipeline.report.data_report import gather_data_report
    from pipeline.report.data_tables import print_report

    page = Path(config.run.root) / "data-report.html" if output is None else output
    with RunView() as view:
        report = gather_data_report(config, view, limit=limit)
        view.start("page  ")
        write_page(report, page)
        view.finish(str(page))
    if as_json:
        sys.stdout.write(report.to_json())
    else:
        print_report(report)
        typer.echo(str(page))


Store = Annotated[str, typer.Option("--uri", help="The release store: a folder or gs://bucket/prefix.")]
DEFAULT_STORE = "runs/demo/releases"


@releases.command("list")
def releases_list(uri: Store = DEFAULT_STORE) -> None:
    """List every release in the store, the promoted ones marked."""
    from pipeline.show import list_releases

    list_releases(uri)


Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder of the model in the store, such as demo.")]
Version = Annotated[str, typer.Argument(metavar="[VERSION]", help="A version; the latest if left out.")]


@releases.command("show")
def releases_show(
    model: Model,
    version: Version = "latest",
    uri: Store = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Show one release: what it is, how it was made, and what was measured on it."""
    from pipeline.show import show_release

    show_release(uri, model, version, as_json=as_json)


@releases.command("verify")
def releases_verify(model: Model, version: Version = "latest", uri: Store = DEFAULT_STORE) -> None:
    """Check every file of a release against its manifest."""
    from pipeline.show import verify_release

    verify_release(uri, model, version)


def _conclude(config: "RunConfig", outcome: "Outcome") -> None:
    """Prints the result; a refusal ends with exit code 3."""
    from pipeline.show import print_outcome

    print_outcome(config, outcome, command=sys.argv[0])
    if outcome.promotion is None:
        raise typer.Exit(EXIT_GATED)


class _Interrupted(BaseException):
    """Ctrl-C, under a name that no library on the way catches."""


def _interrupt(*_: object) -> None:
    raise _Interrupted


def main() -> None:
    """Entry point: turns errors into messages and exit codes."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except VwwError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except _Interrupted:
        typer.echo("interrupted; nothing half-written is visible, and finished nodes are not run again", err=True)
        sys.exit(EXIT_INTERRUPTED)
