"""How far training data has moved from what the released model was trained on.

The ExampleValidator measures it, and gates on it before anything is trained; the MicroPusher shows it.

<anomalies artifact>/
  Split-train/SchemaDiff.pb    TFDV's Anomalies of one split, drift measurements included
  Split-eval/SchemaDiff.pb
  drift.json                   a Drift
"""

from enum import StrEnum

from components.gate_options import DataGates
from components.options import Options
from components.verdicts import Comparison, Gate

DRIFT_FILE = "drift.json"


class Distance(StrEnum):
    """How two distributions of one feature are compared; either is 0 for equal ones and 1 at most.

    L_INFINITY is the largest difference of any one value's share. JENSEN_SHANNON is the divergence, to the base 2, of
    two histograms; samples of the same source have some too, the more the fewer they are.
    """

    L_INFINITY = "L-infinity"
    JENSEN_SHANNON = "Jensen-Shannon"


_LIMITS = {Distance.L_INFINITY: "max_label_drift", Distance.JENSEN_SHANNON: "max_feature_drift"}


class FeatureDrift(Options):
    """How far one feature has moved.

    Attributes:
      feature: its key in the transformed examples.
      distance: how the two distributions were compared.
      value: how far they are apart, 0 to 1.
      limit: what `gates.data` allows; None where nothing is asked.
    """

    feature: str
    distance: Distance
    value: float
    limit: float | None

    @property
    def gate(self) -> Gate | None:
        """The gate on this feature; None where nothing is asked."""
        if self.limit is None:
            return None
        return Gate(
            name=f"gates.data.{_LIMITS[self.distance]}",
            comparison=Comparison.AT_MOST,
            limit=self.limit,
            value=self.value,
            note=f"{self.feature}, {self.distance.value}",
        )


class Drift(Options):
    """How far every feature of the train split has moved.

    Attributes:
      baseline: the release whose training data was compared with; None where nothing was released.
      features: in the order of their names; empty where nothing was released.
    """

    baseline: str | None
    features: tuple[FeatureDrift, ...] = ()

    @property
    def gates(self) -> tuple[Gate, ...]:
        """One gate for every limit that is set, with the feature that is farthest off."""
        by_name: dict[str, Gate] = {}
        for gate in filter(None, (feature.gate for feature in self.features)):
            other = by_name.setdefault(gate.name, gate)
            if (gate.value or 0.0) > (other.value or 0.0):
                by_name[gate.name] = gate
        return tuple(by_name.values())


def limit_of(distance: Distance, gates: DataGates) -> float | None:
    """What the config section `gates.data` allows a distance to be."""
    limit: float | None = getattr(gates, _LIMITS[distance])
    return limit
