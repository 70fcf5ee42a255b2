"""Eval images as the report of a run shows them: what is there against what the int8 file says, and how often.

<release artifact>/
  pictures.json             a `PictureBook`, where an int8 flatbuffer answered
"""

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.detection.detections import Detections, GroundTruth
from components.detection.matches import match_label, match_label_in_image
from components.options import Options

PICTURES_FILE = "pictures.json"

SHOWN = 12  # of each group
_AT_IOU_50 = np.asarray([0.5])
_MAX_POINTS = 200  # of a curve

Rasters = npt.NDArray[np.uint8]


class PictureBox(Options):
    """An object that is there, or that was found.

    Attributes:
      label: its name.
      box_yxyx: ymin, xmin, ymax, xmax in 0...1.
      score: of one that was found; None of one that is there.
      is_right: whether it is matched at IoU 0.5: of one that was found, to one that is there, and the other way round.
    """

    label: str
    box_yxyx: tuple[float, float, float, float]
    score: float | None
    is_right: bool


class Picture(Options):
    """One eval image as the model saw it.

    Attributes:
      source_id: image id.
      png: the raster, in base64.
      aspect: width / height of the image that it was made from.
      caption: what was made of it, in words.
      boxes: of a detector; those that are there, then those that were found.
    """

    source_id: str
    png: str
    aspect: float
    caption: str
    boxes: tuple[PictureBox, ...] = ()


class Curve(Options):
    """Precision against recall of one label, at IoU 0.5, from the highest score down.

    Attributes:
      label: its name.
      points: (recall, precision) at detections that are right, in the order of rising recall; none where none is.
    """

    label: str
    points: tuple[tuple[float, float], ...]


class PictureBook(Options):
    """What there is to see of one run.

    Attributes:
      groups: pictures by what they were chosen for.
      curves: of a detector, one for each label that the images have.
    """

    groups: dict[str, tuple[Picture, ...]]
    curves: tuple[Curve, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes `pictures.json`."""
        (folder / PICTURES_FILE).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "PictureBook | None":
        """Reads what `write` wrote; None where there is none."""
        path = folder / PICTURES_FILE
        return cls.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def show_classifier(
    rasters: Rasters,
    source_ids: Sequence[str],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating[Any]],
    label_names: Sequence[str],
) -> PictureBook:
    """A classifier's surest mistakes.

    Args:
      rasters: uint8 [n, height, width, channels].
      source_ids: of the images.
      labels: int64 [n], what they show.
      probabilities: float [n, labels], what the int8 file says.
      label_names: by id.
    """
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    surest = sorted(wrong.tolist(), key=lambda index: (-float(probabilities[index].max()), source_ids[index]))
    return PictureBook(
        groups={
            "surest mistakes": tuple(
                Picture(
                    source_id=source_ids[index],
                    png=_png(rasters[index]),
                    aspect=1.0,
                    caption=f"{label_names[labels[index]]}, taken for {label_names[said[index]]}"
                    f" ({float(probabilities[index].max()):.2f})",
                )
                for index in surest[:SHOWN]
            )
        }
    )


def show_detector(
    rasters: Rasters,
    source_ids: Sequence[str],
    truths: Sequence[GroundTruth],
    found: Sequence[Detections],
    *,
    label_names: Sequence[str],
    threshold: float,
) -> PictureBook:
    """A detector's worst and best images, and some that a hash of their ids chose; and its curves.

    Args:
      rasters: uint8 [n, height, width, channels].
      source_ids: of the images.
      truths: what is in them.
      found: what the int8 file finds in them, from the lowest score on.
      label_names: by id, the background first.
      threshold: the score from which on a detection is shown.
    """
    pages = [_lay_out(truth, each, label_names, threshold) for truth, each in zip(truths, found, strict=True)]
    mistakes = [sum(not box.is_right for box in boxes) for boxes in pages]
    everything = range(len(pages))

    def first(indices: Sequence[int], key: Callable[[int], tuple[float, str]]) -> tuple[Picture, ...]:
        chosen = sorted(indices, key=key)[:SHOWN]
        return tuple(_picture(rasters[i], source_ids[i], truths[i], pages[i]) for i in chosen)

    return PictureBook(
        groups={
            "worst": first([i for i in everything if mistakes[i]], lambda i: (-mistakes[i], source_ids[i])),
            "best": first(
                [i for i in everything if pages[i] and not mistakes[i]], lambda i: (-len(pages[i]), source_ids[i])
            ),
            "chosen by a hash of their ids": first(everything, lambda i: (0, _hash(source_ids[i]))),
        },
        curves=tuple(
            curve
            for label in range(1, len(label_names))
            if (curve := _curve(truths, found, label, label_names[label])) is not None
        ),
    )


def _lay_out(
    truth: GroundTruth, found: Detections, label_names: Sequence[str], threshold: float
) -> tuple[PictureBox, ...]:
    """What is there and what is found at the threshold; crowds, and what is found in them, left out."""
    shown = found.from_score(threshold)
    is_found = np.zeros(len(truth.labels), bool)
    detections = []
    for label in np.unique(shown.labels):
        mine, boxes, (taken,), (is_ignored,) = match_label_in_image(truth, shown, label, _AT_IOU_50)
        is_right = taken >= 0
        is_found[boxes[taken[is_right]]] = True
        detections += [
            _box(label_names[label], shown.boxes_yxyx[index], float(shown.scores[index]), is_right=bool(right))
            for index, right in zip(mine[~is_ignored], is_right[~is_ignored], strict=True)
        ]
    there = [
        _box(label_names[truth.labels[index]], truth.boxes_yxyx[index], None, is_right=bool(is_found[index]))
        for index in np.flatnonzero(~truth.crowds)
    ]
    return (*there, *detections)


def _box(label: str, box: npt.NDArray[np.float32], score: float | None, *, is_right: bool) -> PictureBox:
    top, left, bottom, right = (round(value, 4) for value in box.tolist())
    return PictureBox(label=label, box_yxyx=(top, left, bottom, right), score=score, is_right=is_right)


def _picture(raster: Rasters, source_id: str, truth: GroundTruth, boxes: tuple[PictureBox, ...]) -> Picture:
    there = [box for box in boxes if box.score is None]
    seen = [box for box in boxes if box.score is not None]
    right = sum(box.is_right for box in seen)
    caption = f"{right} of {len(there)} found" + (f", {len(seen) - right} false" if len(seen) > right else "")
    return Picture(
        source_id=source_id,
        png=_png(raster),
        aspect=truth.width / truth.height,
        caption=caption if there or seen else "nothing there, nothing found",
        boxes=boxes,
    )


def _curve(truths: Sequence[GroundTruth], found: Sequence[Detections], label: int, name: str) -> Curve | None:
    matches = match_label(truths, found, label, _AT_IOU_50)
    boxes = int(matches.boxes.sum())
    if boxes == 0:
        return None
    counts = ~matches.is_ignored[0]
    places = np.flatnonzero(matches.is_right[0][counts])
    chosen = np.unique(np.linspace(1, len(places), min(_MAX_POINTS, len(places))).astype(np.int64))
    points = tuple(
        (round(right / boxes, 4), round(right / (int(places[right - 1]) + 1), 4)) for right in chosen.tolist()
    )
    return Curve(label=name, points=points)


def _hash(source_id: str) -> str:
    return hashlib.sha256(source_id.encode()).hexdigest()


def _png(raster: Rasters) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(raster.squeeze()).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
