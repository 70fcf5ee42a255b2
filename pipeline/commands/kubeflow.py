"""`vww compile`: from a config to the file that Kubeflow Pipelines or Vertex AI runs; `vww emulate` runs it here."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import ConfigError, GateError, StorageError
from components.pusher.durable_files import check_replaceable, replace_durably, storage_errors
from pipeline.commands.arguments import ConfigFile, Overrides, in_utf8
from pipeline.kubeflow.options import Target

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.kubeflow.emulator.records import Emulation

# By their endings the tools of both know what a file is.
_ENDINGS: dict[Target, tuple[str, ...]] = {"kubeflow": (".yaml", ".yml"), "vertex": (".json",)}


def compile_(
    config_file: ConfigFile,
    target: Annotated[
        Target, typer.Option("--target", help="What will run it: kubeflow (YAML) or vertex (Vertex AI, JSON).")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", callback=in_utf8, help="Where the pipeline goes.")
    ],
    overrides: Overrides = None,
) -> None:
    """Compile the pipeline that CONFIG describes for Kubeflow Pipelines or Vertex AI."""
    from pipeline.config import read_config

    config = read_config(config_file, overrides or ())
    _check_output(output, target)
    content = compile_config(config, target).encode()
    with storage_errors(output, len(content)):
        replace_durably(output, content)
    sys.stdout.write(f"{output}\n")


def compile_config(config: "RunConfig", target: Target) -> str:
    """The compiled pipeline's text; what a run may set, and what was left out, is told on stderr.

    Raises:
      ConfigError: if a step could not use what the config names.
      DataError: if class folders cannot be listed from here.
    """
    from pipeline.child import ask_child
    from pipeline.console import RunView
    from pipeline.kubeflow.reach import check_reach, left_out
    from pipeline.kubeflow.requests import CompiledPipeline, CompileRequest

    check_reach(config, target)
    with RunView() as view:
        view.start("pipeline  ")
        compiled = CompiledPipeline.from_json(ask_child("compile", CompileRequest(config=config, target=target), view))
        view.finish(f"{len(compiled.tasks)} steps for {target}, {len(compiled.text):,} bytes")
        view.say(f"A run may set: {', '.join(compiled.parameters)}")
        for why in left_out(config, target):
            view.say(f"{why} and was left out.")
    return compiled.text


def _check_output(path: Path, target: Target) -> None:
    """Says at once what would otherwise be said when all is compiled."""
    if path.suffix not in _ENDINGS[target]:
        raise ConfigError(
            f"--output {path} does not end as --target {target} asks", expected=" or ".join(_ENDINGS[target])
        )
    if not path.parent.is_dir():
        raise StorageError(f"{path} cannot be written: there is no folder {path.parent}", expected="one that is there")
    check_replaceable(path)


def emulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline, from vww compile --target kubeflow.")],
    root: Annotated[
        str, typer.Option("--root", metavar="DIR", help="Keeps the object store, and logs and inputs of each step.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help="Set a parameter of the pipeline, such as epochs=5."),
    ] = None,
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start a process for each step, as a cluster does; 20 s slower a step.")
    ] = False,
) -> None:
    """Execute a compiled pipeline step by step on this machine, as Kubeflow Pipelines would give it to each."""
    if not root:
        raise ConfigError("received --root ''", expected="a folder", hint="--root DIR")
    parameters = _parse_settings(settings or ())
    text = _read(file)
    from pipeline.console import RunView
    from pipeline.kubeflow.emulator.emulate import emulate as execute
    from pipeline.show import print_outcome

    with RunView() as view:
        emulation = execute(
            text,
            root=Path(root),
            parameters=parameters,
            processes="fresh" if fresh else "fork",
            view=view,
            where=str(file),
        )
        view.say(f"logs: {emulation.folder}")
    _print_steps(emulation)
    if emulation.outcome is None:
        return
    print_outcome(emulation.outcome, command=sys.argv[0])
    if emulation.outcome.publication is None:
        raise typer.Exit(GateError.exit_code)


def _parse_settings(settings: Sequence[str]) -> dict[str, str]:
    parameters = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting} has no value", expected="--set PARAMETER=VALUE")
        parameters[name] = value
    return parameters


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the pipeline {file}: {error}", expected="what vww compile CONFIG -o FILE.yaml wrote"
        ) from error


def _print_steps(emulation: "Emulation") -> None:
    from pipeline.console import print_table

    print_table(
        "Steps",
        ("step", "time", "peak memory", "attempts", "asked for"),
        (
            (
                step.task,
                f"{step.seconds:.1f} s",
                f"{step.peak_memory_bytes / 1e6:,.0f} MB",
                str(step.attempts),
                ", ".join(f"{name} {value}" for name, value in step.pod["resources"]["limits"].items()) or "no limit",
            )
            for step in emulation.steps
        ),
    )
