"""`vww inspect`: looking at a model file."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.tflite")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a flatbuffer's operators, tensor contracts, MACs, bytes, and its arena under TFLite Micro."""
    from pipeline.show import show_flatbuffer

    show_flatbuffer(file, as_json=as_json)
