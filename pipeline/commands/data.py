"""`vww sample-data`, `download-coco`, `labels diff` and `data report`: getting images, and looking at them."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8

COCO_CONFIG = Path(__file__).parents[1] / "configs" / "vww_mobilenet_v1_025_96_gray.yaml"


def sample_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or empty.")],
    images: Annotated[int, typer.Option(min=1, help="How many images to draw.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same bytes.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    which: Annotated[
        Literal["people", "signs"],
        typer.Option("--set", help="People-like figures among other things, or traffic signs of five categories."),
    ] = "people",
) -> None:
    """Draw a COCO-format set: people-like figures, or traffic signs, among other things."""
    from components.sample_data.writer import write_sample_data
    from pipeline.console import RunView

    with RunView() as view:
        view.start("sample data")
        summary = write_sample_data(
            directory,
            images=images,
            seed=seed,
            which=which,
            workers=workers,
            on_progress=lambda done, total: view.advance(done, total, "images"),
        )
        view.finish(
            f"{summary.images:,} images, {summary.images_with_subject:,} with {which}, {summary.annotations:,} objects"
        )
    typer.echo(str(directory))


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


labels = typer.Typer(help="Compare label rules.", no_args_is_help=True)


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
        Path,
        typer.Option("--sheet", metavar="FILE.jpg", callback=in_utf8, help="Where images that change label are shown."),
    ] = Path("labels-diff.jpg"),
) -> None:
    """Label a set by two rules or more: counts, where they differ, and a contact sheet of the images that change."""
    from components.example_gen.coco import read_annotations
    from components.pusher.durable_files import check_replaceable
    from pipeline.labels import (
        changed_images,
        find_rules,
        guess_images_folder,
        label_by_rules,
        print_labels,
        write_sheet,
    )

    rules = find_rules(rule)
    check_replaceable(sheet)
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


@data.command("report")
def data_report(
    config_file: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.html", callback=in_utf8, help="The page; run.root/data-report.html."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than tables.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Look at N images only, chosen by a hash of their ids.")
    ] = None,
) -> None:
    """Is the set balanced, diverse and large enough? A page with charts and images, and a table of checks."""
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())

    from components.pusher.durable_files import check_replaceable
    from pipeline.console import RunView
    from pipeline.report.data_page import write_page
    from pipeline.report.data_report import gather_data_report
    from pipeline.report.data_tables import print_report

    page = Path(config.run.root) / "data-report.html" if output is None else output
    check_replaceable(page)
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
