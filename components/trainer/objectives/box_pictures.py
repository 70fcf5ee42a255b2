"""Rasters with boxes drawn on them, for TensorBoard."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from components.detection.detections import Detections, GroundTruth

TRUE = (40, 170, 60)
CROWD = (150, 150, 150)
FOUND = (230, 60, 40)
_LEAST_SIDE_PX = 288
_SHOWN_SCORE = 0.3


def draw_truth(raster: npt.NDArray[np.uint8], truth: GroundTruth) -> Image.Image:
    """A raster, enlarged so that thin lines tell, with its labelled objects.

    Args:
      raster: uint8 [side, side, channels].
      truth: what is in it.
    """
    picture = Image.fromarray(raster[..., 0] if raster.shape[-1] == 1 else raster).convert("RGB")
    times = -(-_LEAST_SIDE_PX // picture.width)
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    colours = [CROWD if crowd else TRUE for crowd in truth.crowds]
    _outline(picture, truth.boxes_yxyx, colours, [str(label) for label in truth.labels])
    return picture


def draw_detections(raster: npt.NDArray[np.uint8], truth: GroundTruth, found: Detections) -> npt.NDArray[np.uint8]:
    """A raster with its labelled objects, and over them what was found with some confidence; uint8 [h, w, 3]."""
    picture = draw_truth(raster, truth)
    shown = found.scores >= _SHOWN_SCORE
    texts = [f"{label} {score:.2f}" for label, score in zip(found.labels[shown], found.scores[shown], strict=True)]
    _outline(picture, found.boxes_yxyx[shown], [FOUND] * len(texts), texts)
    return np.asarray(picture)


def _outline(
    picture: Image.Image, boxes_yxyx: npt.NDArray[np.float32], colours: Sequence[tuple[int, ...]], texts: Sequence[str]
) -> None:
    draw = ImageDraw.Draw(picture)
    for (ymin, xmin, ymax, xmax), colour, text in zip(
        (boxes_yxyx * (picture.width - 1)).tolist(), colours, texts, strict=True
    ):
        draw.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=2)
        draw.text((xmin + 4, ymin + 2), text, fill=colour)
