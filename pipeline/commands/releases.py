"""`vww releases list|show|verify|keygen`."""

from pathlib import Path
from typing import Annotated

import typer

releases = typer.Typer(help="List, show, verify and sign releases.", no_args_is_help=True)

Store = Annotated[str, typer.Option("--uri", help="The release store: a folder or gs://bucket/prefix.")]
DEFAULT_STORE = "runs/demo/releases"


@releases.command("list")
def releases_list(uri: Store = DEFAULT_STORE) -> None:
    """List every release in the store, the promoted ones marked."""
    from pipeline.show import list_releases

    list_releases(uri)


Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder of the model in the store, such as demo.")]
TrustedKeys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="PUB", help="A public key file; one of those given must have signed the release."),
]
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
def releases_verify(
    model: Model, version: Version = "latest", uri: Store = DEFAULT_STORE, keys: TrustedKeys = None
) -> None:
    """Check every file of a release, where it came from, and what its flatbuffer answers."""
    from pipeline.show import verify_release

    verify_release(uri, model, version, keys=tuple(keys or ()))


@releases.command("keygen")
def releases_keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; FILE.pub is public.")],
) -> None:
    """Make an Ed25519 key that signs releases (release.signing_key)."""
    from components.pusher.provenance.keys import PUBLIC_SUFFIX, generate_key

    key = generate_key(file)
    typer.echo(key.keyid)
    typer.echo(
        f"{file} signs: --set release.signing_key={file}; keep it to yourself\n"
        f"{file}{PUBLIC_SUFFIX} checks: vww releases verify MODEL --key {file}{PUBLIC_SUFFIX}",
        err=True,
    )
