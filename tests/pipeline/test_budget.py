"""The BudgetGate, and what it measured of random weights beside what was released of trained ones."""

import pytest

from components.errors import GateError
from components.trainer.budget import BUDGET_FILE, Budget


def test_budget_before_training_is_the_released_models_footprint(released):
    early = Budget.from_json((released.output("BudgetGate", "footprint") / BUDGET_FILE).read_text())
    footprint = released.manifest["footprint"]
    assert early.verdict.passed
    # Scales that training made equal are in the file once: between them, 39 activations take less than 2 kB.
    assert 0 <= early.report.flatbuffer_bytes - footprint["flatbuffer_bytes"] < 2_000
    assert {
        "arena_total_bytes": early.arena.total_bytes,
        "arena_head_bytes": early.arena.head_bytes,
        "arena_tail_bytes": early.arena.tail_bytes,
        "arena_shares": [share.model_dump() for share in early.arena.shares],
        "macs": early.report.macs,
        "ops": [op.model_dump() for op in early.report.ops],
    } == {key: value for key, value in footprint.items() if key not in {"flatbuffer_bytes", "portable_bytes"}}


def test_budget_is_said_on_stderr_beside_its_limits(released):
    found = released.manifest["footprint"]
    early = Budget.from_json((released.output("BudgetGate", "footprint") / BUDGET_FILE).read_text())
    assert (
        f"[ 1/10] BudgetGate        flatbuffer {early.report.flatbuffer_bytes:,} of 250,000 bytes,"
        f" arena {found['arena_total_bytes']:,} of 100,000 bytes, {found['macs']:,} MACs"
    ) in released.stderr


def test_model_beyond_its_arena_is_refused_before_an_image_is_read(
    sample_set, warm_run, tiny_config, metadata_of, tmp_path
):
    config = tiny_config(sample_set, tmp_path / "run", "gates.int8.max_arena_bytes=36_111")
    started = []
    with pytest.raises(GateError) as caught:
        warm_run(config, on_event=lambda event, _: started.append(getattr(event, "node", None)))
    message = str(caught.value)
    assert "refused before any training: mobilenet_v1 0.25 at 32x32x1, 2 labels does not fit the device: " in message
    assert "gates.int8.max_arena_bytes: 36,112 is 1 (0.0%) more than 36,111" in message
    assert "the smallest mobilenet_v1, alpha 0.25 at side 32, does not fit either" in message
    assert {node for node in started if node} == {"BudgetGate"}
    assert [path.name for path in (tmp_path / "run" / "artifacts").iterdir()] == ["BudgetGate"]
    assert set(metadata_of(config.run.root).executions().values()) == {"failed"}
    metadata_of(config.run.root).check_nothing_half_written()
