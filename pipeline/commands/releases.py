"""`vww releases list|show|verify`."""

from typing import Annotated

import typer

releases = typer.Typer(help="List, show and verify releases.", no_args_is_help=True)

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
