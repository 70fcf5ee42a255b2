"""Tables and JSON on stdout: outcomes, flatbuffers, manifests."""

import sys
from collections.abc import Sequence
from pathlib import Path

from components.drift import FeatureDrift
from components.errors import ModelError
from components.intervals import wilson_interval
from components.pusher.channels import Channel
from components.pusher.manifest import Manifest
from components.pusher.outcome import Outcome
from components.quantization.contracts import TensorContract
from components.quantization.records import OpUse
from pipeline.console import print_table
from pipeline.evaluation.report import EvaluationReport
from pipeline.numerals import show_count, show_share
from pipeline.report.data_tables import print_examples
from pipeline.show_judgement import (
    arena_rows,
    print_evaluator_quality,
    print_figures,
    print_footprint,
    print_gates,
    print_layers,
    show_limit,
    show_verdict,
)
from pipeline.show_layers import name_worst

_TFLM_TIME_LIMIT_S = 60.0


def print_outcome(outcome: Outcome, *, command: str) -> None:
    """The table at the end of a run, and what to do next.

    Args:
      outcome: what became of it.
      command: how the person calls `vww`.
    """
    print_examples(outcome.dataset.counts)
    _print_drift(outcome.drift.features)
    if outcome.figures is None:
        print_evaluator_quality(outcome.evaluation)
    else:
        print_figures(outcome.figures)
    if outcome.footprint is not None:
        print_footprint(outcome.footprint, outcome.parity, outcome.slimming)
    print_gates(outcome.verdict.gates)
    if outcome.publication is None:
        sys.stdout.write("Refused: nothing was released.\n")
        sys.stdout.writelines(f"  {reason}\n" for reason in outcome.verdict.reasons())
        if outcome.layer_losses:
            sys.stdout.write(f"  {name_worst(outcome.layer_losses)}\n")
        sys.stdout.write(
            "  next: train longer or on more images; a limit that is wrong is set with --set gates.…=VALUE\n"
        )
        return
    publication = outcome.publication
    known = " (the same files had been released before)" if publication.already_released else ""
    sys.stdout.write(f"Released: {publication.uri}{known}\n")
    sys.stdout.write(f"  channel: {Channel.STAGING}\n")
    store, model, version = publication.uri.rsplit("/", 2)
    for next_step in (f"show {model} {version}", f"promote {model} {version} --to {Channel.PRODUCTION}"):
        sys.stdout.write(f"  next: {command} releases {next_step} --uri {store}\n")


def show_flatbuffer(file: Path, *, as_json: bool) -> None:
    """What `vww inspect` prints; the file is only read.

    Raises:
      ModelError: if it is no flatbuffer.
    """
    from components.quantization.inspect import inspect_flatbuffer
    from components.quantization.tflm import run_under_tflm

    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}", expected="a .tflite file") from error
    report = inspect_flatbuffer(data)
    run = run_under_tflm(data, None, time_limit_s=_TFLM_TIME_LIMIT_S)
    if as_json:
        import json

        found = report.model_dump(mode="json")
        found["tflm"] = {"arena": None if run.arena is None else run.arena.model_dump(), "failure": run.failure}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    arena = run.arena
    print_table(
        str(file),
        ["", ""],
        [
            ["flatbuffer", f"{show_count(report.flatbuffer_bytes)} bytes"],
            ["  weights", f"{show_count(report.weight_bytes)} bytes"],
            ["MACs", show_count(report.macs)],
            *(
                [["tensor arena (TFLite Micro, 64-bit host)", "did not load"]]
                if arena is None
                else arena_rows(arena.total_bytes, arena.head_bytes, arena.tail_bytes, arena.shares)
            ),
        ],
    )
    _print_contracts(report.inputs, report.outputs)
    print_ops(report.ops)
    print_layers(report.layers)
    if run.failure is not None:
        sys.stdout.write(f"TFLite Micro: {run.failure}\n")


def print_evaluation(report: EvaluationReport) -> None:
    """One row for every slice, the whole split first."""
    names = [name for name in report.slices[0].metrics if name != "example_count"]
    print_table(
        f"{report.model}, {report.split} split",
        ["slice", "images", "95 % of accuracy", *(name.replace("_", " ") for name in names)],
        [
            [
                row.slice or "all",
                show_count(round(row.metrics["example_count"] or 0)),
                _interval(row.metrics["accuracy"], row.metrics["example_count"]),
                *(show_share(row.metrics.get(name)) for name in names),
            ]
            for row in report.slices
        ],
    )


