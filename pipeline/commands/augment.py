"""`vww augment preview`: looking at the random changes of training images."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8

augment = typer.Typer(help="Look at the augmentation before anything is trained with it.", no_args_is_help=True)


@augment.command("preview")
def augment_preview(
    config_file: ConfigFile,
    overrides: Overrides = None,
    *,
    images: Annotated[int, typer.Option(min=1, help="How many training images; one row each.")] = 6,
    columns: Annotated[int, typer.Option(min=1, help="How many changed versions of each.")] = 6,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.jpg", callback=in_utf8, help="The sheet; run.root/augmentation.jpg."
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", callback=in_utf8, help="Also write them there as TensorBoard images.")
    ] = None,
) -> None:
    """Draw a contact sheet: training images, and changed versions of them as the model would see them."""
    from components.errors import ConfigError
    from components.trainer.augmentation.options import changes_of
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())
    if not changes_of(config.trainer.augmentation):
        raise ConfigError(
            "trainer.augmentation: received none; there is nothing to preview",
            expected="a preset, or a list of changes",
            hint="--set trainer.augmentation=mlperf, or a list: docs/augmentation.md",
        )

    from components.example_gen.plan import plan_dataset
    from components.pusher.durable_files import check_replaceable
    from pipeline.child import ask_child
    from pipeline.console import RunView
    from pipeline.report.preview import PreviewReport, PreviewRequest

    request = PreviewRequest(
        config=config,
        images=images,
        versions=columns,
        sheet=str((Path(config.run.root) / "augmentation.jpg" if output is None else output).absolute()),
        tensorboard=None if tensorboard is None else str(tensorboard.absolute()),
    )
    check_replaceable(Path(request.sheet))
    with RunView() as view:
        view.start("data  ")
        plan = plan_dataset(config.data, lambda done, total: view.advance(done, total, "images"))
        view.finish(f"{len(plan.records):,} images, {len(plan.label_names)} labels")
        view.start("images")
        report = PreviewReport.from_json(ask_child("augment_preview", request, view))
        view.finish(f"{report.images} of the train split, {columns} versions each")
        if tensorboard is not None:
            view.say(f"TensorBoard images: {tensorboard}")
    typer.echo(request.sheet)
