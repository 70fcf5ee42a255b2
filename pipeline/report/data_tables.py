"""The data report in a terminal: counts, checks, and what to do about those that warn."""

import sys

from pipeline.console import print_table
from pipeline.report.findings import DataReport


def print_report(report: DataReport) -> None:
    """Tables on stdout; names from the data are shown as they are, whatever brackets they hold."""
    print_table(
        "Examples",
        ["split", "images", *report.labels],
        [
            [split, f"{sum(by_label.values()):,}", *(f"{count:,}" for count in by_label.values())]
            for split, by_label in report.counts.items()
        ],
    )
    coverage = report.coverage
    partly = f" (on {coverage.looked_at:,} of {coverage.planned:,} images)" if coverage.is_partial else ""
    print_table(
        f"Checks{partly}",
        ["check", "value", "wanted", "verdict"],
        [[check.name, check.shown, check.wanted, str(check.verdict)] for check in report.checks],
    )
    for check in report.warnings:
        sys.stdout.write(f"{check.name}: {check.advice}\n")
