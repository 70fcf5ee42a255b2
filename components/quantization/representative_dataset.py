"""Which images calibrate the int8 model, and what pins its input range."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from components.errors import DataError

BLACK, WHITE = -1.0, 1.0  # the float model's input range, components.pixels.normalize(0) and (255)


def select_calibration(
    source_ids: Sequence[str], labels: Sequence[int], count: int, seed: int
) -> npt.NDArray[np.int64]:
    """Selects images for calibration: an equal share of every label, and all of them where there are fewer.

    Images stand in line within their label by the SHA-256 of seed and id, and the lines are served in turn;
    when one runs out, the others go on. So the choice depends on the set of images, not on the order of files
    or of Beam's workers, and a larger `count` only adds to a smaller one.

    Args:
      source_ids: n ids, each once.
      labels: n label ids in the same order.
      count: how many to select, at least 1.
      seed: another seed selects other images.

    Returns:
      int64 [min(count, n)], indices into `source_ids`, in an order that depends on ids, labels and seed only.

    Raises:
      DataError: without any image, on a count below 1, or when an id comes twice.
    """
    if len(source_ids) == 0 or count < 1:
        raise DataError(
            f"nothing to calibrate with: received images={len(source_ids)}, count={count}.",
            expected="at least one training image and a count of at least 1",
            hint="look at the number of examples in the train split",
        )
    repeated = [source_id for source_id, times in Counter(source_ids).items() if times > 1]
    if repeated:
        raise DataError(
            f"{len(repeated)} image ids come more than once among the calibration candidates, such as {repeated[0]!r}.",
            expected="one example for each image id",
            hint="look for duplicate ids in the annotations",
        )
    digests = [hashlib.sha256(f"{seed}:{source_id}".encode()).digest() for source_id in source_ids]
    served: Counter[int] = Counter()
    turns = []
    for index in sorted(range(len(source_ids)), key=digests.__getitem__):
        turns.append((served[labels[index]], digests[index], index))
        served[labels[index]] += 1
    return np.array([index for *_, index in sorted(turns)[:count]], np.int64)


def check_calibration(source_ids: Sequence[str], labels: Sequence[int], held_out: Mapping[str, Iterable[str]]) -> None:
    """Checks that the images which set the model's scales show more than one label and judge nothing.

    Args:
      source_ids: of the calibration images.
      labels: their label ids.
      held_out: image ids by split, of the splits that the model is judged on.

    Raises:
      DataError: when all images have one label, or one of them stands in a split of `held_out`.
    """
    if len(set(labels)) < 2:
        raise DataError(
            f"the {len(labels)} calibration images show one label only: received label id {labels[0]}.",
            expected="images of at least two labels, since scales that one label sets clip what the others look like",
            hint="look at the labels of the train split; release.calibration_images has to be at least their number",
        )
    chosen = set(source_ids)
    for split, ids in held_out.items():
        shared = sorted(chosen.intersection(ids))
        if shared:
            raise DataError(
                f"{len(shared)} calibration images stand in the {split} split as well, such as {shared[0]!r}.",
                expected="calibration by training images that no split holds which the model is judged on",
                hint="run ExampleGen again: its splits never share an image",
            )


def pin_input_range(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Appends a black and a white image, so that the calibrated input range is exactly [-1, 1].

    Without them the darkest and brightest pixel that happen to be in the images would set the input's scale,
    and q = p - 128 (components.pixels) would no longer be what the model expects.

    Args:
      images: float32 [n, height, width, channels] in [-1, 1].

    Returns:
      float32 [n + 2, height, width, channels].

    Raises:
      DataError: when a value lies outside of [-1, 1] or is not a number.
    """
    if not np.all((images >= BLACK) & (images <= WHITE)):
        raise DataError(
            f"calibration images leave the input range: received {np.min(images)} ... {np.max(images)}.",
            expected=f"float32 in [{BLACK:g}, {WHITE:g}]",
            hint="scale 8-bit pixels with components.pixels.normalize",
        )
    pins = np.stack([np.full(images.shape[1:], value, np.float32) for value in (BLACK, WHITE)])
    return np.concatenate([images.astype(np.float32, copy=False), pins])
