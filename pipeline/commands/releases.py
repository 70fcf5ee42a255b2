"""`vww releases`: what was released, which of it is in which channel, and how to change that."""

from pathlib import Path
from typing import Annotated

import typer

from components.pusher.channels import Channel

releases = typer.Typer(help="List, check, promote, roll back, fetch, remove and sign releases.", no_args_is_help=True)

DEFAULT_STORE = "runs/demo/releases"

Store = Annotated[str, typer.Option("--uri", help="The release store: a folder or gs://bucket/prefix.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder of the model in the store, such as demo.")]
Version = Annotated[
    str, typer.Argument(metavar="[VERSION]", help="A version, or the channel that holds it; staging if left out.")
]
Which = Annotated[str, typer.Argument(metavar="VERSION", help="A version, or the channel that holds it.")]
TrustedKeys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="PUB", help="A public key file; one of those given must have signed the release."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@releases.command("list")
def releases_list(uri: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """List every release in the store, with the channels that hold it."""
    from pipeline.releases import list_releases

    list_releases(uri, as_json=as_json)


@releases.command("show")
def releases_show(
    model: Model,
    version: Version = Channel.STAGING,
    uri: Store = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Show one release: what it is, how it was made, and what was measured on it."""
    from pipeline.releases import show_release

    show_release(uri, model, version, as_json=as_json)


@releases.command("log")
def releases_log(model: Model, uri: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Show what every channel of a model has held, since when, and by whom."""
    from pipeline.releases import show_log

    show_log(uri, model, as_json=as_json)


@releases.command("verify")
def releases_verify(
    model: Model,
    version: Version = Channel.STAGING,
    uri: Store = DEFAULT_STORE,
    keys: TrustedKeys = None,
    as_json: AsJson = False,
) -> None:
    """Check every file of a release, its gates, where it came from, and what its flatbuffer answers."""
    from pipeline.releases import verify_release

    verify_release(uri, model, version, keys=tuple(keys or ()), as_json=as_json)


@releases.command("rebuild")
def releases_rebuild(
    model: Model, version: Version = Channel.STAGING, uri: Store = DEFAULT_STORE, as_json: AsJson = False
) -> None:
    """Convert a release's float model again, with its calibration images, and compare every byte."""
    from pipeline.rebuild import rebuild

    rebuild(uri, model, version, as_json=as_json)


@releases.command("promote")
def releases_promote(
    model: Model,
    version: Which,
    to: Annotated[Channel, typer.Option("--to", help="The channel that shall hold it.")],
    uri: Store = DEFAULT_STORE,
    keys: TrustedKeys = None,
) -> None:
    """Put a release into a channel, after verifying it. Of two promotions at once, one wins and the other says so."""
    from pipeline.releases import promote_release

    promote_release(uri, model, version, to, keys=tuple(keys or ()))


@releases.command("rollback")
def releases_rollback(
    model: Model,
    channel: Annotated[Channel, typer.Option("--channel", help="The channel.")],
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="One of those that it held.")] = None,
    uri: Store = DEFAULT_STORE,
    keys: TrustedKeys = None,
) -> None:
    """Put a channel back to what it held before, after verifying that."""
    from pipeline.releases import roll_back_release

    roll_back_release(uri, model, channel, to, keys=tuple(keys or ()))


@releases.command("fetch")
def releases_fetch(
    model: Model,
    version: Which,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    uri: Store = DEFAULT_STORE,
    keys: TrustedKeys = None,
) -> None:
    """Copy a release into a folder, if it is whole and can be trusted, and print the folder."""
    from pipeline.releases import fetch_release

    fetch_release(uri, model, version, folder, keys=tuple(keys or ()))


@releases.command("diff")
def releases_diff(
    model: Model,
    a: Annotated[str, typer.Argument(metavar="A", help="A version, or the channel that holds it.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    uri: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two releases: metrics, sizes, operators, data, code, files, config."""
    from pipeline.releases import diff_releases

    diff_releases(uri, model, a, b, as_json=as_json)


@releases.command("gc")
def releases_gc(
    model: Model,
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many of the newest releases stay in any case.")],
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is otherwise only listed.")] = False,
    uri: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """List the releases and leftovers that can go, and remove them with --delete.

    What a channel holds, and what it would be rolled back to, always stays.
    """
    from pipeline.releases import clean_up_releases

    clean_up_releases(uri, model, keep, deletes=delete, as_json=as_json)


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
