"""The sample sets: what each of them draws, under which categories."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.sample_data.scenes import PERSON, Scene, draw_scene
from components.sample_data.sign_scenes import draw_sign_scene
from components.sample_data.signs import SIGN_KINDS

SetName = Literal["people", "signs"]

# https://github.com/cocodataset/cocoapi: ids 1 to 90 with ten left out; (supercategory, id, name).
_COCO_CATEGORIES: tuple[tuple[str, dict[int, str]], ...] = (
    ("person", {1: "person"}),
    ("vehicle", {2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck", 9: "boat"}),
    ("outdoor", {10: "traffic light", 11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench"}),
    ("animal", {16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow", 22: "elephant", 23: "bear",
                24: "zebra", 25: "giraffe"}),
    ("accessory", {27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase"}),
    ("sports", {34: "frisbee", 35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat",
                40: "baseball glove", 41: "skateboard", 42: "surfboard", 43: "tennis racket"}),
    ("kitchen", {44: "bottle", 46: "wine glass", 47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl"}),
    ("food", {52: "banana", 53: "apple", 54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog",
              59: "pizza", 60: "donut", 61: "cake"}),
    ("furniture", {62: "chair", 63: "couch", 64: "potted plant", 65: "bed", 67: "dining table", 70: "toilet"}),
    ("electronic", {72: "tv", 73: "laptop", 74: "mouse", 75: "remote", 76: "keyboard", 77: "cell phone"}),
    ("appliance", {78: "microwave", 79: "oven", 80: "toaster", 81: "sink", 82: "refrigerator"}),
    ("indoor", {84: "book", 85: "clock", 86: "vase", 87: "scissors", 88: "teddy bear", 89: "hair drier",
                90: "toothbrush"}),
)  # fmt: skip


@dataclass(frozen=True)
class SampleSet:
    """One of the sets.

    Attributes:
      description: for the file's header.
      categories: id to supercategory and name, in the order of the file.
      subjects: the names of those that the set is about, or of all of them.
      draw: a random image.
    """

    description: str
    categories: Mapping[int, tuple[str, str]]
    subjects: frozenset[str]
    draw: Callable[[np.random.Generator], Scene]

    @property
    def ids(self) -> dict[str, int]:
        """Category name to id."""
        return {name: number for number, (_, name) in self.categories.items()}


SETS: dict[SetName, SampleSet] = {
    "people": SampleSet(
        description="Drawn sample set in COCO format",
        categories={number: (group, name) for group, names in _COCO_CATEGORIES for number, name in names.items()},
        subjects=frozenset({PERSON}),
        draw=draw_scene,
    ),
    "signs": SampleSet(
        description="Drawn traffic signs in COCO format",
        categories={number: ("traffic sign", kind.category) for number, kind in enumerate(SIGN_KINDS, start=1)},
        subjects=frozenset(kind.category for kind in SIGN_KINDS),
        draw=draw_sign_scene,
    ),
}
