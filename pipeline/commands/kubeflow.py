"""`vww compile`: from a config to the file that Kubeflow Pipelines or Vertex AI runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from components.errors import ConfigError, StorageError
from pipeline.commands.arguments import ConfigFile, Overrides
from pipeline.kubeflow.options import Target

# By their endings the tools of both know what a file is.
_ENDINGS: dict[Target, tuple[str, ...]] = {"kubeflow": (".yaml", ".yml"), "vertex": (".json",)}


def compile_(
    config_file: ConfigFile,
    target: Annotated[
        Target, typer.Option("--target", help="What will run it: kubeflow (YAML) or vertex (Vertex AI, JSON).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the pipeline goes.")],
    overrides: Overrides = None,
) -> None:
    """Compile the pipeline that CONFIG describes for Kubeflow Pipelines or Vertex AI."""
    from pipeline.child import ask_child
    from pipeline.config import read_config
    from pipeline.console import RunView
    from pipeline.kubeflow.reach import check_reach, left_out
    from pipeline.kubeflow.requests import CompiledPipeline, CompileRequest

    config = read_config(config_file, overrides or ())
    if output.suffix not in _ENDINGS[target]:
        raise ConfigError(
            f"--output {output} does not end as --target {target} asks", expected=" or ".join(_ENDINGS[target])
        )
    check_reach(config, target)
    with RunView() as view:
        view.start("pipeline  ")
        compiled = CompiledPipeline.from_json(ask_child("compile", CompileRequest(config=config, target=target), view))
        _write(output, compiled.text)
        view.finish(f"{len(compiled.tasks)} steps for {target}, {len(compiled.text):,} bytes")
        view.say(f"A run may set: {', '.join(compiled.parameters)}")
        for key in left_out(config, target):
            view.say(f"{key} has no meaning on Vertex AI and was left out.")
    sys.stdout.write(f"{output}\n")


def _write(path: Path, text: str) -> None:
    """All of it, or nothing."""
    half = path.with_name(f".{path.name}.new")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", expected="a folder that is there and may be written"
        ) from error
