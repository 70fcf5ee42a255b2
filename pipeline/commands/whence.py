"""`vww whence`: which release something came from."""

from typing import Annotated

import typer

from pipeline.commands.releases import DEFAULT_STORE


def whence(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE-OR-SHA256",
            help="A .tflite, C source with the array, a firmware image (ELF, .bin, .hex, .uf2), any file of a release,"
            " or 8 to 64 digits of its SHA-256.",
        ),
    ],
    uris: Annotated[
        list[str] | None, typer.Option("--uri", help=f"A release store, once or more; {DEFAULT_STORE} if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the release, run, config and data that a model came from."""
    from pipeline.whence import show_origins

    show_origins(what, uris or [DEFAULT_STORE], as_json=as_json)
