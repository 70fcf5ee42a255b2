"""Tables and JSON on stdout: outcomes, flatbuffers, manifests."""

import sys
from collections.abc import Sequence
from pathlib import Path

from components.drift import FeatureDrift
from components.errors import ModelError
from components.example_gen.labeling import NOT_ANNOTATED
from components.features import EVAL
from components.intervals import wilson_interval
from components.pusher.manifest import Manifest, Metrics
from components.pusher.outcome import Outcome
from components.quantization.contracts import TensorContract
from components.quantization.inspect import OpUse
from components.verdicts import Gate
from pipeline.config import RunConfig
from pipeline.console import print_table
from pipeline.evaluation.report import EvaluationReport
from pipeline.report.data_tables import print_examples

_TFLM_TIME_LIMIT_S = 60.0


def print_outcome(config: RunConfig, outcome: Outcome, *, command: str) -> None:
    """The table at the end of a run, and what to do next.

    Args:
      config: what was run.
      outcome: what became of it.
      command: how the person calls `vww`.
    """
    print_examples(outcome.dataset.counts)
    _print_drift(outcome.drift.features)
    rows = [["float", *_metrics(outcome.float_metrics)]]
    slices = {name: m for name, m in outcome.float_slices.items() if name != NOT_ANNOTATED}
    rows += [[f"float, largest object {name}", *_metrics(m)] for name, m in slices.items()]
    _print_quality([*rows, *_int8_rows(outcome.int8_metrics)])
    if outcome.footprint is not None:
        footprint = outcome.footprint
        print_table(
            "Footprint",
            ["flatbuffer", "tensor arena (64-bit host)", "MACs", "differs from the reference kernels by"],
            [
                [
                    f"{_count(footprint.flatbuffer_bytes)} bytes",
                    f"{_count(footprint.arena_total_bytes)} bytes",
                    _count(footprint.macs),
                    "-"
                    if outcome.parity is None
                    else f"{outcome.parity.max_difference_lsb} LSB at most, on {outcome.parity.images} images",
                ]
            ],
        )
    _print_gates(outcome.verdict.gates)
    if outcome.promotion is None:
        sys.stdout.write("Refused: nothing was promoted.\n")
        sys.stdout.writelines(f"  {reason}\n" for reason in outcome.verdict.reasons())
        sys.stdout.write(
            "  next: train longer or on more images; a limit that is wrong is set with --set gates.…=VALUE\n"
        )
        return
    promotion = outcome.promotion
    known = " (the same files had been released before)" if promotion.already_released else ""
    sys.stdout.write(f"Released: {promotion.uri}{known}\n")
    sys.stdout.write(f"  next: {command} releases show {config.name} {promotion.version} --uri {config.release_uri}\n")


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
    arena = "did not load" if run.arena is None else f"{_count(run.arena.total_bytes)} bytes"
    if run.arena is not None:
        arena += f" (head {_count(run.arena.head_bytes)} + tail {_count(run.arena.tail_bytes)})"
    print_table(
        str(file),
        ["flatbuffer", "weights", "MACs", "tensor arena (TFLite Micro, 64-bit host)"],
        [
            [
                f"{_count(report.flatbuffer_bytes)} bytes",
                f"{_count(report.weight_bytes)} bytes",
                _count(report.macs),
                arena,
            ]
        ],
    )
    _print_contracts(report.inputs, report.outputs)
    print_ops(report.ops)
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
                _count(round(row.metrics["example_count"] or 0)),
                _interval(row.metrics["accuracy"], row.metrics["example_count"]),
                *("-" if (value := row.metrics.get(name)) is None else f"{value:.4f}" for name in names),
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
        + "; ".join(f"{split} {_count(sum(by.values()))}" for split, by in manifest.dataset.images.items()),
        "calibration": f"{manifest.calibration.count} training images, seed {manifest.calibration.seed}",
        "pixel contract": manifest.pixel_contract,
        "baseline": "none, the first" if manifest.baseline is None else manifest.baseline,
        "signature": describe_signature(manifest, is_checked=False),
    }
    print_table(f"{manifest.model} {manifest.version}", ["", ""], rows.items())
    _print_drift(manifest.drift)
    _print_quality([["float", *_metrics(manifest.float_metrics[EVAL])], *_int8_rows(manifest.int8_metrics)])
    footprint = manifest.footprint
    print_table(
        "Footprint",
        ["flatbuffer", "tensor arena (64-bit host)", "head", "tail", "MACs"],
        [
            [
                _count(footprint.flatbuffer_bytes),
                _count(footprint.arena_total_bytes),
                _count(footprint.arena_head_bytes),
                _count(footprint.arena_tail_bytes),
                _count(footprint.macs),
            ]
        ],
    )
    _print_contracts((manifest.input,), (manifest.output,))
    print_ops(footprint.ops)
    _print_gates(manifest.gates)
    own = {path: digest for path, digest in manifest.files.items() if "/" not in path}
    print_table(
        "Files (and the SavedModel)",
        ["file", "bytes", "sha256"],
        [[path, _count(digest.size_bytes), digest.sha256[:16]] for path, digest in sorted(own.items())],
    )


def describe_signature(manifest: Manifest, *, is_checked: bool) -> str:
    """Whether a release is signed, by which key, and whether anybody looked."""
    if manifest.signing_key_id is None:
        return "not signed"
    return f"signed by key {manifest.signing_key_id[:12]}" + ("" if is_checked else ", which --key would check")


def _print_quality(rows: list[list[str]]) -> None:
    print_table("Quality on the eval split", ["model", "images", "accuracy", "AUC"], rows)


def _int8_rows(by_split: dict[str, Metrics]) -> list[list[str]]:
    return [
        ["int8" if split == EVAL else f"int8, {split} split", *_metrics(metrics)] for split, metrics in by_split.items()
    ]


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
                    "-" if row.gate is None else _limit(row.gate),
                    "-" if row.gate is None else _verdict(row.gate),
                ]
                for row in drift
            ],
        )


def _limit(gate: Gate) -> str:
    return f"{gate.comparison.value} {_number(gate.limit)}"


def _verdict(gate: Gate) -> str:
    return "passed" if gate.passed else "REFUSED"


def _print_gates(gates: tuple[Gate, ...]) -> None:
    print_table(
        "Gates",
        ["gate", "limit", "value", "verdict"],
        [
            [
                gate.name,
                _limit(gate),
                "-" if gate.value is None else _number(gate.value),
                _verdict(gate),
            ]
            for gate in gates
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


def _metrics(metrics: Metrics) -> list[str]:
    return [
        _count(metrics.examples),
        f"{metrics.accuracy:.4f}",
        "-" if metrics.auc is None else f"{metrics.auc:.4f}",
    ]


def _count(number: int) -> str:
    return f"{number:,}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"
