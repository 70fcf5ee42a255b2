"""What differs between two releases: figures, everything else in the manifests, files, config."""

import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.pusher.manifest import Manifest
from components.pusher.release import CONFIG_NAME, FileDigest
from components.pusher.release_store import ReleaseStore
from pipeline.console import print_table

_FIGURES = (
    "figures.float_metrics.",
    "figures.int8_metrics.",
    "footprint.flatbuffer_bytes",
    "footprint.arena_total_bytes",
    "footprint.macs",
)
# Those of them that are shown even where they are equal.
_HEADLINES = (
    ".examples",
    ".accuracy",
    ".auc",
    "eval.ap",
    "test.ap",
    ".ap50",
    "footprint.flatbuffer_bytes",
    "footprint.arena_total_bytes",
    "footprint.macs",
)
# Told by their files and digests.
_UNTOLD = ("files", "version", "calibration.source_ids", "golden.source_ids", "golden.labels")


@dataclass(frozen=True)
class Differences:
    """Two releases, side by side.

    Attributes:
      a, b: their versions.
      figures: (path in the manifest, value in a, value in b) of metrics and sizes: the headlines, and what differs.
      fields: the same of everything else that differs.
      files: (path, digest in a, digest in b) of every file that differs; None where it is not there.
      config: unified diff of the two resolved configs, line by line.
    """

    a: str
    b: str
    figures: list[tuple[str, Any, Any]]
    fields: list[tuple[str, Any, Any]]
    files: list[tuple[str, FileDigest | None, FileDigest | None]]
    config: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON knows it."""
        return {
            "a": self.a,
            "b": self.b,
            "figures": [{"path": path, "a": a, "b": b} for path, a, b in self.figures],
            "fields": [{"path": path, "a": a, "b": b} for path, a, b in self.fields],
            "files": [
                {"path": path, "a": a and a.model_dump(), "b": b and b.model_dump()} for path, a, b in self.files
            ],
            "config": "".join(self.config),
        }


def compare_releases(store: ReleaseStore, model: str, a: str, b: str) -> Differences:
    """Reads both manifests and configs.

    Raises:
      ReleaseError: if one of them is not there.
    """
    left, right = store.read_manifest(model, a), store.read_manifest(model, b)
    one, other = _flatten(left), _flatten(right)
    rows = [(path, one.get(path), other.get(path)) for path in sorted(one.keys() | other.keys())]
    return Differences(
        a=a,
        b=b,
        figures=[
            (path, one, other)
            for path, one, other in rows
            if path.startswith(_FIGURES) and (one != other or path.endswith(_HEADLINES))
        ],
        fields=[row for row in rows if not row[0].startswith(_FIGURES) and row[1] != row[2]],
        files=[
            (path, left.files.get(path), right.files.get(path))
            for path in sorted(left.files.keys() | right.files.keys())
            if left.files.get(path) != right.files.get(path)
        ],
        config=_compare_configs(store, model, a, b),
    )


def _compare_configs(store: ReleaseStore, model: str, a: str, b: str) -> list[str]:
    left, right = (
        store.read_file(model, version, CONFIG_NAME).decode(errors="replace").splitlines(keepends=True)
        for version in (a, b)
    )
    return list(difflib.unified_diff(left, right, f"{a}/{CONFIG_NAME}", f"{b}/{CONFIG_NAME}"))


def _flatten(manifest: Manifest) -> dict[str, Any]:
    fields = manifest.model_dump(mode="json")
    return {path: value for path, value in _leaves("", fields) if not path.startswith(_UNTOLD)}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that is no record, with its path; records in a list go by their name, features by theirs."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, below)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            name = item.get("name", item.get("feature", number))
            yield from _leaves(f"{path}[{name}]", {key: below for key, below in item.items() if below != name})
    else:
        yield path, value


def print_differences(differences: Differences) -> None:
    """Tables, then the config as a diff that `patch` would take."""
    a, b = differences.a, differences.b
    print_table(
        "Quality and footprint",
        ["", a, b, "change"],
        [[path, _text(one), _text(other), _change(one, other)] for path, one, other in differences.figures],
    )
    if differences.fields:
        print_table(
            "What else differs in the manifests",
            ["", a, b],
            [[path, _text(one), _text(other)] for path, one, other in differences.fields],
        )
    if differences.files:
        print_table(
            "Files that differ",
            ["file", f"bytes in {a}", f"bytes in {b}"],
            [[path, _size(one), _size(other)] for path, one, other in differences.files],
        )
    sys.stdout.writelines(differences.config)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _change(one: Any, other: Any) -> str:
    if not isinstance(one, int | float) or not isinstance(other, int | float) or one == other:
        return ""
    return f"{other - one:+.4f}" if isinstance(one, float) or isinstance(other, float) else f"{other - one:+,}"


def _size(digest: FileDigest | None) -> str:
    return "-" if digest is None else f"{digest.size_bytes:,}"
