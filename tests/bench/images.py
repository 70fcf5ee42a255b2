"""Sets to measure on: as heavy as COCO's images, or tiny ones where the number alone matters."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.sample_data.writer import write_sample_data

# COCO's images are 640x480 and 160 kB on average; grain brings the drawn ones there.
COCO_LIKE = (640, 480)
TINY = (64, 48)
_BASES = 100
_GRAIN = 13.0
_QUALITY = 90


class BenchSet:
    """Distinct images below one folder, and annotations files that name as many of them as asked for.

    A few drawn images, each repeated under a comment of its own: distinct in size and content, and as dear to decode.
    """

    def __init__(self, folder: Path, count: int, size: tuple[int, int]) -> None:
        self.images = folder / "images"
        self._folder = folder
        self._bases, self._document = _draw_bases(folder / "drawn", size)
        self.images.mkdir(parents=True)
        for number in range(count):
            data = self._bases[number % _BASES]
            comment = b"%08d" % number + b" " * (number // _BASES * 37 % 3001)
            segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            (self.images / f"{number:012d}.jpg").write_bytes(data[:2] + segment + data[2:])
        self.mean_bytes = sum(len(data) for data in self._bases) / _BASES

    def annotations(self, count: int) -> Path:
        """An annotations file of the first `count` images."""
        path = self._folder / f"instances-{count}.json"
        if path.exists():
            return path
        objects: dict[int, list[dict[str, Any]]] = {}
        for annotation in self._document["annotations"]:
            objects.setdefault(annotation["image_id"], []).append(annotation)
        images = []
        annotations = []
        for number in range(count):
            base = self._document["images"][number % _BASES]
            images.append({**base, "id": number, "file_name": f"{number:012d}.jpg"})
            for annotation in objects.get(base["id"], []):
                annotations.append({**annotation, "id": len(annotations), "image_id": number})
        document = {"images": images, "annotations": annotations, "categories": self._document["categories"]}
        path.write_text(json.dumps(document))
        return path


def _draw_bases(folder: Path, size: tuple[int, int]) -> tuple[list[bytes], dict[str, Any]]:
    """The drawn set, scaled to `size`, with grain."""
    write_sample_data(folder, images=_BASES, seed=1, workers=2)
    document = json.loads((folder / "instances.json").read_text())
    random = np.random.default_rng(0)
    bases = []
    for entry in document["images"]:
        with Image.open(folder / "images" / entry["file_name"]) as image:
            pixels = np.asarray(image.convert("RGB").resize(size), np.float32)
        scales = size[0] / entry["width"], size[1] / entry["height"]
        grainy = pixels + random.normal(0, _GRAIN, pixels.shape)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=_QUALITY)
        bases.append(buffer.getvalue())
        for annotation in document["annotations"]:
            if annotation["image_id"] == entry["id"]:
                _scale(annotation, *scales)
        entry["width"], entry["height"] = size
    return bases, document


def _scale(annotation: dict[str, Any], horizontal: float, vertical: float) -> None:
    x, y, width, height = annotation["bbox"]
    annotation["bbox"] = [x * horizontal, y * vertical, width * horizontal, height * vertical]
    annotation["area"] *= horizontal * vertical
