"""Which gates a release's own config asks for, by its task."""

from components.gate_options import FloatGates, GateOptions, Int8Gates
from components.pusher.required_gates import find_gate_problems, required_limits
from components.verdicts import Comparison, Gate

DETECTION = GateOptions(
    float_=FloatGates(min_ap50=0.5, min_category_ap50={"bird": 0.25}),
    int8=Int8Gates(min_ap=0.125, min_category_ap50={"boat": 0.5}, max_macs=None),
)
CONFIG = "task: detection\ngates: {float: {min_ap: 0.5}, int8: {min_ap50: 0.25, max_arena_bytes: null}}"


def test_required_limits_of_a_detector_are_those_of_its_ap():
    assert dict(required_limits(DETECTION, "detection")) == {
        "gates.float.min_ap50": 0.5,
        "gates.int8.min_ap": 0.125,
        "gates.int8.max_ap_drop": 0.03,
        "gates.int8.max_parity_lsb": 1,
        "gates.int8.max_flatbuffer_bytes": 250_000,
        "gates.int8.max_arena_bytes": 100_000,
        "gates.float.min_category_ap50.bird": 0.25,
        "gates.int8.min_category_ap50.boat": 0.5,
    }


def test_find_gate_problems_of_a_detector_names_what_was_not_applied():
    def gate(name, limit, comparison=Comparison.AT_LEAST):
        return Gate(name=f"gates.{name}", comparison=comparison, limit=limit, value=limit)

    applied = [
        gate("float.min_ap", 0.5),
        gate("int8.min_ap50", 0.25),
        gate("int8.max_ap_drop", 0.03, Comparison.AT_MOST),
        gate("int8.max_parity_lsb", 1, Comparison.AT_MOST),
        gate("int8.max_flatbuffer_bytes", 250_000, Comparison.AT_MOST),
    ]
    assert find_gate_problems(applied, CONFIG) == []
    assert find_gate_problems(applied[1:], CONFIG) == ["its config asks for gates.float.min_ap, which was not applied"]
    assert "was applied with the limit 0.25, its config says 0.5" in " ".join(
        find_gate_problems(applied, CONFIG.replace("0.25", "0.5"))
    )
