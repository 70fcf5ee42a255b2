"""`vww inspect`, `slim`, `budget`, `evaluate`, `tensorboard`: looking at models, planned, in training or trained."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8

ModelRange = Annotated[
    Literal["-1..1", "0..1", "0..255"],
    typer.Option("--input-range", help="Black..white of a float model that was trained elsewhere."),
]


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.tflite")],
    against_float: Annotated[
        Path | None,
        typer.Option(
            "--against-float",
            metavar="FLOAT",
            callback=in_utf8,
            help="Its SavedModel, .keras, .h5 or float .tflite: what each layer loses.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Images for --against-float, the first 200 of them.")
    ] = None,
    input_range: ModelRange = "-1..1",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a flatbuffer's operators, tensor contracts, MACs, bytes, and its arena under TFLite Micro."""
    if against_float is not None:
        from pipeline.show_layers import show_layers

        show_layers(file, against_float, images, input_range, as_json=as_json)
        return
    if images is not None:
        raise typer.BadParameter("is fed to two models; name the other one with --against-float", param_hint="--images")
    from pipeline.show import show_flatbuffer

    show_flatbuffer(file, as_json=as_json)


def slim(
    file: Annotated[Path, typer.Argument(metavar="FILE.tflite", help="Any int8 model, of whatever origin.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", callback=in_utf8, help="Where it goes; FILE_micro.tflite if left out."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Feed these to both files, not random inputs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a smaller file of the same model, without what TFLite Micro does not read, and prove it the same."""
    from pipeline.console import RunView
    from pipeline.slim import slim_file

    with RunView() as view:
        slim_file(file, output, images, as_json=as_json, view=view)


def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            callback=in_utf8,
            help="A release, .tflite, .keras, .h5, SavedModel, or a checkpoint, of a running training too.",
        ),
    ],
    config_file: ConfigFile,
    *,
    overrides: Overrides = None,
    split: Annotated[Literal["train", "eval", "test"], typer.Option(help="The images to judge it on.")] = "eval",
    input_range: ModelRange = "-1..1",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge any model on CONFIG's images, with the metrics and slices of the Evaluator."""
    from components.errors import ConfigError
    from pipeline.beam import check_reaches_local_files
    from pipeline.child import ask_child
    from pipeline.config import read_config
    from pipeline.console import RunView
    from pipeline.evaluation.report import EvaluationReport, EvaluationRequest
    from pipeline.show import print_evaluation

    config = read_config(config_file, overrides or ())
    if config.task == "detection":
        raise ConfigError(
            "vww evaluate measures classifiers; the config has task=detection",
            hint="a run measures its detector, float and int8: see vww report RUN, or vww releases show",
        )
    check_reaches_local_files(config.beam)
    request = EvaluationRequest(config=config, what=what, split=split, input_range=input_range)
    with RunView() as view:
        view.start("images")
        report = EvaluationReport.from_json(ask_child("evaluate", request, view))
        view.finish(f"{round(report.slices[0].metrics['example_count'] or 0):,} judged")
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        print_evaluation(report)


def tensorboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder: run.root, such as runs/demo.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to serve it.")] = 6006,
) -> None:
    """Open TensorBoard on the trainings of RUN, running or finished."""
    import os

    from components.errors import ConfigError

    logs = run / "artifacts" / "Trainer" / "model_run"
    if not any(logs.glob("*")):
        raise ConfigError(
            f"{run} holds no training yet: {logs} is empty or missing",
            expected="run.root of a run whose Trainer has begun",
            hint="vww run CONFIG makes one",
        )
    typer.echo(f"{logs}: http://localhost:{port}", err=True)
    command = [sys.executable, "-P", "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606  # Ctrl-C is then TensorBoard's


def _list_devices(wanted: bool) -> None:
    if wanted:
        from pipeline.budget import print_devices

        print_devices()
        raise typer.Exit


def budget(
    config_file: ConfigFile,
    *,
    overrides: Overrides = None,
    labels: Annotated[
        int | None,
        typer.Option("--labels", min=2, metavar="N", help="How many labels; found in the config or the class folders."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="Hold it against a preset, and not the config's limits."),
    ] = None,
    devices: Annotated[  # noqa: ARG001  # its callback ends the command
        bool,
        typer.Option("--devices", is_eager=True, callback=_list_devices, help="List the presets, and nothing else."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than tables.")] = False,
) -> None:
    """Would the model fit its device? Measured on random weights, before anything is trained."""
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())

    from pipeline.budget import budget_job, count_labels, device_limits, print_budget, run_budget
    from pipeline.console import RunView

    limits = config.gates.int8.device_budget if device is None else device_limits(device)
    job = budget_job(config, count_labels(config) if labels is None else labels, limits)
    with RunView() as view:
        found = run_budget(job, view)
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
    else:
        print_budget(found)
    found.check()
