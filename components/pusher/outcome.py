"""The MicroPusher's answer: released or refused, by which gates, with which figures.

<release artifact>/
  outcome.json              an Outcome
  candidate.tflite          the slim int8 flatbuffer, where it came to one
  pictures.json             eval images with its answers (components.pusher.pictures), likewise
"""

from components.dataset import DatasetSummary
from components.drift import Drift
from components.options import Options
from components.pusher.figures import Evaluation, Figures
from components.pusher.manifest import Footprint, ParityRecord, SlimmingRecord
from components.pusher.release import Sha256
from components.quantization.records import LayerLoss
from components.verdicts import Verdict

OUTCOME_FILE = "outcome.json"
CANDIDATE_FILE = "candidate.tflite"


class Publication(Options):
    """Where a release lies.

    Attributes:
      uri: its folder.
      version: its version.
      manifest_sha256: of its manifest.
      flatbuffer_sha256: of the flatbuffer that was judged.
      already_released: whether the same files had been released before.
    """

    uri: str
    version: str
    manifest_sha256: Sha256
    flatbuffer_sha256: Sha256
    already_released: bool


class Outcome(Options):
    """What became of one candidate.

    Attributes:
      dataset: the examples it was made from.
      drift: of these from what the released model was trained on.
      verdict: what the gates decided.
      evaluation: of the float model, by the Evaluator.
      figures: of the float model beside the int8 flatbuffer; None where no flatbuffer was judged.
      footprint: what it asks of a device; None where it was not measured.
      parity: TFLite Micro against the reference kernels; None where it did not run.
      slimming: the slim file against the one it was made from; None where TFLite Micro failed.
      layer_losses: the operators that lose most to int8, where a gate refused the int8 flatbuffer's answers.
      publication: the release; None where the candidate was refused.
    """

    dataset: DatasetSummary
    drift: Drift
    verdict: Verdict
    evaluation: Evaluation
    figures: Figures | None = None
    footprint: Footprint | None = None
    parity: ParityRecord | None = None
    slimming: SlimmingRecord | None = None
    layer_losses: tuple[LayerLoss, ...] = ()
    publication: Publication | None = None
