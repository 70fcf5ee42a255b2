"""`vww whence`: what a file or a digest came from, on stdout."""

import json
import sys
from collections.abc import Iterator, Sequence

from components.pusher.provenance.origins import Origin, find_origins
from pipeline.console import print_table


def show_origins(what: str, uris: Sequence[str], *, as_json: bool) -> None:
    """Tells where a file or a digest came from.

    Args:
      what: a file, or 8 to 64 digits of a SHA-256.
      uris: the release stores to look into.
      as_json: whether as JSON.

    Raises:
      ConfigError: if it is neither.
      ReleaseError: if no release has it.
    """
    origins = find_origins(what, uris, lambda message: sys.stderr.write(f"passed over: {message}\n"))
    if as_json:
        sys.stdout.write(json.dumps([origin.model_dump(mode="json") for origin in origins], indent=2) + "\n")
        return
    for origin in origins:
        print_table(f"{origin.model} {origin.version}", ["", ""], _rows(origin))


def _rows(origin: Origin) -> Iterator[tuple[str, str]]:
    """What a person sees of it."""
    code, rule = origin.code, origin.label_rule
    for match in origin.matches:
        yield "found", f"{match.where} is {match.file}  {match.sha256[:12]}"
    yield "release", origin.release + _in_channels(origin.channels)
    yield "run", f"{origin.run.pipeline_run_id}, {origin.run.started_utc} to {origin.created_utc}, in {origin.run.root}"
    yield "ML Metadata", "not on this machine" if origin.metadata is None else origin.metadata
    yield "config", origin.config
    yield "dataset", f"{origin.dataset_digest[:12]}, from files {origin.dataset_fingerprint[:12]}"
    yield "split", origin.split_digest[:12]
    yield "label rule", f"{rule.id} v{rule.version}, {rule.digest[:12]}"
    commit = "no checkout" if code.commit is None else code.commit[:12] + (" with changes" if code.dirty else "")
    yield "code", f"vww {code.version}, {commit}"
    weights = origin.initial_weights_sha256
    yield "initial weights", "random" if weights is None else weights[:12]
    yield "baselines", ", ".join(origin.ancestors) or "none, the first"
    yield (
        "signature",
        "none" if origin.signing_key_id is None else f"by key {origin.signing_key_id[:12]}, not checked here",
    )


def _in_channels(channels: tuple[str, ...] | None) -> str:
    if channels is None:
        return "  (channels not known)"
    return f"  ({', '.join(channels)})" if channels else ""
