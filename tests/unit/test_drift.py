import pytest

from components.drift import Distance, Drift, FeatureDrift, limit_of
from components.gate_options import DataGates


def row(feature, value, limit, distance=Distance.JENSEN_SHANNON):
    return FeatureDrift(feature=feature, distance=distance, value=value, limit=limit)


def test_drift_gate_of_each_limit_is_its_farthest_feature():
    drift = Drift(
        baseline="v1",
        features=(
            row("brightness", 0.1, 0.2),
            row("contrast", 0.3, 0.2),
            row("label", 0.05, 0.05, Distance.L_INFINITY),
            row("width", 0.0, 0.2),
        ),
    )
    assert [(gate.name, gate.value, gate.limit, gate.note, gate.passed) for gate in drift.gates] == [
        ("gates.data.max_feature_drift", 0.3, 0.2, "contrast, Jensen-Shannon", False),
        ("gates.data.max_label_drift", 0.05, 0.05, "label, L-infinity", True),
    ]


def test_drift_without_limits_or_without_a_baseline_has_no_gates():
    assert Drift(baseline="v1", features=(row("brightness", 0.9, None),)).gates == ()
    assert Drift(baseline=None).gates == ()


def test_drift_limit_of_zero_is_a_gate():
    (gate,) = Drift(baseline="v1", features=(row("brightness", 0.1, 0.0),)).gates
    assert (gate.limit, gate.passed) == (0.0, False)


@pytest.mark.parametrize("distance", Distance)
def test_limit_of_each_distance_is_a_key_of_the_config(distance):
    assert limit_of(distance, DataGates()) is None
    gates = DataGates(max_label_drift=0.1, max_feature_drift=0.2)
    assert limit_of(distance, gates) == {Distance.L_INFINITY: 0.1, Distance.JENSEN_SHANNON: 0.2}[distance]


def test_drift_json_reads_back():
    drift = Drift(baseline="v1", features=(row("brightness", 0.1, None), row("label", 0.0, 0.5, Distance.L_INFINITY)))
    assert Drift.from_json(drift.to_json()) == drift
