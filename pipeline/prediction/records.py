"""What `vww predict` asks of its child process, and what it prints: one record a line."""

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.options import Options
from components.trainer.options import InputRange
from pipeline.evaluation.released import StoredRelease
from pipeline.evaluation.report import Runtime

Weights = Literal["float", "int8"]
# As many decimals as mean something: scores and edges of an int8 detector are multiples of 2^-15.
Share = Annotated[float, AfterValidator(partial(round, ndigits=6))]
Pixels = Annotated[float, AfterValidator(partial(round, ndigits=3))]


class NamedImage(Options):
    """An image to be looked at.

    Attributes:
      path: of the file.
      drawing: where the image goes with what was found in it; None where nothing is drawn.
    """

    path: str
    drawing: str | None


class PredictionRequest(Options):
    """What to run on what.

    Attributes:
      release: a release; None where `flatbuffer` is.
      flatbuffer: path of a .tflite file.
      weights: which of a release's models.
      runtime: what runs the int8 model.
      images: in the order in which they are answered.
      min_score: below which a detector's finds are left out; None for the release's operating point.
      input_range: black..white of a float .tflite file that was trained elsewhere.
    """

    release: StoredRelease | str | None
    flatbuffer: str | None
    weights: Weights
    runtime: Runtime
    images: tuple[NamedImage, ...]
    min_score: float | None
    input_range: InputRange


class LabelPrediction(Options):
    """What a classifier says of an image.

    Attributes:
      file: as it was named, or found below a folder that was.
      width, height: of the image in pixels, as it stands upright.
      label: the most probable one.
      probabilities: by label name, adding up to 1.
      is_reported: whether the positive label reaches the release's operating point; None where there is none.
    """

    task: Literal["classification"] = "classification"
    file: str
    width: int
    height: int
    label: str
    probabilities: dict[str, Share]
    is_reported: bool | None


class Detection(Options):
    """One object that a detector found.

    Attributes:
      label: its name.
      score: 0 to 1.
      box_yxyx: ymin, xmin, ymax, xmax in 0...1 of the image.
      box_xywh_px: left, top, width, height in pixels of the image, as COCO has them.
    """

    label: str
    score: Share
    box_yxyx: tuple[Share, Share, Share, Share]
    box_xywh_px: tuple[Pixels, Pixels, Pixels, Pixels]


class DetectionPrediction(Options):
    """What a detector finds in an image, the best first; `file`, `width` and `height` as in `LabelPrediction`."""

    task: Literal["detection"] = "detection"
    file: str
    width: int
    height: int
    detections: tuple[Detection, ...]


Prediction = Annotated[LabelPrediction | DetectionPrediction, Field(discriminator="task")]


class BadFile(Options):
    """An image that could not be read, or not be drawn, and why."""

    file: str
    reason: str


class PredictionReport(Options):
    """What became of the images.

    Attributes:
      model: what answered.
      predictions: of the good images, in their order.
      bad: the others.
    """

    model: str
    predictions: tuple[Prediction, ...]
    bad: tuple[BadFile, ...]
