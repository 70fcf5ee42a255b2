import pytest

from components.errors import GateError
from components.gate_options import DeviceBudget
from components.quantization.budget import budget_gates
from components.quantization.inspect import FlatbufferReport
from components.quantization.records import OpUse
from components.quantization.tflm import ArenaUse
from components.trainer.budget import Budget, Estimate
from components.trainer.job import Architecture
from components.verdicts import Verdict

REPORT = FlatbufferReport(
    flatbuffer_bytes=300_000, weight_bytes=1, schema_version=3, description="", subgraphs=1, tensors=1, ops=(),
    inputs=(), outputs=(), macs=7_000_000, layers=(),
)  # fmt: skip
ARENA = ArenaUse(total_bytes=85_000, head_bytes=55_000, tail_bytes=30_000, shares=())
NO_LIMITS = DeviceBudget(max_flatbuffer_bytes=None, max_arena_bytes=None)
SMALLER = Estimate(alpha=0.25, side=64, flatbuffer_bytes=300_000, arena_bytes=50_000, macs=3_000_000)


def make_budget(limits, *, arena=ARENA, refusals=(), backbone="mobilenet_v1", **changes):
    architecture = Architecture(
        backbone=backbone, alpha=0.25, activation="relu6", border="gray", side=96, channels=1, label_count=2
    )
    verdict = Verdict(gates=budget_gates(REPORT, arena, limits), refusals=refusals)
    return Budget(architecture=architecture, report=REPORT, arena=arena, parity=None, verdict=verdict, **changes)


def refusal(budget):
    with pytest.raises(GateError) as caught:
        budget.check()
    return str(caught.value)


def test_budget_gates_without_limits_ask_nothing_and_pass():
    assert budget_gates(REPORT, ARENA, NO_LIMITS) == ()
    make_budget(NO_LIMITS).check()


@pytest.mark.parametrize("key", ["max_flatbuffer_bytes", "max_arena_bytes", "max_macs"])
@pytest.mark.parametrize("below", [0, 1])
def test_budget_gates_pass_at_the_limit_and_refuse_one_above_it(key, below):
    value = {"max_flatbuffer_bytes": 300_000, "max_arena_bytes": 85_000, "max_macs": 7_000_000}[key]
    (gate,) = budget_gates(REPORT, ARENA, NO_LIMITS.model_copy(update={key: value - below}))
    assert gate.name == f"gates.int8.{key}"
    assert gate.passed is (below == 0)


def test_budget_gates_refuse_an_arena_that_could_not_be_measured():
    flatbuffer, arena = budget_gates(REPORT, None, DeviceBudget(max_flatbuffer_bytes=300_000))
    assert flatbuffer.passed
    assert not arena.passed


def test_refusal_of_operators_that_are_not_registered_names_them_and_estimates_nothing():
    report = REPORT.model_copy(update={"ops": (OpUse(name="ADD", version=2, count=3),)})
    limits = NO_LIMITS.model_copy(update={"allowed_ops": ("CONV_2D",)})
    budget = make_budget(NO_LIMITS).model_copy(
        update={"verdict": Verdict(gates=budget_gates(report, ARENA, limits)), "report": report}
    )
    message = refusal(budget)
    assert "gates.int8.allowed_ops: not registered: ADD" in message
    assert "register them in the firmware" in message
    assert "estimated" not in message


def test_refusal_names_the_limit_the_excess_and_what_would_fit():
    message = refusal(make_budget(NO_LIMITS.model_copy(update={"max_arena_bytes": 80_000}), alternatives=(SMALLER,)))
    assert "mobilenet_v1 0.25 at 96x96x1, 2 labels does not fit the device: " in message
    assert "gates.int8.max_arena_bytes: 85,000 is 5,000 (6.2%) more than 80,000" in message
    assert "max_flatbuffer_bytes" not in message
    assert (
        "--set transform.side=64 (estimated: flatbuffer 300,000 bytes, arena 50,000 bytes, 3,000,000 MACs)" in message
    )
    assert "trainer.alpha" not in message


@pytest.mark.parametrize(("side", "is_said"), [(64, True), (96, False)])
def test_refusal_whose_alternative_has_another_side_says_what_a_training_raster_needs(side, is_said):
    other = SMALLER.model_copy(update={"alpha": 0.1, "side": side})
    message = refusal(make_budget(NO_LIMITS.model_copy(update={"max_arena_bytes": 80_000}), alternatives=(other,)))
    assert ("transform.training_raster needs a side from that to twice it" in message) is is_said


def test_refusal_where_nothing_would_fit_names_the_smallest_and_the_smaller_backbone():
    limits = NO_LIMITS.model_copy(update={"max_arena_bytes": 10})
    message = refusal(make_budget(limits, smallest=SMALLER, backbone="mobilenet_v2"))
    assert "the smallest mobilenet_v2, alpha 0.25 at side 64, does not fit either (estimated): flatbuffer" in message
    assert "--set trainer.backbone=mobilenet_v1" in message
    assert "backbone=" not in refusal(make_budget(limits, smallest=SMALLER))


def test_refusal_by_the_interpreter_is_in_its_own_words():
    words = "TFLite Micro: Didn't find op for builtin opcode 'PADV2'"
    message = refusal(make_budget(NO_LIMITS, arena=None, refusals=(words,)))
    assert words in message
    assert "a model that TFLite Micro loads" in message


def test_describe_says_what_there_is_of_what_may_be():
    limits = NO_LIMITS.model_copy(update={"max_arena_bytes": 90_000})
    assert make_budget(limits).describe() == ("flatbuffer 300,000 bytes, arena 85,000 of 90,000 bytes, 7,000,000 MACs")
    assert "arena did not load" in make_budget(limits, arena=None).describe()
