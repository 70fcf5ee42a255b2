"""The sample sets: small COCO-format sets that are drawn, not downloaded.

    DIRECTORY/
      images/000000000001.jpg …    JPEG, about 320x240
      instances.json               COCO's `instances` format: info, licenses, images, annotations, categories

Of `people`, people-like figures and about thirty of COCO's other categories stand in varied places and light. About
half of the images show a person of at least 0.9 % of the image; about one in twenty shows only people too small for the
label rules. Of `signs`, up to four traffic signs of five categories stand by roads and in fields, a few of them partly
hidden; about one image in seven shows none.

Image `i` of seed `s` is drawn from a generator seeded with (s, i) alone, so that the same seed gives the same bytes, in
any order and in any number of processes.
"""

import io
import json
import multiprocessing
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import DataError, PipelineError, StorageError
from components.sample_data.masks import box_xywh_px, polygons, run_lengths
from components.sample_data.scenes import SceneObject
from components.sample_data.sets import SETS, SampleSet, SetName

# Raised whenever the same seed draws other bytes.
GENERATOR = "vww sample-data"
GENERATOR_VERSION = 1

ANNOTATIONS = "instances.json"
IMAGES = "images"


@dataclass(frozen=True)
class SampleSummary:
    """What was written.

    Attributes:
      directory: the folder that holds `images` and `instances.json`.
      images: number of images.
      annotations: number of annotations.
      images_with_subject: images with what the set is about, of any size.
      annotations_per_category: category name to number of annotations, most frequent first.
    """

    directory: Path
    images: int
    annotations: int
    images_with_subject: int
    annotations_per_category: dict[str, int]


@dataclass(frozen=True)
class _DrawnImage:
    """One image's JPEG and its entries in instances.json; annotation ids are given at the end."""

    jpeg: bytes
    entry: dict[str, Any]
    annotations: list[dict[str, Any]]


def write_sample_data(
    directory: Path,
    *,
    images: int,
    seed: int,
    which: SetName = "people",
    on_progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> SampleSummary:
    """Draws a sample set into a new folder; nothing of it is visible there until all of it is.

    Args:
      directory: must not exist yet, or be empty.
      images: how many, at least 1.
      seed: at least 0; the same seed and number of images give the same bytes.
      which: of the sets.
      on_progress: called with (images drawn, images) after each one.
      workers: processes that draw; the bytes do not depend on it.

    Raises:
      DataError: images, seed or workers is out of range.
      StorageError: the folder holds something already, or cannot be written.
      PipelineError: a worker process was killed.
    """
    for name, value, lowest in (("images", images, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < lowest:
            raise DataError(f"received {name}={value}.", expected=f"{name} of at least {lowest}")
    directory = Path(directory)
    with _new_folder(directory) as folder:
        (folder / IMAGES).mkdir()
        entries, annotations = [], []
        for done, drawn in enumerate(_draw_all(which, images, seed, workers), start=1):
            (folder / IMAGES / drawn.entry["file_name"]).write_bytes(drawn.jpeg)
            entries.append(drawn.entry)
            annotations += drawn.annotations
            if on_progress is not None:
                on_progress(done, images)
        # Silence is the worst outcome here: a StopIteration from a painter once ended the set early.
        if len(entries) != images:
            raise AssertionError(f"drew {len(entries)} of {images} images")
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        document = {**_header(SETS[which], images, seed), "images": entries, "annotations": annotations}
        (folder / ANNOTATIONS).write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    return _summary(SETS[which], directory, entries, annotations)


def is_sample_data(directory: Path, *, images: int, seed: int) -> bool:
    """Whether the folder holds the set of people that `write_sample_data` would draw now."""
    try:
        with (Path(directory) / ANNOTATIONS).open(encoding="utf-8") as file:
            info = json.load(file)["info"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(info == _header(SETS["people"], images, seed)["info"])


def _header(sample_set: SampleSet, images: int, seed: int) -> dict[str, Any]:
    return {
        "info": {
            "description": sample_set.description,
            "contributor": GENERATOR,
            "version": str(GENERATOR_VERSION),
            "images": images,
            "seed": seed,
        },
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}],
        "categories": [
            {"supercategory": group, "id": number, "name": name}
            for number, (group, name) in sample_set.categories.items()
        ],
    }


def _draw_all(which: SetName, images: int, seed: int, workers: int) -> Iterator[_DrawnImage]:
    """Every image in order of its id."""
    draw = partial(_draw_image, which, seed)
    ids = range(1, images + 1)
    if workers == 1:
        # Not `yield from map(draw, ids)`: that would take a StopIteration inside `draw` for the end of the set.
        for image_id in ids:
            yield draw(image_id)
        return
    # Not fork: the caller may have started threads (TensorFlow's, a progress bar's). Not multiprocessing.Pool: it
    # replaces a worker that was killed and waits for its image forever.
    with ProcessPoolExecutor(min(workers, images), mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(draw, ids, chunksize=8)
        except BrokenProcessPool as error:
            raise PipelineError(
                "a process that draws the sample set died.",
                expected="workers that live until all images are drawn",
                hint="there may be too little memory: try workers=1",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _draw_image(which: SetName, seed: int, image_id: int) -> _DrawnImage:
    rng = np.random.default_rng((seed, image_id))
    scene = SETS[which].draw(rng)
    buffer = io.BytesIO()
    scene.image.save(buffer, "JPEG", quality=int(rng.integers(78, 94)))
    width, height = scene.image.size
    entry = {
        "id": image_id,
        "file_name": f"{image_id:012d}.jpg",
        "width": width,
        "height": height,
        "license": 1,
    }
    return _DrawnImage(
        buffer.getvalue(), entry, [_annotation(image_id, o, SETS[which].ids[o.category]) for o in scene.objects]
    )


def _annotation(image_id: int, drawn: SceneObject, category_id: int) -> dict[str, Any]:
    return {
        "id": 0,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": run_lengths(drawn.mask) if drawn.is_crowd else polygons(drawn.mask),
        "area": int(np.count_nonzero(drawn.mask)),
        "bbox": box_xywh_px(drawn.mask),
        "iscrowd": int(drawn.is_crowd),
    }


def _summary(
    sample_set: SampleSet, directory: Path, entries: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> SampleSummary:
    names = {number: name for name, number in sample_set.ids.items()}
    per_category = Counter(names[a["category_id"]] for a in annotations)
    shown = {a["image_id"] for a in annotations if names[a["category_id"]] in sample_set.subjects}
    return SampleSummary(directory, len(entries), len(annotations), len(shown), dict(per_category.most_common()))


@contextmanager
def _new_folder(directory: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `directory` if all goes well and disappears if not."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StorageError(
            f"{directory}: there is something here already.",
            expected="a folder that is empty or does not exist yet",
            hint="name another folder, or remove this one first",
        )
    folder: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        folder.chmod(0o755)  # mkdtemp's own folders are for one user only
        yield folder
        folder.replace(directory)
    except OSError as error:
        raise StorageError(
            f"{directory}: the sample set could not be written: {error.strerror or error}.",
            expected="a folder on a disk with room, in which files can be created",
            hint="name another folder",
        ) from error
    finally:
        # After the rename there is nothing here any more.
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
