"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

Named = TypeVar("Named", str, Path | None)


def in_utf8(name: Named) -> Named:
    """For a name that is handed on as text, and printed.

    Raises:
      typer.BadParameter: if its bytes are not UTF-8.
    """
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{str(name)!a} is not UTF-8; name it otherwise") from None
    return name


ConfigFile = Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, such as pipeline/configs/demo.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one key of the config, such as trainer.epochs=5."),
]
