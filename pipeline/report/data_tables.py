"""The data report in a terminal: counts, checks, and what to do about those that warn."""

import sys
from collections.abc import Mapping

from pipeline.console import print_table
from pipeline.report.findings import DataReport

MAX_LABEL_COLUMNS = 6  # as many as a terminal has room for


def print_examples(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Images by split and label on stdout."""
    _print_counts("Examples", "images", counts)


def _print_counts(title: str, noun: str, counts: Mapping[str, Mapping[str, int]]) -> None:
    """A row for each split, or where there are many labels, for each of them."""
    totals = {split: sum(by_label.values()) for split, by_label in counts.items()}
    labels = list(next(iter(counts.values())))
    if len(labels) <= MAX_LABEL_COLUMNS:
        columns = ["split", noun, *labels]
        rows = [
            [split, f"{totals[split]:,}", *(f"{by_label[label]:,}" for label in labels)]
            for split, by_label in counts.items()
        ]
    else:
        columns = ["label", *counts]
        rows = [[label, *(f"{by_label[label]:,}" for by_label in counts.values())] for label in labels]
        rows.append(["all", *(f"{total:,}" for total in totals.values())])
    print_table(title, columns, rows)


def print_report(report: DataReport) -> None:
    """Tables on stdout; names from the data are shown as they are, whatever brackets they hold."""
    print_examples(report.counts)
    if report.boxes is not None:
        _print_counts("Boxes", "boxes", report.boxes.counts)
    coverage = report.coverage
    partly = f" (on {coverage.looked_at:,} of {coverage.planned:,} images)" if coverage.is_partial else ""
    print_table(
        f"Checks{partly}",
        ["check", "value", "wanted", "verdict"],
        [[check.name, check.shown, check.wanted, str(check.verdict)] for check in report.checks],
    )
    for sentence in () if report.boxes is None else report.boxes.in_words:
        sys.stdout.write(f"{sentence}\n")
    for check in report.warnings:
        sys.stdout.write(f"{check.name}: {check.advice}\n")
