"""`vww predict`: what a released model says of images."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.arguments import in_utf8
from pipeline.commands.models import ModelRange
from pipeline.commands.releases import DEFAULT_STORE, Store


def predict(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE",
            callback=in_utf8,
            help="A release's folder; MODEL, MODEL/VERSION or MODEL/CHANNEL in the store; or a .tflite file.",
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, and folders of them.")],
    *,
    uri: Store = DEFAULT_STORE,
    model: Annotated[
        Literal["float", "int8"], typer.Option("--model", help="The model that ships, or the one it was made from.")
    ] = "int8",
    runtime: Annotated[
        Literal["tflm", "litert"] | None,
        typer.Option("--runtime", help="For int8: TFLite Micro (if left out), or LiteRT with its reference kernels."),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="DIR", callback=in_utf8, help="Write the images with label or boxes in them."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", min=0, max=1, help="Of a detection; that of the release's operating point if left out."
        ),
    ] = None,
    input_range: ModelRange = "-1..1",
) -> None:
    """Say what is in images, as JSON: one line for each. Images that cannot be read are named, and left out."""
    from components.errors import DataError
    from components.pusher.durable_files import check_replaceable
    from pipeline.child import ask_child
    from pipeline.console import RunView
    from pipeline.evaluation.released import find_release
    from pipeline.prediction.images import find_images
    from pipeline.prediction.records import PredictionReport, PredictionRequest

    if model == "float" and runtime is not None:
        raise typer.BadParameter("has no meaning with --model float, which runs in TensorFlow", param_hint="--runtime")
    flatbuffer = what if what.endswith(".tflite") else None
    if flatbuffer is not None:
        _check_flatbuffer(flatbuffer, model)
    found = find_images(images, draw)
    for image in found.images[:1]:
        if image.drawing is not None:
            check_replaceable(Path(image.drawing))
    request = PredictionRequest(
        release=None if flatbuffer is not None else find_release(what, uri),
        flatbuffer=flatbuffer,
        weights=model,
        runtime=runtime or "tflm",
        images=found.images,
        min_score=min_score,
        input_range=input_range,
    )
    with RunView() as view:
        view.start("images")
        if found.left_out:
            view.say(f"{found.left_out:,} images below {draw} are left out: they are taken for drawings")
        for file in found.bad:
            view.say(f"bad: {file.file}: {file.reason}")
        report = PredictionReport.from_json(ask_child("predict", request, view))
        bad = found.bad + report.bad
        view.finish(f"{len(report.predictions):,} answered" + (f", {len(bad):,} bad" if bad else ""))
    for prediction in report.predictions:
        sys.stdout.write(prediction.to_json() + "\n")
    if bad:
        total = len(found.images) + len(found.bad)
        raise DataError(
            f"{len(bad):,} of {total:,} images are bad; the first, {bad[0].file}: {bad[0].reason}",
            hint="the others are answered; mend these, or leave them out",
        )


def _check_flatbuffer(path: str, model: str) -> None:
    from components.errors import ModelError

    if not Path(path).is_file():
        raise ModelError(f"{path}: nothing is there", expected="a .tflite file, or a release")
    if model == "float":
        raise typer.BadParameter("is for releases; a .tflite file is run as it is", param_hint="--model")
