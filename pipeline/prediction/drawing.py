"""Images with what a model said of them drawn in."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.example_gen.image_bytes import check_image
from components.example_gen.storage import FileReader
from components.pusher.durable_files import replace_durably, storage_errors
from pipeline.prediction.records import DetectionPrediction, LabelPrediction, Prediction

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

# Told apart by people of any colour vision, as far as seven colours can be: Okabe and Ito's, without black.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_INK, _PAPER = "#000000", "#ffffff"
_JPEG_QUALITY = 92


def draw_prediction(prediction: Prediction, labels: Sequence[str], path: Path) -> None:
    """Writes the image, upright, with its label or its boxes, as a JPEG.

    Args:
      prediction: of the image.
      labels: that the model knows, which gives each of a detector's its colour.
      path: of the drawing.

    Raises:
      StorageError: if it cannot be written.
    """
    from PIL import Image

    checked = check_image(FileReader().read_image(prediction.file), width=None, height=None)
    with Image.open(io.BytesIO(checked.data)) as stored:
        image = stored.convert("RGB")
    if isinstance(prediction, DetectionPrediction):
        _draw_boxes(image, prediction, labels)
    else:
        _draw_label(image, prediction)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    with storage_errors(path, encoded.tell()):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, encoded.getvalue())


def _draw_label(image: "Image.Image", prediction: LabelPrediction) -> None:
    from PIL import ImageDraw

    text = f"{prediction.label} {prediction.probabilities[prediction.label]:.2f}"
    if prediction.is_reported is not None:
        text += ", reported" if prediction.is_reported else ", not reported"
    _draw_text(ImageDraw.Draw(image), text, (0.0, 0.0), _PAPER, _font(image))


def _draw_boxes(image: "Image.Image", prediction: DetectionPrediction, labels: Sequence[str]) -> None:
    """The best on top."""
    from PIL import ImageDraw

    draw, font = ImageDraw.Draw(image), _font(image)
    width = max(2, min(image.size) // 150)
    for detection in reversed(prediction.detections):
        left, top, wide, high = detection.box_xywh_px
        colour = COLOURS[labels.index(detection.label) % len(COLOURS)]
        draw.rectangle((left, top, left + wide, top + high), outline=colour, width=width)
        _draw_text(draw, f"{detection.label} {detection.score:.2f}", (left, top - font.size - 4), colour, font)


def _font(image: "Image.Image") -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    font = ImageFont.load_default(max(11, min(image.size) // 24))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _draw_text(
    draw: "ImageDraw.ImageDraw", text: str, at: tuple[float, float], colour: str, font: "ImageFont.FreeTypeFont"
) -> None:
    """On a field of the colour, inside the image as far as it fits."""
    wide, high = draw.textlength(text, font) + 6, font.size + 4
    left = max(0.0, min(at[0], draw.im.size[0] - wide))
    top = max(0.0, at[1])
    draw.rectangle((left, top, left + wide, top + high), fill=colour)
    ink = _PAPER if colour == "#0072b2" else _INK
    draw.text((left + 3, top + 1), text, fill=ink, font=font)