def _interval(accuracy: float | None, images: float | None) -> str:
    if accuracy is None or not images:
        return "-"
    low, high = wilson_interval(accuracy, round(images))
    return f"{low:.3f} to {high:.3f}"


def print_manifest(manifest: Manifest, uri: str, channels: Sequence[str]) -> None:
    """Everything about one release.

    Args:
      manifest: of the release.
      uri: where it is.
      channels: that hold it.
    """
    code = manifest.code
    commit = (
        "no checkout" if code.commit is None else code.commit[:12] + (" with uncommitted changes" if code.dirty else "")
    )
    rows = {
        "release": uri + (f"  (in {' and '.join(channels)})" if channels else ""),
        "created": manifest.created_utc,
        "code": f"vww {code.version}, {commit}",
        "labels": ", ".join(f"{index} {name}" for index, name in enumerate(manifest.labels)),
        "label rule": f"{manifest.label_rule.id} v{manifest.label_rule.version}, {manifest.label_rule.digest[:12]}",
        "dataset": f"{manifest.dataset.digest[:12]}  "
        + "; ".join(f"{split} {show_count(sum(by.values()))}" for split, by in manifest.dataset.images.items()),
        "calibration": f"{manifest.calibration.count} training images, seed {manifest.calibration.seed}",
        "pixel contract": manifest.pixel_contract,
        "baseline": "none, the first" if manifest.baseline is None else manifest.baseline,
        "signature": describe_signature(manifest, is_checked=False),
    }
    print_table(f"{manifest.model} {manifest.version}", ["", ""], rows.items())
    _print_drift(manifest.drift)
    print_figures(manifest.figures)
    footprint = manifest.footprint
    print_footprint(footprint, manifest.parity, manifest.slimming)
    _print_contracts((manifest.input,), manifest.outputs)
    print_ops(footprint.ops)
    print_gates(manifest.gates)
    own = {path: digest for path, digest in manifest.files.items() if "/" not in path}
    print_table(
        "Files (and the SavedModel)",
        ["file", "bytes", "sha256"],
        [[path, show_count(digest.size_bytes), digest.sha256[:16]] for path, digest in sorted(own.items())],
    )


def describe_signature(manifest: Manifest, *, is_checked: bool) -> str:
    """Whether a release is signed, by which key, and whether anybody looked."""
    if manifest.signing_key_id is None:
        return "not signed"
    return f"signed by key {manifest.signing_key_id[:12]}" + ("" if is_checked else ", which --key would check")


def _print_drift(drift: tuple[FeatureDrift, ...]) -> None:
    """Nothing where there was no released model to drift from."""
    if drift:
        print_table(
            "Drift from the released model's training data",
            ["feature", "distance", "limit", "verdict"],
            [
                [
                    row.feature,
                    f"{row.value:.4f} {row.distance.value}",
                    "-" if row.gate is None else show_limit(row.gate),
                    "-" if row.gate is None else show_verdict(row.gate),
                ]
                for row in drift
            ],
        )


def _print_contracts(inputs: tuple[TensorContract, ...], outputs: tuple[TensorContract, ...]) -> None:
    rows = [("input", contract) for contract in inputs] + [("output", contract) for contract in outputs]
    print_table(
        "Tensor contracts",
        ["", "name", "shape", "dtype", "scale", "zero point"],
        [
            [
                kind,
                contract.name or "(none)",
                "x".join(map(str, contract.shape)),
                contract.dtype,
                "-" if contract.scale is None else f"{contract.scale:.9g}",
                "-" if contract.zero_point is None else str(contract.zero_point),
            ]
            for kind, contract in rows
        ],
    )


def print_ops(ops: tuple[OpUse, ...]) -> None:
    """The operators of a flatbuffer."""
    print_table(
        "Operators",
        ["operator", "version", "count"],
        [[op.name + (" (custom)" if op.custom else ""), str(op.version), str(op.count)] for op in ops],
    )
