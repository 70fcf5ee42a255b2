"""What became of every layer when initial weights were loaded."""

from enum import StrEnum
from typing import Literal

from components.options import Options


class Outcome(StrEnum):
    """What became of a layer."""

    LOADED = "loaded"
    ADAPTED = "adapted"
    FRESH = "fresh"


class LayerReport(Options):
    """One layer of our model.

    Attributes:
      layer: its name.
      outcome: whether it took weights as they are, adapted ones, or keeps its random ones.
      source: the layer they came from; None for a fresh one.
      details: how it was adapted, or why it is fresh.
    """

    layer: str
    outcome: Outcome
    source: str | None
    details: tuple[str, ...] = ()


class WeightsReport(Options):
    """What initial weights were loaded, layer by layer; `initial_weights.json` beside the exported model.

    Attributes:
      location: path or URL.
      sha256: of its bytes.
      matched_by: how layers were matched.
      layers: those of our model that have weights, in order.
      unused: layers of the source that have no counterpart.
      notes: what makes the loaded network answer differently from the source.
    """

    location: str
    sha256: str
    matched_by: Literal["name", "order"]
    layers: tuple[LayerReport, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """One line for the log."""
        counts = {outcome: sum(layer.outcome == outcome for layer in self.layers) for outcome in Outcome}
        parts = [f"{count} {outcome}" for outcome, count in counts.items()]
        fresh = [layer.layer for layer in self.layers if layer.outcome == Outcome.FRESH]
        named = f" ({', '.join(fresh[:3])}{', …' if len(fresh) > 3 else ''})" if fresh else ""
        return f"initial weights from {self.location} by {self.matched_by}: {', '.join(parts)}{named}"
