"""Rows and the report: intervals, the front, the point to take; and the file that keeps a result."""

import pytest

from components.dataset import DatasetSummary
from components.drift import Drift
from components.errors import StorageError
from components.intervals import wilson_interval
from components.pusher.figures import ClassifierEvaluation, ClassifierFigures
from components.pusher.manifest import Footprint
from components.pusher.outcome import Outcome
from components.quantization.records import Metrics, Quality
from components.verdicts import Comparison, Gate, Verdict
from pipeline.sweep.results import PointResult, PointRow, Status, compare, measured, read_result

DATASET = DatasetSummary(
    label_names=("a", "b"),
    positive=None,
    label_rule="slim",
    label_rule_version=1,
    label_rule_digest="0" * 64,
    label_rule_in_words="a rule",
    counts={"eval": {"a": 50, "b": 50}},
    digest="d",
    fingerprint="f",
    quarantined={},
    dropped={},
    reencoded=0,
    split_digest="5" * 64,
    licenses=(),
)


def make_row(label):
    return PointRow(label=label, values={}, status=Status.WAITING, folder=label, command=f"vww run --set {label}")


def make_quality(accuracy):
    interval = wilson_interval(accuracy, 100)
    return Quality(
        examples=100, accuracy=accuracy, accuracy_interval=interval, auc=0.9, auc_interval=None, confusion=(),
        labels={}, slices={},
    )  # fmt: skip


def make_result(accuracy=0.8, arena=1000, flash=2000, *, limit=0.5, int8=True):
    gate = Gate(name="gates.int8.min_accuracy", comparison=Comparison.AT_LEAST, limit=limit, value=accuracy)
    outcome = Outcome(
        dataset=DATASET,
        drift=Drift(baseline=None, features=()),
        verdict=Verdict(gates=(gate,)),
        evaluation=ClassifierEvaluation(metrics=Metrics(examples=100, accuracy=0.9, auc=0.95), change=None, slices={}),
        figures=ClassifierFigures(float_metrics={}, int8_metrics={"eval": make_quality(accuracy)} if int8 else {}),
        footprint=Footprint(
            flatbuffer_bytes=flash,
            portable_bytes=flash,
            arena_total_bytes=arena,
            arena_head_bytes=1,
            arena_tail_bytes=1,
            arena_shares=(),
            macs=5,
            ops=(),
        )
        if int8
        else None,
    )
    return PointResult(key="k", outcome=outcome, refusal=None, seconds=1.5)


def test_measured_row_has_the_figures_and_wilsons_interval():
    row = measured(make_row("p"), make_result(0.8))
    assert (row.status, row.images, row.float_accuracy, row.int8_accuracy) == (Status.PASSED, 100, 0.9, 0.8)
    assert (row.arena_bytes, row.flatbuffer_bytes, row.macs, row.int8_auc) == (1000, 2000, 5, 0.9)
    # Brown, Cai and DasGupta (2001), equation 4.
    assert row.int8_interval == pytest.approx((0.7112, 0.8666), abs=1e-4)


def test_measured_row_of_a_refused_point_keeps_its_figures_and_names_the_gate():
    row = measured(make_row("p"), make_result(0.8, limit=0.9))
    assert (row.status, row.refused_by, row.int8_accuracy) == (Status.REFUSED, ("gates.int8.min_accuracy",), 0.8)
    assert row.reasons == ("gates.int8.min_accuracy: 0.8 is not >= 0.9",)


def test_measured_row_of_a_point_that_was_stopped_before_its_model_has_the_gates_words():
    row = measured(make_row("p"), PointResult(key="k", outcome=None, refusal="too large", seconds=1.0))
    assert (row.status, row.reasons, row.costs) == (Status.REFUSED, ("too large",), None)


def test_compare_marks_the_front_and_takes_the_most_accurate_that_passed():
    rows = [
        measured(make_row("small"), make_result(0.7, 500, 1000)),
        measured(make_row("beaten"), make_result(0.7, 500, 2000)),
        measured(make_row("refused"), make_result(0.95, 3000, 3000, limit=0.99)),
        measured(make_row("best"), make_result(0.9, 2000, 3000)),
        measured(make_row("best, larger"), make_result(0.9, 2500, 3000)),
        measured(make_row("no int8"), make_result(int8=False)),
        make_row("failed").model_copy(update={"status": Status.FAILED}),
    ]
    report = compare("tiny", "tiny.yaml", rows)
    assert [row.label for row in report.rows if row.on_front] == ["small", "refused", "best"]
    assert report.chosen == "best"


def test_compare_where_nothing_passed_takes_none():
    report = compare("tiny", "tiny.yaml", [measured(make_row("p"), make_result(limit=0.9)), make_row("w")])
    assert report.chosen is None
    assert [row.on_front for row in report.rows] == [True, False]


def test_result_written_is_read_back_with_its_key_only(tmp_path):
    result = make_result()
    assert read_result(tmp_path, "k") is None
    result.write(tmp_path)
    assert read_result(tmp_path, "k") == result
    assert read_result(tmp_path, "another") is None


def test_result_file_that_is_damaged_is_named(tmp_path):
    make_result().write(tmp_path)
    text = (tmp_path / "result.json").read_text()
    (tmp_path / "result.json").write_text(text[: len(text) // 2])
    with pytest.raises(StorageError, match=r"result\.json is damaged"):
        read_result(tmp_path, "k")


def test_result_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        make_result().write(tmp_path / "file")
